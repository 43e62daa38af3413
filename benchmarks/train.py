"""A training step against transformers' InstructBLIP trained the usual way: the same weights and samples, in one run.

    OMP_NUM_THREADS=1 python -m benchmarks.train
    python -m benchmarks.train --device cuda --size 7b

Samples have the lengths, and share images, as in the paper's stage 1 (datamodules/commands/mixture_lengths.json, by
mixture_lengths.py). The usual way gives every sample an image of its own, pads all to the longest and computes the
logits of every position. Ours encodes an image once for all its samples, sends samples of about one length through the
LLM together and computes the logits of answers alone; `ratio_compact` adds the compact layout's shorter answers. Loss
and gradients of both on one batch are compared first. Each figure is the best of some rounds, in CPU-seconds on a CPU.
`packing_efficiency` is the share of our positions that hold a token. The last line printed is one JSON object.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.mixture_samples import LAYOUTS, batch_of, draw, write
from benchmarks.train_models import SIZES, Batch, Bench, Way
from callbacks.throughput import peak_memory
from vista.training.flops import padded_size


def seconds_of_step(way: Way, batch: Batch, device: str) -> float:
    """Seconds of forward and backward: CPU-seconds on a CPU, else wall."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    if device != "cpu":
        torch.cuda.synchronize()
    began = clock()
    way.loss(batch).backward()
    if device != "cpu":
        torch.cuda.synchronize()
    seconds = clock() - began
    way.model.zero_grad()
    return seconds


def forget_peak(device: str) -> None:
    """Let the peak of memory begin anew, so that each way has its own."""
    if device == "cpu":
        Path("/proc/self/clear_refs").write_text("5")
    else:
        torch.cuda.reset_peak_memory_stats()


def packing_efficiency(batches: list[Batch], length_groups: int) -> float:
    """Share of the positions in our groups of rows that hold a token."""
    num_tokens = num_positions = 0
    for batch in batches:
        lengths = batch["attention_mask"].sum(1).tolist()
        num_tokens += sum(lengths)
        num_positions += padded_size(lengths, length_groups)
    return num_tokens / num_positions


def measure(way: Way, batches: list[Batch], rounds: int, device: str) -> dict[str, float]:
    """Samples and tokens a second, each batch in its best round, and the peak of memory."""
    forget_peak(device)
    best = [np.inf] * len(batches)
    for _ in range(rounds):
        for i, batch in enumerate(batches):
            best[i] = min(best[i], seconds_of_step(way, batch, device))
    seconds = float(np.sum(best))
    samples = sum(len(batch["input_ids"]) for batch in batches)
    tokens = sum(int(batch["attention_mask"].sum()) for batch in batches)
    return {
        "samples_per_s": samples / seconds,
        "tokens_per_s": tokens / seconds,
        "peak_gb": peak_memory(torch.device(device)),
    }


def main() -> None:
    """Compare, time and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--questions-per-image", type=int, default=4)
    parser.add_argument("--length-groups", type=int, default=8)
    given = parser.parse_args()
    bench = Bench(given.size, given.device, given.length_groups)
    rng = np.random.default_rng(0)
    batches: dict[str, list[Batch]] = {layout: [] for layout in LAYOUTS}
    for seed in range(given.batches):
        lengths = draw(given.batch_size, given.questions_per_image, rng)
        for layout in LAYOUTS:
            samples = write(lengths, layout, seed)
            batches[layout].append(batch_of(samples, bench.queries, bench.side, given.device))
    result: dict[str, Any] = {
        "size": given.size,
        "device": given.device,
        "threads": torch.get_num_threads(),
        "length_groups": given.length_groups,
        "packing_efficiency": packing_efficiency(batches["paper"], bench.ours.length_groups),
    }
    if bench.usual is not None:
        result["largest_difference"] = bench.compare(batches["paper"][0])
    for name, way in bench.ways().items():
        row = measure(way, batches[way.layout], given.rounds, given.device)
        result |= {f"{name}_{key}": value for key, value in row.items()}
        speed = f"{row['samples_per_s']:.1f} samples/s, {row['tokens_per_s']:.0f} tokens/s"
        print(f"{name}: {speed}", flush=True)
    if bench.usual is not None:
        usual = result["usual_samples_per_s"]
        result["ratio"] = result["ours_samples_per_s"] / usual
        result["ratio_compact"] = result["ours_compact_samples_per_s"] / usual
    print(json.dumps({name: _rounded(value) for name, value in result.items()}))


def _rounded(value: object) -> object:
    return round(value, 7) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
