"""A source: one dataset asked one kind of question, e.g. RES on RefCOCO.

caption_coco: {task: caption, dataset: coco, train: train2017, val: val2017, test: {caption_coco: val2017}}
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from zlib import crc32

from datamodules.readers import READERS
from datamodules.readers.own_settings import Asked, OwnData
from tasks import Task
from vista.data import Annotation, InputError, Turns

NAME = re.compile(r"[\w-][\w.-]*")
LONGEST_NAME = 100  # with what stands around it, it is the name of a file


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
        own: settings of a data set of your own: folder, coco_file or jsonl.
    """

    task: str
    dataset: str
    train: str = ""
    val: str = ""
    test: dict[str, str] = field(default_factory=dict)
    weight: float = 1.0
    root: Path | None = None
    own: OwnData | None = None

    def asked(self) -> Asked:
        """What its task asks of own data."""
        task = Task.known[self.task]
        masks = "segmentations" in task.fields
        return Asked(task.any_number, task.multi_image, masks)


@dataclass
class LoadedSource:
    """A split of a source that is read.

    Attributes:
        name: of the source, or of the score.
        task: what is asked.
        root: the data root of its images.
        annotations: what it is asked about.
        wordings: how many of the task's templates evaluation uses.
        scored: whether the split has the right answers; else it is asked, and nothing is scored.
    """

    name: str
    task: Task
    root: Path
    annotations: Sequence[Annotation]
    wordings: int = 1
    scored: bool = True

    def question(self, annotation: Annotation) -> Turns:
        """The turns in evaluation, in one of the task's first `wordings` templates, decided by the annotation."""
        return self.task.question(annotation, crc32(annotation.id.encode()) % self.wordings)

    def where(self, annotation: Annotation) -> str:
        """Where a sample comes from, for messages."""
        files = ", ".join(annotation.images)
        return (
            f"task {self.task.name}, source {self.name}, annotation {annotation.id}, file {files}"
        )


def nearest(name: str, known: Sequence[str], what: str) -> str:
    """A sentence that names an unknown word and the nearest one there is."""
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(known))}"
    return f"there is no {what} {name!r}; {hint}"


def check_name(name: str) -> None:
    """Refuse what is no name of a source or a score: files and columns are called by it.

    Raises:
        InputError: it has other characters than letters, digits and `_.-`, or begins with a dot.
    """
    if len(name) > LONGEST_NAME or not NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is no name of a source or a score: letters, digits and `_.-` make one, at most {LONGEST_NAME} "
            "of them, and no dot comes first"
        )


def check_source(name: str, source: Source) -> None:
    """Refuse a source whose name, task, dataset, splits or fields do not fit together.

    Raises:
        InputError: with one sentence that says what is wrong.
    """
    for each in (name, *source.test):
        check_name(each)
    if source.task not in Task.known:
        raise InputError(f"source {name}: {nearest(source.task, list(Task.known), 'task')}")
    if source.dataset not in READERS:
        raise InputError(f"source {name}: {nearest(source.dataset, list(READERS), 'dataset')}")
    task = Task.known[source.task]
    lacking = task.fields - READERS[source.dataset].fields
    if lacking:
        raise InputError(
            f"source {name}: {_needs(task, lacking)} reader {source.dataset} gives none"
        )
    for split in filter(None, dict.fromkeys([source.train, source.val, *source.test.values()])):
        lacking = lacking_fields(name, source, split)
        known = lacking <= task.answer_fields
        if lacking and (not known or split in (source.train, source.val)):
            hidden = ", it can only be asked, as one of `test`" if known else ""
            given = f"the split {split} of reader {source.dataset} gives none{hidden}"
            raise InputError(f"source {name}: {_needs(task, lacking)} {given}")


def _needs(task: type[Task], fields: frozenset[str]) -> str:
    return f"task {task.name} needs {', '.join(sorted(fields))};"


def lacking_fields(name: str, source: Source, split: str) -> frozenset[str]:
    """What the task needs and a split does not give, such as `answers` where they are hidden.

    Raises:
        InputError: there is no such split.
    """
    try:
        # A split may give less than its data set. Nothing is read before the reader is iterated over.
        kind = READERS[source.dataset]
        reader = kind.of(source.root or "", split, source.own, source.asked)
    except InputError as error:
        raise InputError(f"source {name}: {error}") from error
    return Task.known[source.task].fields - reader.fields


def check_names(sources: Sequence[LoadedSource]) -> None:
    """Refuse scores whose answers would end in one file: `x` twice, or `x` and `x.1` (another process's part of `x`).

    Raises:
        InputError: names both.
    """
    names = [source.name for source in sources]
    for name in names:
        stem, _, number = name.rpartition(".")
        other = stem if number.isdecimal() else ""
        if names.count(name) > 1:
            raise InputError(f"two sources have a score {name!r}; give one of them another name")
        if other in names:
            raise InputError(
                f"the scores {other!r} and {name!r} would share a file; give one another name"
            )
