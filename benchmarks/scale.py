"""What many annotations cost beyond training: later starts, `data audit`, and the baselines at the end of `test`.

    OMP_NUM_THREADS=1 python -m benchmarks.scale --annotations 1000000 6800000

Every figure is of a process of its own, after all is compiled: CPU-seconds of the call, and the most memory that it had
for itself (USS, from /proc/PID/smaps_rollup, looked at every half second; pages of compiled files, which the system
takes back when it needs room, are counted apart). A start is `MixtureData.setup("fit")` in two processes. The file runs
in an older checkout as well, which is how two versions are compared. The last line printed is one JSON object.
"""

import argparse
import json
import multiprocessing
import operator
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch.distributed as dist

from benchmarks.generated_source import HEIGHT, WIDTH
from benchmarks.loader import TOKENIZER
from datamodules import compiled
from datamodules.commands.configured import Setup
from datamodules.commands.data import audit
from datamodules.mixture import MixtureData
from datamodules.readers import READERS, Reader
from datamodules.readers.official import Official
from datamodules.source import LoadedSource, Source
from datamodules.splits import Splits
from tasks import Task
from vista.app.report import score_row
from vista.codec.codec import Codec
from vista.data import Annotation
from vista.tokens.tokenizer import Tokenizer

TRAINED = ("rec", "pqa", "textvqa", "nlvr2")  # tasks of the training splits, of one size
IMAGES, TESTED = 400_000, 20_000  # images that there are; questions of each test split
CAPTION = "a {} {} beside the {} on a {} in the {}"
VALUES = operator.attrgetter(*(field.name for field in fields(Annotation)))
WORDS = ("red", "small", "old", "dog", "cup", "bus", "table", "window", "street", "rain", "garden")


class ScaledReader(Reader):
    """As many annotations of images as `scaled.json` says, for any of the tasks, whose names are the splits."""

    name = "scaled"
    fields = frozenset({"expression", "question", "answers", "boxes", "sizes", "label", "extra"})
    splits = (*TRAINED, *(f"{task}_val" for task in TRAINED))

    def _annotations(self) -> Iterator[Annotation]:
        number = Official(self, self.file("scaled.json")).content // len(TRAINED)
        # Tests are on the last images, and one in a hundred of them is trained on.
        tested = self.split.endswith("_val")
        for k in range(TESTED if tested else number):
            image = IMAGES - 1 - k if tested else k * (IMAGES - TESTED * 99 // 100) // number
            yield Annotation(
                id=str(k),
                images=(f"images/{image:012d}.jpg",),
                sizes=((HEIGHT, WIDTH),),
                expression="the small dog",
                boxes=((1.0, 2.0, 3.0, 4.0),),
                label="a dog",
                photos=((f"scaled {image}",),),
            )


def sources() -> dict[str, Source]:
    """A source of each task, with a test split."""
    return {
        task: Source(task, "scaled", train=task, test={f"{task}_val": f"{task}_val"})
        for task in TRAINED
    }


def write_images(root: Path) -> None:
    """Images of which there is nothing but the names."""
    (root / "images").mkdir()
    for k in range(IMAGES):
        os.close(os.open(root / f"images/{k:012d}.jpg", os.O_CREAT))


def start(root: Path) -> None:
    """What each process of a run does before its first batch."""
    tokenizer = Tokenizer(TOKENIZER, bracket_layout="compact")
    mixture = MixtureData(
        tokenizer, Codec(), sources(), root, image_size=224, cache=root / "compiled"
    )
    mixture.setup("fit")


def run_audit(root: Path) -> None:
    """`python main.py data audit`."""
    splits = Splits(root, Codec(), root / "compiled")
    audit(Setup({}, sources(), root, Codec(), splits))


def compile_all(root: Path) -> None:
    """What the first run does once, but that records are not read back to compare them."""
    compiled.annotation_to_json = record
    splits = Splits(root, Codec(), root / "compiled")
    for split in ScaledReader.splits:
        splits.read(split, Source("rec", "scaled"), split)


def record(annotation: Annotation) -> str:
    """As `vista.data.annotation_to_json`."""
    return json.dumps(VALUES(annotation))


def res_row(count: int) -> None:
    """The row of `count` expressions, three of an image, in the table of scores."""
    outline = [90.0, 60.0, 500.0, 80.0, 420.0, 390.0, 130.0, 340.0]
    objects = [
        Annotation(
            str(k), (f"{k // 3}.jpg",), ((HEIGHT, WIDTH),), boxes=((float(k % 2), 0.0, 9.0, 9.0),),
            segmentations=([[x + k % 2 for x in outline]],),
        )
        for k in range(count)
    ]  # fmt: skip
    _row("res", objects)


def caption_row(count: int) -> None:
    """The row of `count` images with five captions each."""

    def captions(image: int) -> tuple[str, ...]:
        words = [WORDS[(image * (j + 3) + j) % len(WORDS)] for j in range(25)]
        return tuple(CAPTION.format(*words[j * 5 : j * 5 + 5]) for j in range(5))

    _row("caption", [Annotation(str(k), (f"{k}.jpg",), captions=captions(k)) for k in range(count)])


def _row(name: str, annotations: list[Annotation]) -> None:
    source = LoadedSource("s", Task.known[name](Codec(num_points=4)), Path(), annotations)
    given = (source.task.headline, "n", "parse_failures")
    score_row(source, "test", {f"test/s/{key}": 0.0 for key in given})


def _run(results: Any, rank: int, world: int, folder: str, call: Callable[..., None], *given: Any):
    """One of several processes, which calls and tells how long it took."""
    warnings.simplefilter("ignore")
    READERS["scaled"] = ScaledReader
    if world > 1:
        dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=world)
    before = time.process_time()
    call(*given)
    results.put((rank, round(time.process_time() - before, 2)))


