"""What readers share: a data root, a split, a list of the records left out; and images and boxes as COCO has them.

A reader reads the official files as they are downloaded and yields annotations. It downloads nothing, writes nothing
and opens no image, but for datasets that keep their truth in images. What it yields is compiled once
(datamodules/compiled.py) and made anew when a file that went through `file` or `watch` changes.

    list(RefCOCOReader(Path("data"), "val"))        # vista.data.Annotation, in the order of the file
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from vista.data import (
    Annotation,
    Box,
    InputError,
    MissingFileError,
    SampleError,
    Segmentation,
    Size,
    located,
)

Stamp: TypeAlias = tuple[int, int]
Record: TypeAlias = dict[str, Any]  # of an official file, keys as its publisher names them


class Reader:
    """One dataset's official files, one split of them.

    Iterating reads the split from its start and yields the intact records. A subclass sets the first four attributes
    and writes `_annotations`.

    Attributes:
        name: the dataset's name, the key in `READERS`.
        fields: names of the `Annotation` fields that it fills.
        splits: the splits there are.
        source: where the files are to be had.
        problems: of each record that the last pass left out: ("423_1203", "the expression is empty").
        watched: each file and folder on which the last pass depends, with its stamp before it was read.

    Args:
        root: the data root; image paths are relative to it.
        split: one of `splits`.

    Raises:
        InputError: there is no such split; while reading: an image path leads out of the data root.
        MissingFileError: while reading: an official file is missing.
        SampleError: while reading: any other fault; it says after which annotation.
    """

    name: str = ""
    fields: frozenset[str] = frozenset()
    splits: tuple[str, ...] = ()
    source: str = ""

    def __init__(self, root: Path | str, split: str) -> None:
        if split not in self.splits:
            raise InputError(f"{self.name} has no split {split!r}; it has {', '.join(self.splits)}")
        self.root = Path(root)
        self.split = split
        self.problems: list[tuple[str, str]] = []
        self.watched: dict[str, Stamp | None] = {}

    def __iter__(self) -> Iterator[Annotation]:
        self.problems, self.watched = [], {}
        last = "none"
        try:
            for annotation in self._annotations():
                yield annotation
                last = annotation.id
        except (OSError, SampleError):
            raise  # they say where
        except Exception as error:
            where = f"{self.name} ({self.split}), after annotation {last}"
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
        for candidate in candidates:
            if self.watch(self.root / candidate).exists():
                return self.root / candidate
        where = self.root / candidates[0]
        raise MissingFileError(
            f"{self.name} ({self.split}) needs {where}, which is not there: see {self.source}"
        )

    def json(self, *candidates: str) -> Any:
        """The content of a JSON file (see `file`)."""
        path = self.file(*candidates)
        try:
            return json.loads(path.read_bytes())
        except ValueError as error:  # of the syntax, or of the encoding
            raise InputError(f"{path} is no JSON: {error}") from error


def stamp(path: str) -> Stamp | None:
    """Size in bytes and time of the last change in nanoseconds; None where there is no such file or folder."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


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


def clip_box(box: Sequence[float], size: Size) -> Box | None:
    """The part of a box, xyxy in pixels, inside its image of (H, W); None where no area is left or it is no box."""
    try:
        x0, y0, x1, y1 = (float(value) for value in box)
    except (TypeError, ValueError):
        return None
    height, width = size
    x0, y0, x1, y1 = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def clip_xywh(box: Sequence[float], size: Size) -> Box | None:
    """As `clip_box`, for a box given by its top left corner, width and height; returns xyxy."""
    try:
        x, y, width, height = box
        return clip_box((x, y, x + width, y + height), size)
    except (TypeError, ValueError):
        return None


def segmentation_problem(segmentation: Segmentation, size: Size) -> str:
    """Why a COCO segmentation (polygons in pixels, or an RLE) of an image of (H, W) cannot be drawn, or nothing."""
    if isinstance(segmentation, dict):
        if list(segmentation.get("size", ())) != list(size):
            return f"its mask has size {segmentation.get('size')}, its image {list(size)}"
        return ""
    if not isinstance(segmentation, list) or not any(len(polygon) >= 6 for polygon in segmentation):
        return "its mask has no polygon of three points or more"
    return ""


def intact_box(reader: Reader, record: Record, size: Size) -> Box | None:
    """The box of a COCO instance, clipped, xyxy; None, with a note in `problems`, where box or mask cannot be used."""
    box = clip_xywh(record["bbox"], size)
    if box is None:
        why = f"its box {record['bbox']} has no area inside"
    else:
        why = segmentation_problem(record["segmentation"], size)
    if why:
        reader.leave_out(record["id"], why)
        return None
    return box
