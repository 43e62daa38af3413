"""The generated world: how much there is to ask in its training files, and how long they take to write.

    python -m benchmarks.world --scenes 10000 --against /tmp/before

Writes the world in one process and reads it with the data sets' readers. `--against` names another checkout of this
project, whose world is written and read in the same way, beside it. The last line printed is one JSON object: seconds
are CPU seconds of one thread, `ratio` is this checkout by the other, the items are distinct ones.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from datamodules.readers import READERS
from vista.data import Annotation

ROOT = Path(__file__).parents[1]
THREADS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
ASKED = ("vcr", "coseg", "groupwise_res")
Numbers = dict[str, float]


def statement(a: Annotation) -> tuple[object, ...]:
    """Two images and what is said of them."""
    return a.images, a.expression


def question(a: Annotation) -> tuple[object, ...]:
    """An image and what is asked about it, whatever the options."""
    return a.images, a.extra["marked"]["question"]


def group(a: Annotation) -> tuple[object, ...]:
    """Some images, in any order, and what they have in common."""
    return frozenset(a.images), a.extra.get("class", a.expression)


def text_of(item: tuple[object, ...]) -> object:
    """What is said, without the images."""
    return item[-1]


# What is counted, from which reader and splits: a split that a checkout does not write counts as nothing.
ITEMS: dict[str, tuple[str, tuple[str, ...], Callable[[Annotation], tuple[object, ...]]]] = {
    "nlvr2": ("nlvr2", ("train",), statement),
    "vcr": ("vcr", ("train",), question),
    "coseg_train2017": ("coseg_groups", ("train2017",), group),
    "coseg_train2014": ("coseg_groups", ("train2014",), group),
    "attcoseg": ("attcoseg", ("train",), group),
}


def write(checkout: Path, root: Path, scenes: int, formats: str) -> float:
    """CPU seconds of a fresh process that writes formats of a world with the code of a checkout."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "datamodules.synthetic.world", f"--root={root}"]
    command += [f"--num-train={scenes}", "--num-workers=1", "--formats", *formats.split()]
    subprocess.run(command, cwd=checkout, env={**os.environ, **THREADS}, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def annotations(root: Path, dataset: str, splits: tuple[str, ...]) -> Iterator[Annotation]:
    """All of some splits; none of those that are not there."""
    for split in splits:
        if dataset != "coseg_groups" or _instances(root, split).is_file():
            yield from READERS[dataset](root, split)


def _instances(root: Path, split: str) -> Path:
    return root / "coco" / "annotations" / f"instances_{split}.json"


def count(root: Path) -> dict[str, Numbers]:
    """Of each item: how many distinct ones there are, how many texts, and CPU seconds to read them."""
    counts = {}
    for name, (dataset, splits, key) in ITEMS.items():
        start = time.process_time()
        items = {key(a) for a in annotations(root, dataset, splits)}
        counts[name] = {
            "distinct": len(items),
            "texts": len({text_of(item) for item in items}),
            "read_s": round(time.process_time() - start, 1),
        }
    return counts


def measure(checkout: Path, scenes: int) -> dict[str, object]:
    """The world of one checkout."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "world"
        demo = write(checkout, root, scenes, "coco")
        asked = write(checkout, root, scenes, " ".join(ASKED))
        rest = write(checkout, root, scenes, "all")
        files = [path for path in root.rglob("*") if path.is_file()]
        return {
            "demo_s": round(demo, 1),
            "asked_s": round(asked, 1),
            "all_s": round(demo + asked + rest, 1),
            "files": len(files),
            "megabytes": round(sum(path.stat().st_size for path in files) / 1e6),
            "items": count(root),
        }


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(description="Count and time the generated world.")
    parser.add_argument("--scenes", type=int, default=10000, help="training scenes")
    parser.add_argument("--against", type=Path, help="another checkout of the project")
    arguments = parser.parse_args()
    result = {"scenes": arguments.scenes, "now": measure(ROOT, arguments.scenes)}
    if arguments.against is not None:
        before = measure(arguments.against, arguments.scenes)
        now = result["now"]
        names = ("demo_s", "asked_s", "all_s", "megabytes")
        result |= {"before": before, "ratio": {n: round(now[n] / before[n], 3) for n in names}}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
