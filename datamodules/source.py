"""A source: one dataset asked one kind of question, e.g. RES on RefCOCO.

caption_coco: {task: caption, dataset: coco, train: train2017, val: val2017, test: {caption_coco: val2017}}
"""

import os
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from zlib import crc32

import numpy as np

from datamodules.compiled import Annotations, code_of, compiled, digest, scenes, select
from datamodules.order import Groups
from datamodules.readers import READERS
from tasks import Task
from vista.data import Annotation, InputError

GROUPS = {
    "single_image": False,
    "multi_image": True,
}  # words for several tasks -> `Task.multi_image`
TOLERATED = 0.01  # share of a source that may be unreadable before the run stops
LISTED = 20  # problems that a message names


@dataclass
class Source:
    """One line of a mixture.

    Attributes:
        task: name of the task.
        dataset: name of the reader.
        train: split to train on; empty: never trained on.
        val: split that is scored while training; empty: none.
        test: name of each score in tables and files -> the split it is measured on.
        weight: how often a sample occurs in an epoch, 0.5 for every second epoch.
        root: data root of this source, if it is another than the mixture's.
    """

    task: str
    dataset: str
    train: str = ""
    val: str = ""
    test: dict[str, str] = field(default_factory=dict)
    weight: float = 1.0
    root: Path | None = None


@dataclass
class LoadedSource:
    """A source that is read: its name, task, data root and annotations, asked in how many instructions."""

    name: str
    task: Task
    root: Path
    annotations: Sequence[Annotation]
    wordings: int = 1

    def question(self, annotation: Annotation) -> tuple[tuple[str, str], ...]:
        """The turns in evaluation, in one of the task's first `wordings` instructions, decided by the annotation."""
        return self.task.question(annotation, crc32(annotation.id.encode()) % self.wordings)


def nearest(name: str, known: Sequence[str], what: str) -> str:
    """A sentence that names an unknown word and the nearest one there is."""
    close = get_close_matches(name, known, n=1)
    return f"there is no {what} {name!r}; " + (
        f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(known))}"
    )


def chosen_tasks(words: Sequence[str] | None, sources: Mapping[str, Source]) -> list[str] | None:
    """Names of tasks, with `single_image` and `multi_image` written out: all of that kind that have a source.

    Raises:
        InputError: there is no such task.
    """
    if words is None:
        return None
    there = [source.task for source in sources.values()]
    kinds = {
        kind: [t for t in there if Task.known[t].multi_image is several]
        for kind, several in GROUPS.items()
    }
    names = [name for word in words for name in kinds.get(word, [word])]
    for name in names:
        if name not in Task.known:
            raise InputError(nearest(name, [*Task.known, *GROUPS], "task"))
    return list(dict.fromkeys(names))


def check_source(name: str, source: Source) -> None:
    """Refuse a source whose task, dataset or fields do not fit together.

    Raises:
        InputError: with one sentence that says what is wrong.
    """
    if source.task not in Task.known:
        raise InputError(f"source {name}: {nearest(source.task, list(Task.known), 'task')}")
    if source.dataset not in READERS:
        raise InputError(f"source {name}: {nearest(source.dataset, list(READERS), 'dataset')}")
    lacking = Task.known[source.task].fields - READERS[source.dataset].fields
    if lacking:
        raise InputError(
            f"source {name}: task {source.task} needs {', '.join(sorted(lacking))}; reader {source.dataset} gives none"
        )


def read_annotations(
    dataset: str, root: Path, split: str, folder: Path, allow_missing: bool = False
) -> Annotations:
    """All sound annotations of a split; the others are named once and counted.

    An annotation whose image file is missing stays, since a sample keeps its position (it is learned from with weight
    zero and counts as wrong in evaluation); with `allow_missing` it is left out.

    Args:
        dataset: name of the reader.
        root: the data root.
        split: one of the reader's splits.
        folder: where compiled annotations are kept; only what is not there yet is read.
        allow_missing: go on, whatever is missing.

    Raises:
        InputError: more than one per cent of the split cannot be used.
    """
    kind = READERS[dataset]
    name = f"{dataset}-{split}-{digest(dataset, split, root.resolve(), code_of(kind))}"
    annotations = compiled(folder, name, kind(root, split))
    absent, paths = absent_images(annotations, root)
    number, total = (
        len(annotations.problems) + len(absent),
        len(annotations) + len(annotations.problems),
    )
    if number:
        problems = [f"{key}: {why}" for key, why in annotations.problems[:LISTED]]
        missing = zip(absent[: LISTED - len(problems)].tolist(), paths, strict=False)
        problems += [f"{annotations[i].id}: the image {path} is missing" for i, path in missing]
        listed = "; ".join(problems) + ("; ..." if number > LISTED else "")
        head = f"{dataset} ({split}): {number} of {total} annotations cannot be used"
        if number > TOLERATED * total and not allow_missing:
            raise InputError(
                f"{head}, set --data.allow_missing true to go on without them: {listed}"
            )
        warnings.warn(f"{head}: {listed}", stacklevel=2)
    if len(absent) and allow_missing:
        return annotations.select(np.delete(np.arange(len(annotations)), absent))
    return annotations


def absent_images(annotations: Sequence[Annotation], root: Path) -> tuple[np.ndarray, list[str]]:
    """Which annotations have an image that is not there. Folders are listed once, not asked for each file.

    Returns:
        their indices, int (N,), and for each the last such image.
    """
    first, scene = scenes(annotations)
    shown = [annotation.images for annotation in first]
    wanted: dict[str, set[str]] = defaultdict(set)
    for image in chain.from_iterable(shown):
        wanted[image.rpartition("/")[0]].add(image)
    absent: set[str] = set()
    for folder, images in wanted.items():
        there = set(os.listdir(root / folder)) if (root / folder).is_dir() else set()
        absent |= {image for image in images if image.rpartition("/")[2] not in there}
    lacking = [[image for image in images if image in absent] for images in shown]
    rows = np.flatnonzero(np.array([bool(images) for images in lacking], dtype=bool)[scene])
    return rows, [lacking[k][-1] for k in scene[rows].tolist()]


def group_by_image(annotations: Sequence[Annotation], most: int) -> Groups:
    """Groups of at most `most` annotations of the same images, so that one encoder pass serves them.

    Returns:
        groups of indices, in order of first occurrence.
    """
    _, scene = scenes(annotations)
    indices = np.argsort(scene, kind="stable")
    first = np.flatnonzero(np.diff(scene[indices], prepend=-1))  # where each scene begins
    place = np.arange(len(indices)) - np.repeat(first, np.diff(first, append=len(indices)))
    return Groups(indices, np.append(np.flatnonzero(place % most == 0), len(indices)))


def whole_images(annotations: Sequence[Annotation], most: int | None) -> Sequence[Annotation]:
    """About `most` annotations, those of whole images spread evenly over the file; None: all of them."""
    if most is None or len(annotations) <= most:
        return annotations
    groups = group_by_image(annotations, len(annotations))
    share = round(len(groups) * most / len(annotations))
    places = np.linspace(0, len(groups) - 1, max(1, share)).astype(int)
    return select(annotations, np.concatenate([groups[place] for place in places.tolist()]))
