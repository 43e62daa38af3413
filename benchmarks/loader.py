"""The loader of training samples: how fast one worker is, what bounds it, and what 6.8 million annotations cost.

    OMP_NUM_THREADS=1 python -m benchmarks.loader
    OMP_NUM_THREADS=1 python -m benchmarks.loader --annotations 6800000

Images are generated JPEGs of 640 x 480, about as large as COCO's, under as many names as wanted; annotations come from
a generating reader and pass through everything that those of official files do: the reader, the compiled table, the
regrouping of REG, the check for absent images, groups, order, tasks and tokenizer. Speed is that of one worker process
of the real loader, per second and per second of its own CPU time. Memory is that of a worker after some batches, from
/proc/PID/smaps_rollup: PSS counts a page that n processes share 1/n times; USS are pages that no other process maps at
the moment, of which `dirty` are its own memory and the rest are read pages of the compiled files, which other workers
share and the system takes back when it needs room. The last line printed is one JSON object.
"""

import argparse
import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2

from benchmarks.generated_source import TASKS, GeneratedReader, write_data
from benchmarks.loader_profile import difference_of_reduced, profile
from datamodules.mixture import MixtureData
from datamodules.readers import READERS
from datamodules.settings import SampleOrder
from datamodules.source import Source
from vista.codec.codec import Codec
from vista.tokens.tokenizer import Tokenizer

SIDE, BATCH, IMAGES = 224, 64, 400_000
TOKENIZER = Path(__file__).parents[1] / "configs/tiny/tokenizer"
READERS["generated"] = GeneratedReader


def mixture(root: Path, **settings: Any) -> MixtureData:
    """All tasks, set up for training."""
    sources = {task: Source(task, "generated", train=task) for task in TASKS}
    codec, tokenizer = Codec(), Tokenizer(TOKENIZER, bracket_layout="compact")
    data = MixtureData(
        tokenizer,
        codec,
        sources,
        root,
        image_size=SIDE,
        batch_size=BATCH,
        cache=root / "compiled",
        **settings,
    )
    data.setup("fit")
    return data


def time_of(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it returns, and how many seconds and seconds of this process's CPU time it took."""
    start, used = time.perf_counter(), time.process_time()
    return call(), time.perf_counter() - start, time.process_time() - used


def cpu_seconds(pid: int) -> float:
    """User and system time of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> dict[str, int]:
    """RSS, PSS, USS and the dirty part of USS of a process, in MB."""
    kb = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, size, _ = line.split()
        kb[name.removesuffix(":")] = int(size)
    private = kb["Private_Clean"] + kb["Private_Dirty"]
    return {
        "rss_mb": kb["Rss"] // 1024,
        "pss_mb": kb["Pss"] // 1024,
        "uss_mb": private // 1024,
        "dirty_mb": kb["Private_Dirty"] // 1024,
    }


def speed(data: MixtureData, batches: int = 30) -> dict[str, float]:
    """Samples a second of one worker, the first batches left out."""
    loader = iter(data.train_dataloader())
    for _ in range(4):
        next(loader)
    (worker,) = multiprocessing.active_children()
    pid = worker.pid or 0
    start, start_cpu = time.perf_counter(), cpu_seconds(pid)
    for _ in range(batches):
        next(loader)
    wall, cpu = time.perf_counter() - start, cpu_seconds(pid) - start_cpu
    return {
        "per_second": round(batches * BATCH / wall),
        "per_cpu_second": round(batches * BATCH / cpu),
    }


def measure_speed(root: Path) -> dict[str, Any]:
    """Of all tasks together, with one and with four samples of an image side by side; and of each task."""
    write_data(root, 40000, 2000)
    found: dict[str, Any] = {"jpeg_kb": (root / "pictures/0.jpg").stat().st_size // 1024}
    for most in (1, 4):
        order = SampleOrder(questions_per_image=most)
        found[f"{most}_of_an_image"] = speed(mixture(root, order=order))
    single = SampleOrder(questions_per_image=1)
    found |= {task: speed(mixture(root, order=single, tasks=[task])) for task in TASKS}
    found["milliseconds"] = profile(mixture(root, num_workers=0))
    found["grey_levels_of_reduced_decoding"] = difference_of_reduced(root, SIDE)
    return found


def measure_scale(root: Path, annotations: int) -> dict[str, Any]:
    """Seconds and memory with many annotations: compiled by one process, opened by another, as all later runs do."""
    write_data(root, annotations, IMAGES)
    found: dict[str, Any] = {"annotations": annotations, "images": IMAGES}

    def first_run(results: Any) -> None:
        _, *seconds = time_of(lambda: mixture(root))
        results.put((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))

    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    process = context.Process(target=first_run, args=(results,))
    process.start()
    process.join()
    (first_s, first_cpu_s), found["compile_peak_rss_mb"] = results.get()
    data, open_s, open_cpu_s = time_of(lambda: mixture(root))
    found["compile_s"] = round(first_s - open_s, 1)
    found["compile_cpu_s"] = round(first_cpu_s - open_cpu_s, 1)
    found["open_s"], found["open_cpu_s"] = round(open_s, 1), round(open_cpu_s, 1)
    num_bytes = sum(file.stat().st_size for file in (root / "compiled").iterdir())
    found["compiled_mb"] = num_bytes >> 20
    found["order_s"] = round(
        time_of(lambda: data.train_order.epoch(0).samples(0, data.train_order.length))[1], 2
    )
    start = time.perf_counter()
    loader = iter(data.train_dataloader())
    next(loader)
    found["order_and_first_batch_s"] = round(time.perf_counter() - start, 2)
    for _ in range(100):
        next(loader)
    (worker,) = multiprocessing.active_children()
    return found | {"worker": memory(worker.pid or 0), "main": memory(os.getpid())}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--annotations",
        type=int,
        help="measure start and memory with so many, in the place of speed",
    )
    given = parser.parse_args()
    cv2.setNumThreads(0)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        found = measure_scale(root, given.annotations) if given.annotations else measure_speed(root)
    for name, value in found.items():
        print(f"{name:32s}{value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
