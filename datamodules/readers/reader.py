"""What readers share: a data root, a split, official files, a list of the records left out; and COCO's images.

A reader reads the official files as they are downloaded and yields annotations. It downloads nothing, writes nothing
and opens no image, but for datasets that keep their truth in images. What it yields is compiled once
(datamodules/compiled.py) and made anew when a file that went through `file` or `watch` changes.

    list(RefCOCOReader(Path("data"), "val"))        # vista.data.Annotation, in the order of the file
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeAlias

from datamodules.readers.files import json_lines
from datamodules.readers.official import intact
from datamodules.readers.own_settings import Asked, OwnData
from datamodules.readers.records import Form, Record
from vista.data import Annotation, InputError, MissingFileError, SampleError, located

REPEATED = "its id stands twice, the first record is kept"  # why a record is left out
Stamp: TypeAlias = tuple[int, int]


class Reader:
    """One dataset's official files, one split of them.

    Iterating reads the split from its start and yields the intact records, of several with the same id the first. A
    subclass sets the first four attributes and writes `_annotations`.

    Attributes:
        name: the dataset's name, the key in `READERS`.
        fields: names of the `Annotation` fields that it fills; of a reader, those of its split.
        splits: the splits there are.
        source: where the files are to be had.
        problems: of each record that the last pass left out: ("423_1203", "the expression is empty").
        settings: what decides what it yields, beside its files.
        watched: each file and folder on which the last pass depends, with its stamp before it was read.

    Args:
        root: the data root; image paths are relative to it.
        split: one of `splits`.

    Raises:
        InputError: there is no such split; while reading: an official file is not what it should be, or an image path
            leads out of the data root.
        MissingFileError: while reading: an official file is missing.
        SampleError: while reading: any other fault; it says after which annotation.
    """

    name: str = ""
    fields: frozenset[str] = frozenset()
    splits: tuple[str, ...] = ()
    source: str = ""
    settings: tuple[str, ...] = ()

    def __init__(self, root: Path | str, split: str) -> None:
        if split not in self.splits:
            raise InputError(f"{self.name} has no split {split!r}; it has {', '.join(self.splits)}")
        self.root, self.split = Path(root), split
        self.problems: list[tuple[str, str]] = []
        self.watched: dict[str, Stamp | None] = {}

    @classmethod
    def of(cls, root: Path | str, split: str, own: OwnData | None, _: Callable[[], Asked]) -> Self:
        """One with the settings of a source, and what its task asks of own data: official files have neither."""
        if own is not None:
            raise InputError(f"{cls.name} has no settings `own`: its files are official")
        return cls(root, split)

    def __iter__(self) -> Iterator[Annotation]:
        self.problems, self.watched = [], {}
        where, seen = f"{self.name} ({self.split})", set[str]()
        try:
            for annotation in self._annotations():
                where = f"{self.name} ({self.split}), after annotation {annotation.id}"
                # Answers are told apart by the id: two of one would be found when all are made.
                if annotation.id in seen:
                    self.leave_out(annotation.id, REPEATED)
                    continue
                seen.add(annotation.id)
                yield annotation
        except (MissingFileError, SampleError):
            raise  # they say where
        except OSError as error:  # of a file that is there
            raise InputError(f"{self.name} ({self.split}): {error}") from error
        except Exception as error:
            raise located(error, where) from error

    def _annotations(self) -> Iterator[Annotation]:
        """The intact records of the split; the others are told to `leave_out`."""
        raise NotImplementedError

    def leave_out(self, record_id: object, why: str) -> None:
        """Notes that a record is left out, and why."""
        self.problems.append((str(record_id), why))

    def watch(self, path: Path) -> Path:
        """Notes that what is read depends on a file, on its absence, or on the names in a folder; returns the path."""
        name = str(path.absolute())
        if name not in self.watched:
            self.watched[name] = stamp(name)
        return path

    def file(self, *candidates: str) -> Path:
        """The first of several paths below the root that exists.

        Raises:
            MissingFileError: none does; the sentence names the first and the dataset's address.
        """
        # All that are looked at are watched: one that appears later would have been read in its place.
        for candidate in candidates:
            if self.watch(self.root / candidate).exists():
                return self.root / candidate
        where = self.root / candidates[0]
        raise MissingFileError(
            f"{self.name} ({self.split}) needs {where}, which is not there: see {self.source}"
        )

    def lines(self, form: Form, *candidates: str) -> Iterator[Record]:
        """The records of a file with one JSON record a line that have a form; the others are left out."""
        path = self.file(*candidates)
        return (record for _, record in intact(self, json_lines(path, self.source), form, path))


def stamp(path: str) -> Stamp | None:
    """Size in bytes and time of the last change in nanoseconds; None where there is no such file or folder."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def coco_photo(image_id: int | str) -> str:
    """The name of a photograph of COCO, which has one number in all releases, folders and data sets built on it."""
    return f"coco {int(image_id)}"


class CocoImages:
    """Finds COCO's images by id below a data root; looks at the disk once per image.

    They were released twice: `train2014/COCO_train2014_000000000009.jpg` is the picture `train2017/000000000009.jpg`.
    Datasets built on the first release (RefCOCO, VQAv2, POPE) are read with either release on the disk.

    Args:
        reader: whose data root is looked at, and who watches the folders.
        split: the image's split in the first release: `train2014`, `val2014` or `test2015`.
        folders: other folders with the first release's names, tried before `coco/<split>`.
    """

    def __init__(self, reader: Reader, split: str, folders: tuple[str, ...] = ()) -> None:
        self.root, self.found = reader.root, dict[int, str]()
        self.patterns = [
            f"{folder}/COCO_{split}_{{:012d}}.jpg" for folder in (*folders, f"coco/{split}")
        ]
        if split != "test2015":
            self.patterns += ["coco/train2017/{:012d}.jpg", "coco/val2017/{:012d}.jpg"]
        for pattern in self.patterns:
            reader.watch((self.root / pattern).parent)

    def path(self, image_id: int) -> str:
        """The image's path below the root; the first one looked at where the image has none."""
        if image_id not in self.found:
            paths = [pattern.format(image_id) for pattern in self.patterns]
            there = (path for path in paths if (self.root / path).is_file())
            self.found[image_id] = next(there, paths[0])
        return self.found[image_id]
