"""The loader of training samples: how fast one worker is, what bounds it, and what 6.8 million annotations cost.

    OMP_NUM_THREADS=1 python benchmarks/loader.py
    OMP_NUM_THREADS=1 python benchmarks/loader.py --annotations 6800000

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
import numpy as np
from generated_source import PICTURES, TASKS, GeneratedReader, write_data

from datamodules.mixture import MixtureData
from datamodules.readers import READERS
from datamodules.settings import SampleOrder
from datamodules.source import Source
from vista.codec.codec import Codec
from vista.images import load_image
from vista.tokens.batch import collate
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


def milliseconds(call: Callable[[Any], Any], values: list[Any]) -> float:
    """Of one call: the median over all values."""
    times = []
    for value in values:
        start = time.perf_counter()
        call(value)
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


def profile(data: MixtureData) -> dict[str, float]:
    """Milliseconds of each part of the work, in this process."""
    files = [data.root / f"pictures/{k}.jpg" for k in range(PICTURES)]
    contents, images = (
        [np.fromfile(file, np.uint8) for file in files],
        [load_image(file) for file in files],
    )
    pictures = [data.encoding.transform(image) for image in images]
    parts = {
        "load_image": milliseconds(load_image, files),
        "decode": milliseconds(
            lambda content: cv2.imdecode(content, cv2.IMREAD_COLOR_RGB), contents
        ),
        "decode_reduced": milliseconds(
            lambda content: cv2.imdecode(content, cv2.IMREAD_REDUCED_COLOR_2), contents
        ),
        "transform": milliseconds(data.encoding.transform, images),
    }
    rng = np.random.default_rng(0)
    for source in data.train_sources:
        annotations = [
            source.annotations[k]
            for k in range(0, len(source.annotations), len(source.annotations) // 64)
        ]
        turns = [source.task.turns(annotation, rng) for annotation in annotations]
        asked = list(zip(annotations, turns, strict=True))
        samples = [data.encoding.sample(source, *each) for each in asked]
        parts[f"{source.name}_annotation"] = milliseconds(
            source.annotations.__getitem__, list(range(64))
        )
        parts[f"{source.name}_turns"] = milliseconds(
            lambda a, task=source.task: task.turns(a, rng), annotations
        )
        parts[f"{source.name}_tokens"] = milliseconds(
            lambda each, s=source: data.encoding.sample(s, *each), asked
        )
    images_of = {
        file: picture
        for sample in samples
        for file, picture in zip(sample.images, pictures, strict=False)
    }
    batch = [samples] * 5
    parts["collate_a_sample"] = milliseconds(
        lambda s: collate(s, images_of, data.tokenizer, 32), batch
    ) / len(samples)
    return {name: round(value, 3) for name, value in parts.items()}


def difference_of_reduced(root: Path) -> float:
    """Mean difference in grey levels that decoding at half size makes in what the encoder sees."""
    differences = []
    for k in range(20):
        file = str(root / f"pictures/{k}.jpg")
        whole, half = (
            cv2.resize(cv2.imread(file, flags), (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(
                float
            )
            for flags in (cv2.IMREAD_COLOR, cv2.IMREAD_REDUCED_COLOR_2)
        )
        differences.append(np.abs(whole - half).mean())
    return round(float(np.mean(differences)), 2)


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it returns, and how many seconds and seconds of this process's CPU time it took."""
    start, used = time.perf_counter(), time.process_time()
    return call(), time.perf_counter() - start, time.process_time() - used


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> dict[str, int]:
    """RSS, PSS, USS and the dirty part of USS of a process, in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kb = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    dirty = kb["Private_Dirty"]
    sizes = {"rss": kb["Rss"], "pss": kb["Pss"], "uss": kb["Private_Clean"] + dirty, "dirty": dirty}
    return {f"{name}_mb": size // 1024 for name, size in sizes.items()}


def speed(data: MixtureData, batches: int = 30) -> dict[str, float]:
    """Samples a second of one worker, the first batches left out."""
    loader = iter(data.train_dataloader())
    for _ in range(4):
        next(loader)
    (worker,) = multiprocessing.active_children()
    start, used = time.perf_counter(), cpu_seconds(worker.pid or 0)
    for _ in range(batches):
        next(loader)
    wall, cpu = time.perf_counter() - start, cpu_seconds(worker.pid or 0) - used
    return {
        "per_second": round(batches * BATCH / wall),
        "per_cpu_second": round(batches * BATCH / cpu),
    }


def measure_speed(root: Path) -> dict[str, Any]:
    """Of all tasks together, with one and with four samples of an image side by side; and of each task."""
    write_data(root, 40000, 2000)
    found: dict[str, Any] = {"jpeg_kb": (root / "pictures/0.jpg").stat().st_size // 1024}
    for most in (1, 4):
        found[f"{most}_of_an_image"] = speed(
            mixture(root, order=SampleOrder(questions_per_image=most))
        )
    single = SampleOrder(questions_per_image=1)
    found |= {task: speed(mixture(root, order=single, tasks=[task])) for task in TASKS}
    found["milliseconds"] = profile(mixture(root, num_workers=0))
    found["grey_levels_of_reduced_decoding"] = difference_of_reduced(root)
    return found


def measure_scale(root: Path, annotations: int) -> dict[str, Any]:
    """Seconds and memory with many annotations: compiled by one process, opened by another, as all later runs do."""
    write_data(root, annotations, IMAGES)
    found: dict[str, Any] = {"annotations": annotations, "images": IMAGES}

    def first_run(results: Any) -> None:
        _, *seconds = timed(lambda: mixture(root))
        results.put((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))

    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    process = context.Process(target=first_run, args=(results,))
    process.start()
    process.join()
    first, found["compile_peak_rss_mb"] = results.get()
    data, *again = timed(lambda: mixture(root))
    found["compile_s"], found["compile_cpu_s"] = (
        round(a - b, 1) for a, b in zip(first, again, strict=True)
    )
    found["open_s"], found["open_cpu_s"] = (round(seconds, 1) for seconds in again)
    found["compiled_mb"] = sum(file.stat().st_size for file in (root / "compiled").iterdir()) >> 20
    found["order_s"] = round(timed(lambda: data.train_order.samples(0))[1], 2)
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
