"""What every reader shares: a data root, a split, and a list of the records it had to leave out.

A reader reads the official files as they are downloaded and yields annotations. It downloads nothing, writes nothing
and opens no image, but for datasets that keep their truth in images. What it yields is compiled once
(datamodules/compiled.py) and made anew when a file that went through `file` or `watch` changes.

    reader = RefCOCOReader(Path("data"), "val")
    annotations = list(reader)      # vista.data.Annotation, in the order of the file
    reader.problems                 # [("423_1203", "the expression is empty"), ...]
    reader.watched                  # {".../instances.json": (89364211, 1700000000000000000), ...}
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from vista.data import Annotation, Box, InputError, MissingFileError, Size

Stamp: TypeAlias = tuple[int, int]
CHUNK = 1 << 22  # characters read at once; much longer than any one record
BETWEEN = re.compile(r"[\s,]*")


class Reader:
    """One dataset's official files, one split of them.

    Iterating reads the split from its start and yields the sound records. A subclass sets the first four attributes
    and writes `_annotations`.

    Attributes:
        name: the dataset's name, the key in `READERS`.
        fields: names of the `Annotation` fields that it fills.
        splits: the splits there are.
        source: where the files are to be had.
        problems: (id, why) of each record that the last pass left out.
        watched: each file and folder on which the last pass depends, with its stamp before it was read.

    Args:
        root: the data root; image paths are relative to it.
        split: one of `splits`.

    Raises:
        InputError: there is no such split; while reading: an image path leads out of the data root.
        MissingFileError: while reading: an official file is missing.
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
        yield from self._annotations()

    def _annotations(self) -> Iterator[Annotation]:
        """The sound records of the split; the others are told to `leave_out`."""
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
        """The first of several places below the root that exists.

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
        with self.file(*candidates).open("rb") as stream:
            return json.load(stream)

    def json_lines(self, *candidates: str) -> Iterator[Any]:
        """The records of a file with one JSON value a line (see `file`)."""
        with self.file(*candidates).open("rb") as stream:
            for line in stream:
                if line.strip():
                    yield json.loads(line)

    def json_items(self, *candidates: str) -> Iterator[Any]:
        """The items of a file that is one JSON list of records, one by one: the list may be larger than the memory.

        Raises:
            InputError: the file is no such list.
        """
        decoder = json.JSONDecoder()
        with self.file(*candidates).open(encoding="utf-8") as stream:
            text, start = stream.read(CHUNK), 0
            if not text.lstrip().startswith("["):
                raise InputError(f"{stream.name} is no JSON list")
            start = text.index("[") + 1
            while True:
                start = BETWEEN.match(text, start).end()  # type: ignore[union-attr]
                if text.startswith("]", start):
                    return
                try:
                    item, start = decoder.raw_decode(text, start)
                except json.JSONDecodeError:
                    more = stream.read(CHUNK)
                    if not more:
                        raise
                    text, start = text[start:] + more, 0
                    continue
                yield item


def stamp(path: str) -> Stamp | None:
    """Size in bytes and time of the last change in nanoseconds; None where there is no such file or folder."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def inside(path: str) -> str:
    """The path, if it stays below the data root.

    Args:
        path: relative, with forward slashes.

    Raises:
        InputError: it, or a part of it, is absolute or climbs out.
    """
    # A backslash or a colon in second place is a way out on Windows only; no dataset has either in a name.
    if "\\" in path or path[1:2] == ":" or not {"", ".."}.isdisjoint(path.split("/")):
        raise InputError(f"the image path {path!r} leads out of the data root")
    return path


def clip_box(box: Sequence[float], size: Size) -> Box | None:
    """A box without the part that overhangs its image.

    Args:
        box: xyxy in pixels.
        size: (H, W) of the image in pixels.

    Returns:
        xyxy in pixels, or None where no area is left (also for a box that is no four numbers).
    """
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


def segmentation_problem(segmentation: Any, size: Size) -> str:
    """Why a COCO segmentation cannot be drawn, or an empty string.

    Args:
        segmentation: list of flat polygons [x1, y1, x2, y2, ...] in pixels, or an RLE dict.
        size: (H, W) of the image.
    """
    if isinstance(segmentation, dict):
        if list(segmentation.get("size", ())) != list(size):
            return f"its mask has size {segmentation.get('size')}, its image {list(size)}"
        return ""
    if not isinstance(segmentation, list) or not any(len(polygon) >= 6 for polygon in segmentation):
        return "its mask has no polygon of three points or more"
    return ""
