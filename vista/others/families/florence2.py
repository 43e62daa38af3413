"""Florence-2: `<loc_N>` tokens, x first, bins of a thousandth whose middles are meant; outlines too.

<OPEN_VOCABULARY_DETECTION>the cat              -> the cat<loc_104><loc_250><loc_396><loc_541>
<REFERRING_EXPRESSION_SEGMENTATION>the cat      -> <loc_104><loc_250><loc_131><loc_263><loc_98><loc_301>

It knows tasks of its own and no questions in words. The library's reader is not used: it cuts coordinates to whole
pixels and loses letters outside ASCII. arXiv:2311.06242
"""

import math
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import ClassVar

from vista.data import Box, Size
from vista.others.family import PLACE, CannotAsk, Point, Polygon, Question, clamped, whole
from vista.others.marks import Marked

_LOC = re.compile(r"<loc_(\d{1,3})>")
TASKS = {
    "box": "<OPEN_VOCABULARY_DETECTION>",
    "boxes": "<OPEN_VOCABULARY_DETECTION>",
} | dict.fromkeys(("mask", "masks"), "<REFERRING_EXPRESSION_SEGMENTATION>")


class Florence2(Marked):
    """Boxes and outlines as tokens behind a name."""

    name = "Florence-2"
    model_types = ("florence2",)
    asked = frozenset({"words", "box", "boxes", "mask", "masks"})
    takes = frozenset({"a box"})
    reasons: ClassVar[Mapping[str, str]] = {
        "words": "it knows captions and places, no questions",
        "several images": "it takes one image",
        "several turns": "it takes no conversation",
    }
    chat = False
    place = re.compile(r"((?:<loc_\d{1,3}>){1,4096})")
    stray = re.compile(r"<loc")

    def ask(self, question: Question) -> str:
        """One of its own tasks; nothing may stand beside those that have no input."""
        if question.task == "caption":
            return "<CAPTION>"
        place = PLACE.search(question.text)
        if question.task == "reg" and place:
            return f"<REGION_TO_DESCRIPTION>{place[0]}"
        if question.kind not in TASKS:
            raise CannotAsk(self.lacking("words"))
        # The processor takes any of its tasks' names in the text for a task.
        expression = " ".join(question.expression.replace("<", " ").split())
        return f"{TASKS[question.kind]}{expression}"

    def to_grid(self, point: Point, size: Size) -> Point:
        """Bins 0..999, cut, not rounded."""
        height, width = size
        x, y = math.floor(1000 * point[0] / width), math.floor(1000 * point[1] / height)
        return clamped(x, 999), clamped(y, 999)

    def from_grid(self, point: Point, size: Size) -> Point:
        """The middle of a bin."""
        height, width = size
        return (point[0] + 0.5) / 1000 * width, (point[1] + 0.5) / 1000 * height

    def write_box(self, box: Sequence[float], size: Size) -> str:
        """Four tokens: x1, y1, x2, y2."""
        return _tokens(self.box_numbers(box, size))

    def write_boxes(self, boxes: Sequence[Box], size: Size, name: str = "object") -> str:
        """The name, then the boxes."""
        return name + "".join(self.write_box(box, size) for box in boxes)

    def write_polygons(self, polygons: Sequence[Polygon], size: Size, name: str = "object") -> str:
        """The name, then the parts with `<sep>` between."""
        parts = []
        for polygon in polygons:
            points = [self.to_grid(point, size) for point in polygon]
            parts.append(_tokens(list(chain.from_iterable(points))))
        return name + "<sep>".join(parts)

    def boxes_in(self, inside: str, size: Size) -> list[Box] | None:
        """Four tokens a box."""
        numbers = [float(number) for number in _LOC.findall(inside)]
        starts = range(0, len(numbers), 4)
        found: list[Box] | None = whole([self.box_of(numbers[k : k + 4], size) for k in starts])
        return found

    def read_polygons(self, text: str, size: Size) -> list[Polygon] | None:
        """Runs of tokens; what stands between two of them, `<sep>`, `</poly>` or a name, ends a part."""
        polygons = []
        pieces = self.place.split(text)
        if any(self.stray.search(piece) for piece in pieces[::2]):
            return None
        for piece in pieces[1::2]:
            points = self.points_of([float(n) for n in _LOC.findall(piece)], size)
            polygons.append(points if points and len(points) >= 3 else None)
        found: list[Polygon] | None = whole(polygons)
        return found


def _tokens(numbers: Sequence[float]) -> str:
    return "".join(f"<loc_{int(number)}>" for number in numbers)