def uss(pid: int | None) -> dict[str, int]:
    """What a process has for itself, in MB, and the pages of files that nobody else looks at."""
    sizes = {"Private_Dirty": 0, "Private_Clean": 0}
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:  # it is through
        lines = []
    for line in lines:
        name, size, _ = line.split()
        sizes[name.rstrip(":")] = int(size) // 1024
    return {"own_mb": sizes["Private_Dirty"], "file_mb": sizes["Private_Clean"]}


def measure(call: Callable[..., None], *given: Any, world: int = 1) -> list[dict[str, float]]:
    """CPU-seconds and the most memory of each of several processes that make the same call."""
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    with TemporaryDirectory() as folder:
        processes: list[BaseProcess] = [
            context.Process(target=_run, args=(results, rank, world, folder, call, *given))
            for rank in range(world)
        ]
        for process in processes:
            process.start()
        found: list[dict[str, float]] = [{"own_mb": 0, "file_mb": 0} for _ in processes]
        while any(process.is_alive() for process in processes):
            for process, most in zip(processes, found, strict=True):
                for name, size in uss(process.pid).items():
                    most[name] = max(most[name], size)
            time.sleep(0.5)
        if any(process.exitcode for process in processes):
            raise SystemExit("a process has failed")
        for _ in processes:
            rank, seconds = results.get()
            found[rank]["cpu_s"] = seconds
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--annotations", type=int, nargs="*", default=[1_000_000])
    parser.add_argument("--skip", nargs="*", default=[], choices=["start", "audit", "baselines"])
    parser.add_argument("--expressions", type=int, nargs="*", default=[1000, 4000])
    parser.add_argument("--captions", type=int, nargs="*", default=[1000, 4000])
    given = parser.parse_args()
    found: dict[str, Any] = {}

    def add(name: str, call: Callable[..., None], *arguments: Any, world: int = 1) -> None:
        for rank, figures in enumerate(measure(call, *arguments, world=world)):
            found[f"{name}, process {rank}" if world > 1 else name] = figures
            print(f"{name:40s}{rank}  {figures}", flush=True)

    with TemporaryDirectory() as folder:
        root = Path(folder)
        if given.annotations:
            write_images(root)
        for number in given.annotations:
            (root / "scaled.json").write_text(json.dumps(number))
            add(f"compile {number:,}", compile_all, root)
            if "start" not in given.skip:
                add(f"start {number:,}", start, root, world=2)
            if "audit" not in given.skip:
                add(f"audit {number:,}", run_audit, root)
    if "baselines" not in given.skip:
        for number in given.expressions:
            add(f"RES baseline of {number:,}", res_row, number)
        for number in given.captions:
            add(f"caption baseline of {number:,}", caption_row, number)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
