"""A training step against transformers' InstructBLIP trained the usual way: the same weights and samples, in one run.

    OMP_NUM_THREADS=1 python -m benchmarks.train
    python -m benchmarks.train --device cuda --size 7b

Samples have the lengths, and share images, as in the paper's stage 1 (datamodules/commands/mixture_lengths.json, by
mixture_lengths.py). The usual way gives every sample an image of its own, pads all to the longest and computes the
logits of every position. `sorted` is the same with the samples of all batches, a pool of four, sorted by length before
they are cut into batches; `strong` computes logits at answers alone and an image once as well. Ours encodes an image
once for all its samples, sends samples of about one length through the LLM together and computes the logits of answers
alone; `ratio_compact` adds the compact layout's shorter answers. Loss and gradients of both on one batch are compared
first. Each figure is the best of some rounds that take turns, in CPU-seconds on a CPU.
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
from vista.tokens.batch import Sample
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


def measure(way: Way, batches: list[Batch], device: str) -> tuple[np.ndarray, float]:
    """Seconds of each batch in one round, and the peak of memory."""
    forget_peak(device)
    seconds = [seconds_of_step(way, batch, device) for batch in batches]
    return np.array(seconds), peak_memory(torch.device(device))


def speeds(seconds: np.ndarray, batches: list[Batch]) -> dict[str, float]:
    """Samples and tokens a second, each batch in its best round; seconds are (rounds, batches)."""
    total = float(seconds.min(axis=0).sum())
    samples = sum(len(batch["input_ids"]) for batch in batches)
    tokens = sum(int(batch["attention_mask"].sum()) for batch in batches)
    return {"samples_per_s": samples / total, "tokens_per_s": tokens / total}


def main() -> None:
    """Compare, time and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=4, help="the pool that is sorted")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--questions-per-image", type=int, default=4)
    parser.add_argument("--length-groups", type=int, default=8)
    given = parser.parse_args()
    bench = Bench(given.size, given.device, given.length_groups)
    rng = np.random.default_rng(0)
    batches: dict[str, list[Batch]] = {layout: [] for layout in LAYOUTS}
    pool: list[Sample] = []
    for seed in range(given.batches):
        lengths = draw(given.batch_size, given.questions_per_image, rng)
        for layout in LAYOUTS:
            samples = write(lengths, layout, seed)
            batches[layout].append(batch_of(samples, bench.queries, bench.side, given.device))
            pool += samples if layout == "paper" else []
    pool.sort(key=lambda sample: len(sample.input_ids))
    starts = range(0, len(pool), given.batch_size)
    parts = [pool[start : start + given.batch_size] for start in starts]
    batches["sorted"] = [batch_of(part, bench.queries, bench.side, given.device) for part in parts]
    result: dict[str, Any] = {
        "size": given.size,
        "device": given.device,
        "threads": torch.get_num_threads(),
        "length_groups": given.length_groups,
        "packing_efficiency": packing_efficiency(batches["paper"], bench.ours.length_groups),
    }
    if bench.usual is not None:
        result["largest_difference"] = bench.compare(batches["paper"][0])
    ways = bench.ways()
    given_to = {name: batches["sorted" if way.sorted else way.layout] for name, way in ways.items()}
    seconds: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, way in ways.items():
            of_round, result[f"{name}_peak_gb"] = measure(way, given_to[name], given.device)
            seconds[name].append(of_round)
    for name in ways:
        row = speeds(np.array(seconds[name]), given_to[name])
        result |= {f"{name}_{key}": value for key, value in row.items()}
        speed = f"{row['samples_per_s']:.2f} samples/s, {row['tokens_per_s']:.0f} tokens/s"
        print(f"{name}: {speed}", flush=True)
    for other in {"usual", "sorted", "strong"} & ways.keys():
        against = "" if other == "usual" else f"_{other}"
        for own in ("ours", "ours_compact"):
            ratio = result[f"{own}_samples_per_s"] / result[f"{other}_samples_per_s"]
            result[f"ratio{own.removeprefix('ours')}{against}"] = ratio
    print(json.dumps({name: _rounded(value) for name, value in result.items()}))


def _rounded(value: object) -> object:
    return round(value, 7) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
