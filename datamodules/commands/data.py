"""The verb `data`: what lies on the disk, against what should, and against what is trained on.

python main.py data audit --config coinit        which training samples show a test image, by source and score
python main.py data verify --config coinit       how many samples each split has, and how many it should have
python main.py data show --config coinit --source res_refcoco --n 20    a page of samples, see show.py
"""

from collections.abc import Sequence

import pyarrow as pa

from datamodules.commands.configured import Setup, read_setup
from datamodules.commands.expected import EXPECTED
from datamodules.commands.options import DataOptions
from datamodules.commands.show import show
from datamodules.leakage import find_leaks, images_tested, unnamed
from datamodules.pictures import pictures
from datamodules.source import Source, nearest
from vista.data import Annotation, InputError, SampleError
from vista.printable import say


def main(options: DataOptions) -> None:
    """Audit or verify the sources of the chosen tasks, or all; or show one.

    Raises:
        InputError: no source is of a chosen task, or there is no such source.
    """
    setup = read_setup(options.config, options.data.root, options.plugin)
    if options.action == "show":
        show(setup, options)
        return
    if options.action == "audit":
        audit(setup, options.task)
    else:
        verify(setup, options.task)


def chosen_sources(setup: Setup, tasks: Sequence[str]) -> dict[str, Source]:
    """The sources of some tasks, of all where none is named.

    Raises:
        InputError: no source is of one of the tasks.
    """
    there = {source.task for source in setup.sources.values()}
    for task in tasks:
        if task not in there:
            raise InputError(nearest(task, sorted(there), "task"))
    return {name: each for name, each in setup.sources.items() if not tasks or each.task in tasks}


def audit(setup: Setup, tasks: Sequence[str] = ()) -> None:
    """Print, for each source of the tasks, how many training samples show an image that any source tests on."""
    tested, absent = images_tested(setup.sources, setup.splits.read)
    for name, source in chosen_sources(setup, tasks).items():
        if not source.train:
            continue
        try:
            annotations = setup.splits.read(name, source, source.train)
        except FileNotFoundError as error:
            absent.append(f"{name}: {error}")
            continue
        absent += filter(None, [unnamed(name, annotations)])
        shown = pictures(annotations)
        leaks = find_leaks(shown, tested)
        num_lost = len(annotations) - len(leaks.kept)
        lost_samples = f"{num_lost:,} of {len(annotations):,} samples"
        lost_images = f"{count(leaks.images):,} of {count(shown.images):,} images"
        say(f"{name} ({source.train}): {lost_samples} and {lost_images} are tested on")
        for score, number in sorted(leaks.dropped.items()):
            say(f"    {score}: {number:,} samples")
    _say_absent(absent)


def verify(setup: Setup, tasks: Sequence[str] = ()) -> None:
    """Print the number of samples of each split, beside the number that the data set's authors state.

    What is missing or damaged is named at the end, when all others have been looked at.
    """
    absent: list[str] = []
    damaged: list[str] = []
    wrong = 0
    seen = set()
    for name, source in chosen_sources(setup, tasks).items():
        splits = [source.train, source.val, *source.test.values()]
        for split in dict.fromkeys(splits):
            if not split or (source.dataset, split) in seen:
                continue
            seen.add((source.dataset, split))
            try:
                annotations = setup.splits.read(name, source, split)
            except FileNotFoundError as error:
                absent.append(f"{source.dataset} ({split}): {error}")
                continue
            except (InputError, SampleError, OSError) as error:
                damaged.append(f"{source.dataset} ({split}): {error}")
                continue
            what, found, number = as_stated(source.dataset, split, annotations)
            verdict = ""
            if number and found == number:  # where the authors state one
                verdict = ", as stated"
            elif number:
                verdict = f", {number:,} are stated"
                wrong += 1
            say(f"{source.dataset} ({split}): {found:,} {what}{verdict}")
    say(f"{wrong} splits have another number than stated, {len(damaged)} cannot be read")
    for sentence in damaged:
        say(f"cannot be read: {sentence}")
    _say_absent(absent)


def as_stated(dataset: str, split: str, annotations: Sequence[Annotation]) -> tuple[str, int, int]:
    """What the data set's authors count in a split, how many are found, and how many they state; 0: nothing."""
    what, number = EXPECTED.get((dataset, split), ("samples", 0))
    found = count(pictures(annotations).images) if what == "images" else len(annotations)
    return what, found, number


def count(images: pa.ChunkedArray) -> int:
    """The number of different images."""
    return len(images.unique())


def _say_absent(absent: list[str]) -> None:
    for sentence in absent:
        say(f"not looked at: {sentence}")
