"""A source: one dataset asked one kind of question, e.g. RES on RefCOCO.

caption_coco: {task: caption, dataset: coco, train: train2017, val: val2017, test: {caption_coco: val2017}}
"""

import gc
import os
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from datamodules.readers import READERS
from tasks import Task
from vista.data import Annotation

GROUPS = {"single_image": False, "multi_image": True}  # words for several tasks -> `Task.multi_image`
TOLERATED = 0.01  # share of a source that may be unreadable before the run stops


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


def nearest(name: str, known: Sequence[str], what: str) -> str:
    """A sentence that names an unknown word and the nearest one there is."""
    close = get_close_matches(name, known, n=1)
    return f"there is no {what} {name!r}; " + (
        f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(known))}"
    )


def chosen_tasks(words: Sequence[str] | None, sources: Mapping[str, Source]) -> list[str] | None:
    """Names of tasks, with `single_image` and `multi_image` written out: all of that kind that have a source.

    Raises:
        ValueError: there is no such task.
    """
    if words is None:
        return None
    there = [source.task for source in sources.values()]
    kinds = {kind: [t for t in there if Task.known[t].multi_image is several] for kind, several in GROUPS.items()}
    names = [name for word in words for name in kinds.get(word, [word])]
    for name in names:
        if name not in Task.known:
            raise ValueError(nearest(name, [*Task.known, *GROUPS], "task"))
    return list(dict.fromkeys(names))


def check_source(name: str, source: Source) -> None:
    """Refuse a source whose task, dataset or fields do not fit together.

    Raises:
        ValueError: with one sentence that says what is wrong.
    """
    if source.task not in Task.known:
        raise ValueError(f"source {name}: {nearest(source.task, list(Task.known), 'task')}")
    if source.dataset not in READERS:
        raise ValueError(f"source {name}: {nearest(source.dataset, list(READERS), 'dataset')}")
    lacking = Task.known[source.task].fields - READERS[source.dataset].fields
    if lacking:
        raise ValueError(
            f"source {name}: task {source.task} needs {', '.join(sorted(lacking))}; reader {source.dataset} gives none"
        )


def read_annotations(dataset: str, root: Path, split: str, allow_missing: bool = False) -> list[Annotation]:
    """All sound annotations of a split; the others are named once and counted.

    An annotation whose image file is missing stays, since a sample keeps its position (it is learned from with weight
    zero and counts as wrong in evaluation); with `allow_missing` it is left out.

    Args:
        dataset: name of the reader.
        root: the data root.
        split: one of the reader's splits.
        allow_missing: go on, whatever is missing.

    Raises:
        ValueError: more than one per cent of the split cannot be used.
    """
    reader = READERS[dataset](root, split)
    gc.disable()  # a million new objects, none of them garbage: collecting would double the time
    try:
        annotations = list(reader)
    finally:
        gc.enable()
        gc.freeze()  # nor are they looked at later, which also keeps their pages shared with loader processes
    absent = _absent_images(annotations, root)
    problems = [f"{key}: {why}" for key, why in reader.problems]
    problems += [f"{key}: the image {path} is missing" for key, path in absent.items()]
    if problems:
        total = len(annotations) + len(reader.problems)
        head = f"{dataset} ({split}): {len(problems)} of {total} annotations cannot be used"
        listed = "; ".join(problems[:20]) + ("; ..." if len(problems) > 20 else "")
        if len(problems) > TOLERATED * total and not allow_missing:
            raise ValueError(f"{head}, set --data.allow_missing true to go on without them: {listed}")
        warnings.warn(f"{head}: {listed}", stacklevel=2)
    return [a for a in annotations if a.id not in absent] if allow_missing else annotations


def _absent_images(annotations: Sequence[Annotation], root: Path) -> dict[str, str]:
    """Annotation id -> an image of it that is not there. Folders are listed once, not asked for each file."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for annotation in annotations:
        for image in annotation.images:
            folder, _, file = image.rpartition("/")
            wanted[folder].add(file)
    absent = set()
    for folder, files in wanted.items():
        there = set(os.listdir(root / folder)) if (root / folder).is_dir() else set()
        absent |= {f"{folder}/{file}" for file in files - there}
    return {a.id: image for a in annotations for image in a.images if image in absent} if absent else {}


def group_by_image(annotations: Sequence[Annotation], most: int) -> list[np.ndarray]:
    """Groups of at most `most` annotations of the same images, so that one encoder pass serves them.

    Returns:
        int arrays of indices, in order of first occurrence.
    """
    by_image: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, annotation in enumerate(annotations):
        by_image[annotation.images].append(i)
    return [np.array(g[i : i + most]) for g in by_image.values() for i in range(0, len(g), most)]
