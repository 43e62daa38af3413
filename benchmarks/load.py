"""Memory of loading and sharding a model on several processes: `python -m benchmarks.load` (some minutes, no GPU).

A model of about 1 GB in float32 is written to a temporary folder, then loaded and sharded by processes of gloo in two
ways: `streamed`, as `VistaModule.configure_model` does it, and `whole`, built and filled in every process and then
sharded. Memory is the proportional set size of all processes together (`smaps_rollup`): a page that several of them
share, such as one of a file, counts once. What the processes have before they begin (Python, torch) is taken off.

The last line is JSON: peaks and ratios to the bytes of the model. The streamed way must stay at 2.0 or below.
"""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.multiprocessing.spawn import ProcessContext
from transformers import PreTrainedModel

from vista.models.laid_out import without_memory
from vista.models.llm import build_llm
from vista.models.weights import fill_part
from vista.training.sharding import shard

VOCAB = 8192
LIMIT = 2.0


def build(width: int, layers: int, weights: Path | None) -> PreTrainedModel:
    """A language model of `layers` layers."""
    heads = width // 64
    return build_llm(VOCAB, width, layers, heads, 3 * width, tie_embeddings=False, weights=weights)


def write(folder: Path, width: int, layers: int) -> int:
    """Random weights, a layer in a file, so that this process never has many; their bytes."""
    with torch.device("meta"):
        shapes = {
            name: tensor.shape for name, tensor in build(width, layers, None).state_dict().items()
        }
    files: dict[str, dict[str, torch.Size]] = {}
    for name, shape in shapes.items():
        file = ".".join(name.split(".")[:3])
        files.setdefault(file, {})[name] = shape
    for file, named in files.items():
        tensors = {name: torch.randn(shape) for name, shape in named.items()}
        save_file(tensors, folder / f"{file}.safetensors")
    return sum(4 * shape.numel() for shape in shapes.values())


def load(rank: int, count: int, folder: Path, width: int, layers: int, streamed: bool) -> None:
    """One process: says that it is ready, waits for the start, loads and shards, says that it is done."""
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / f"store-{streamed}"), count)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=count)
    (folder / f"ready-{streamed}-{rank}").touch()
    while not (folder / f"go-{streamed}").exists():
        sleep(0.02)
    mesh = init_device_mesh("cpu", (count,))
    if streamed:
        with without_memory():
            model = build(width, layers, folder)
        shard(torch.nn.Sequential(model), mesh)
        fill_part(model)
    else:
        model = build(width, layers, folder)
        shard(torch.nn.Sequential(model), mesh)
    assert all(parameter.to_local().numel() for parameter in model.parameters())  # type: ignore[operator]
    dist.barrier()
    sleep(0.5)  # seen by the sampler, too
    dist.destroy_process_group()


def memory(processes: ProcessContext) -> int:
    """Bytes of all processes together."""
    total = 0
    for process in processes.processes:
        try:
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        except (OSError, ProcessLookupError):  # has ended
            continue
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return 1024 * total


def peak(count: int, folder: Path, width: int, layers: int, streamed: bool) -> tuple[int, float]:
    """Bytes beyond the processes' own at the worst moment, and seconds."""
    processes = mp.spawn(load, (count, folder, width, layers, streamed), count, join=False)
    while not all((folder / f"ready-{streamed}-{rank}").exists() for rank in range(count)):
        sleep(0.1)
    sleep(1)
    own, most, began = memory(processes), 0, monotonic()
    (folder / f"go-{streamed}").touch()
    while not processes.join(timeout=0.02):
        most = max(most, memory(processes))
    return most - own, monotonic() - began


def main() -> None:
    """Measure both ways."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--width", type=int, default=1536)
    parser.add_argument("--layers", type=int, default=10)
    options = parser.parse_args()
    sizes = (options.width, options.layers)
    result: dict[str, float | int] = {"processes": options.processes}
    with TemporaryDirectory(prefix="vista-load-") as name:
        size = result["model_bytes"] = write(Path(name), *sizes)
        for streamed in (True, False):
            most, seconds = peak(options.processes, Path(name), *sizes, streamed)
            way = "streamed" if streamed else "whole"
            result[f"{way}_ratio"] = round(most / size, 2)
            result[f"{way}_seconds"] = round(seconds, 1)
    print(json.dumps(result))
    if result["streamed_ratio"] > LIMIT:
        sys.exit(
            f"the streamed way takes {result['streamed_ratio']} times the model, more than {LIMIT}"
        )


if __name__ == "__main__":
    main()
