"""Boxes in the JSON files that others train on: of ms-swift, LLaVA, Qwen-VL, InternVL and Shikra, see conversations.py.

    train.jsonl, val.jsonl, test.jsonl      or .json, a list, or .tar; or one file and shares, see own.py
    photos/1.jpg                            image paths below the data root, or below own.images

The form is that of the first record that shows one, or own.form. All boxes of a file are held against the sizes of
their images, see conventions.py. An image is opened for its size where the record does not state `width` and `height`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.readers.conventions import CONVENTIONS, find, in_pixels, verify
from datamodules.readers.conversations import (
    FORMS,
    STATED,
    Mention,
    UnusableError,
    images_of,
    mentions,
)
from datamodules.readers.mask_images import UNREADABLE, damage
from datamodules.readers.own import Named, OwnReader, other_file
from datamodules.readers.own_records import read_records
from datamodules.readers.records import Record
from vista.data import Box, InputError, Size
from vista.geometry import clip_box
from vista.shards import ENDING, is_file, opened
from vista.unsound import all_finite, is_number, size_problem


@dataclass
class Placed:
    """A mention with its image: its path below the data root, and (H, W)."""

    id: str
    mention: Mention
    image: str
    size: Size


class JsonlReader(OwnReader):
    """An expression holds for the boxes that a record names after it. There are no masks."""

    name = "jsonl"
    fields = frozenset({"expression", "boxes", "sizes"})
    source = "https://swift.readthedocs.io/en/latest/Customization/Custom-dataset.html"
    takes = frozenset({"images", "form", "coordinates", "prompt"})
    endings = (".jsonl", ".json", ENDING)

    def _named(self) -> Iterator[Named]:
        own = self.own
        if own.form not in ("", *FORMS):
            raise InputError(f"own.form is {own.form!r}; there are {', '.join(FORMS)}")
        if own.coordinates not in ("", *CONVENTIONS):
            raise InputError(
                f"own.coordinates is {own.coordinates!r}; there are {', '.join(CONVENTIONS)}"
            )
        if own.prompt and own.prompt.count("{}") != 1:
            raise InputError(
                f"own.prompt is {own.prompt!r}; {{}} stands once in it, for the expression"
            )
        path, *others = self.places()
        form, records = read_records(self, [path, *others], own.form)
        placed: list[Placed] = []
        for number, (record, image) in enumerate(records, start=1):
            try:
                placed += self._placed(number, record, form, image)
            except UnusableError as error:
                self.leave_out(f"record {number}", str(error))
        if not placed:
            notes = f", as the first note says: {self.problems[0][1]}" if self.problems else ""
            raise other_file(path, f"no record of the form {form} in it can be used{notes}")
        conventions, found = self._conventions(path, form, placed)
        for each in placed:
            yield from self._in_pixels(each, conventions[each.mention.stated], found)

    def _placed(self, number: int, record: Record, form: str, beside: str) -> list[Placed]:
        """The mentions of a record; `beside`: the path of its image where both lie in a shard."""
        images = [beside] if beside else images_of(record, form)
        found = list(mentions(record, form, self.own.prompt))
        if len(images) > 1 and form != "ms-swift":
            raise UnusableError(
                f"it has {len(images)} images, and nothing says which one a box is in"
            )
        sizes: dict[int, tuple[str, Size]] = {}
        placed = []
        for place, mention in enumerate(found):
            if not 0 <= mention.image < len(images):
                raise UnusableError(
                    f"its image_id is {mention.image}, and it has {len(images)} images"
                )
            if mention.image not in sizes:
                path = beside or self.images.path(images[mention.image])
                stated = record if len(images) == 1 else {}
                sizes[mention.image] = path, self._size(path, stated)
            image, size = sizes[mention.image]
            placed.append(Placed(f"{number}_{place}", mention, image, size))
        return placed

    def _size(self, path: str, record: Record) -> Size:
        """The (H, W) of an image, as its record states it, or as it is.

        Raises:
            UnusableError: there is no such image, or it is damaged.
        """
        if record.get("width") is not None and record.get("height") is not None:
            stated = (record["height"], record["width"])
            problem = size_problem(stated)
            if problem:
                raise UnusableError(problem)
            return stated
        file = self.root / path
        self.watch(file.parent)
        if not is_file(file):
            raise UnusableError(f"the image {path} is missing")
        try:
            with Image.open(opened(file)) as image:
                return image.height, image.width
        except UNREADABLE as error:
            raise UnusableError(damage(file, error)) from error

    def _conventions(
        self, path: Path, form: str, placed: list[Placed]
    ) -> tuple[dict[str, str], str]:
        """The convention of the records of each statement, and a sentence about the file.

        Raises:
            InputError: the numbers contradict what is stated, or leave open what is not.
        """
        found: dict[str, str] = {}
        said = []
        for stated in dict.fromkeys(each.mention.stated for each in placed):
            boxes, sizes = boxes_of(each for each in placed if each.mention.stated == stated)
            by = (
                "own.coordinates"
                if self.own.coordinates
                else "bbox_type"
                if stated
                else f"the form {form}"
            )
            convention = self.own.coordinates or stated or STATED.get(form, "")
            doubt = ""
            if not len(boxes):
                convention = convention or "pixels"  # each box of it is left out
            elif convention:
                doubt = verify(str(path), boxes, sizes, convention, by)
            else:
                convention, by = find(str(path), boxes, sizes), "the numbers"
            found[stated] = convention
            doubt = f"; BUT {doubt}" if doubt else ""
            said.append(
                f"coordinates are {convention} by {by}, {len(boxes)} boxes looked at{doubt}"
            )
        return found, f"{path.name}: form {form}, {'; '.join(said)}"

    def _in_pixels(self, placed: Placed, convention: str, found: str) -> Iterator[Named]:
        boxes: list[Box] = []
        for numbers in placed.mention.boxes:
            sound = all_finite(numbers) and all(map(is_number, numbers))
            box = (
                clip_box(in_pixels(numbers, placed.size, convention), placed.size)
                if sound
                else None
            )
            if box is None:
                self.leave_out(placed.id, f"its box {numbers} has no area inside its image")
                return
            boxes.append(box)
        yield Named(
            placed.id, placed.image, placed.size, placed.mention.expression, boxes, found=found
        )


def boxes_of(placed: Iterator[Placed]) -> tuple[np.ndarray, np.ndarray]:
    """The boxes of ordinary numbers with two corners in order, float (N, 4), and (H, W) of their images, int (N, 2)."""
    boxes, sizes = [], []
    for each in placed:
        for box in each.mention.boxes:
            if all_finite(box) and all(map(is_number, box)) and box[0] < box[2] and box[1] < box[3]:
                boxes.append(box)
                sizes.append(each.size)
    return np.array(boxes, float).reshape(-1, 4), np.array(sizes, int).reshape(-1, 2)
