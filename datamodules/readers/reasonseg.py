"""ReasonSeg: an implicit question, and the mask of what answers it (RES).

https://github.com/dvlab-research/LISA
Lai et al., LISA: Reasoning Segmentation via Large Language Model, CVPR 2024.

    reason_seg/ReasonSeg/train/4948091013_ce9ea3db30_o.jpg, .json       val and test likewise

    {"shapes": [{"label": "target", "points": [[x, y], ...]}, {"label": "ignore", ...}, {"label": "flag", ...}],
     "text": ["What ...?", ...], "is_sentence": true}

Regions are drawn as LISA's `utils/data_processing.py` draws them, the largest first and their outlines with them, so
that a small one is not hidden. What is to be ignored counts neither as found nor as missed (`extra["ignored"]`). In
training each text is a question; val and test ask the first.
"""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from datamodules.readers.folder import box_of
from datamodules.readers.mask_images import UNREADABLE, damage
from datamodules.readers.reader import Reader
from datamodules.readers.records import Record, known_format, misfit
from vista.damage import contents, looks_like
from vista.data import Annotation, Size
from vista.rle import encode_mask
from vista.unsound import all_finite, size_problem

FOLDER = "reason_seg/ReasonSeg"
SHAPES = {"shapes": [{"label": str, "points": [[int | float]]}], "text": [str]}
TARGET, IGNORED = 1, 255
FARTHEST = 1 << 15  # pixels to which cv2 draws


class ReasonSegReader(Reader):
    """One annotation per question, with the mask of all its regions. The id is `<image>_<place of the text>`."""

    name = "reasonseg"
    fields = frozenset({"expression", "boxes", "segmentations", "sizes"})
    splits = ("train", "val", "test")
    source = "https://github.com/dvlab-research/LISA#dataset"

    def _annotations(self) -> Iterator[Annotation]:
        folder = self.watch(self.file(f"{FOLDER}/{self.split}"))
        for image in sorted(folder.glob("*.jpg")):
            file = self.watch(image.with_suffix(".json"))
            try:
                with Image.open(image) as opened:
                    size = (opened.height, opened.width)
            except UNREADABLE as error:
                self.leave_out(image.name, damage(image, error))
                continue
            record = _record(contents(file)) if file.is_file() else {}
            why = _problem(record, size) if record else _no_record(file)
            if why:
                self.leave_out(image.name, f"{file.name} {why}")
                continue
            drawn = draw(record["shapes"], size)
            if not (drawn == TARGET).any():
                self.leave_out(image.name, f"{file.name} draws no pixel")
                continue
            texts = record["text"] if self.split == "train" else record["text"][:1]
            for place, text in enumerate(texts):
                yield self._annotation(image, place, text.strip(), drawn)

    def _annotation(self, image: Path, place: int, text: str, drawn: np.ndarray) -> Annotation:
        path = image.relative_to(self.root).as_posix()
        ignored = encode_mask(drawn == IGNORED) if (drawn == IGNORED).any() else None
        return Annotation(
            id=f"{image.stem}_{place}",
            images=(path,),
            sizes=(drawn.shape,),  # type: ignore[arg-type]
            expression=text,
            boxes=(box_of(drawn == TARGET),),
            segmentations=(encode_mask(drawn == TARGET),),
            extra={"ignored": ignored} if ignored else {},
            photos=((f"reasonseg {image.name}",),),
        )


def draw(shapes: list[Record], size: Size) -> np.ndarray:
    """What each pixel of an image of (H, W) is: 0, `TARGET` or `IGNORED`, uint8 (H, W)."""
    kept = [shape for shape in shapes if shape["label"].lower() != "flag"]
    areas = [int(_drawn(np.zeros(size, np.uint8), shape, 1).sum()) for shape in kept]
    values = np.zeros(size, np.uint8)
    # As `np.argsort(areas)[::-1]`: of two of one area the later comes first.
    for place in np.argsort(areas)[::-1]:
        ignored = "ignore" in kept[place]["label"].lower()
        _drawn(values, kept[place], IGNORED if ignored else TARGET)
    return values


def _drawn(values: np.ndarray, shape: Record, value: int) -> np.ndarray:
    points = np.array(shape["points"], dtype=np.int32)  # (N, 2), cut to whole pixels
    cv2.polylines(values, [points], True, value, 1)
    cv2.fillPoly(values, [points], value)
    return values


def _record(content: bytes) -> Record:
    """A file of regions; empty where it is none."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")  # some are
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _no_record(file: Path) -> str:
    """Why nothing was read from a file."""
    found = looks_like(file, "JSON") if file.is_file() else ""
    return "is not there, or no JSON" + (f": it looks like {found}" if found else "")


def _problem(record: Record, size: Size) -> str:
    """What is wrong with a file of regions on an image of (H, W); nothing where it is sound."""
    why = size_problem(size) or misfit(record, SHAPES)
    if why:
        found = known_format(record)
        return f"{why}; it looks like {found}" if found else why
    if not record["text"] or not all(map(str.strip, record["text"])):
        return "has no question"
    for shape in record["shapes"]:
        numbers = list(chain.from_iterable(shape["points"]))
        pairs = all(len(point) == 2 for point in shape["points"])
        if not numbers or not pairs or not all_finite(numbers) or max(map(abs, numbers)) > FARTHEST:
            return "has a region that cannot be drawn"
    return ""
