"""What the order of samples costs in each process, from a million samples to a billion.

    OMP_NUM_THREADS=1 python -m benchmarks.order --samples 1000000 6800000 100000000 1000000000

For each number, in a process of its own: the files of groups are made (two samples of each image; 8 bytes a sample in a
temporary folder), opened, and the first 10 million positions of an epoch are gone through in batches of 256. USS is
the highest of what /proc/PID/smaps_rollup shows every 20 ms, less what the process had before. The last line printed is
one JSON object.
"""

import argparse
import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.loader import cpu_seconds, memory
from datamodules import groups
from datamodules.order import GlobalBatches, Order

BATCH, MOST, POSITIONS = 256, 4, 10_000_000
EVERY = 0.02  # seconds between two looks at a process


def make(folder: Path, samples: int) -> None:
    """Write the files of groups."""
    groups.write(folder, groups.windows(samples, scenes, MOST))


def scenes(start: int, stop: int) -> np.ndarray:
    """The images that samples show."""
    return np.arange(start, stop) // 2


def begin(folder: Path, samples: int) -> None:
    """The first batch in the middle of an epoch, as a resumed run asks for it."""
    order = Order([groups.opened(folder)], [1.0])
    next(iter(GlobalBatches(order, BATCH, epoch=1, start=samples // BATCH // 2)))


def go_through(folder: Path, samples: int) -> None:
    """The first positions of an epoch."""
    order = Order([groups.opened(folder)], [1.0])
    batches = iter(GlobalBatches(order, BATCH))
    for _ in range(min(samples, POSITIONS) // BATCH):
        next(batches)


def measure(work, folder: Path, samples: int) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """Seconds of CPU time, and the highest USS above that at the start in MB, of a process that does some work."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_wait_and_work, args=(there, work, folder, samples))
    process.start()
    here.recv()
    pid = process.pid or 0
    before, used = memory(pid)["uss_mb"], cpu_seconds(pid)
    here.send("begin")
    highest, done = before, False
    while not done:
        done = here.poll(EVERY)
        highest = max(highest, memory(pid)["uss_mb"])
    used = cpu_seconds(pid) - used
    here.send("end")
    process.join()
    return {"cpu_s": round(used, 2), "uss_mb": highest - before}


def _wait_and_work(there: Connection, work, folder: Path, samples: int) -> None:  # type: ignore[no-untyped-def]
    there.send("imported")
    there.recv()
    work(folder, samples)
    there.send("done")
    there.recv()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, nargs="+", default=[1_000_000, 6_800_000])
    parser.add_argument("--folder", type=Path, help="where the files of groups are made")
    given = parser.parse_args()
    found = []
    for samples in given.samples:
        start = time.perf_counter()
        with TemporaryDirectory(dir=given.folder) as folder:
            place = Path(folder) / "x.groups"
            works = (("make", make), ("begin", begin), ("through", go_through))
            figures = {name: measure(work, place, samples) for name, work in works}
        positions = min(samples, POSITIONS)
        seconds = round(time.perf_counter() - start)
        found.append({"samples": samples, "positions": positions, **figures, "wall_s": seconds})
        print(found[-1], flush=True)
    print(json.dumps({"order": found}))


if __name__ == "__main__":
    main()
