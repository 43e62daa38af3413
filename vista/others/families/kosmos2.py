"""Kosmos-2: two cells of a grid of 32 x 32, those of the first and of the last corner.

<grounding><phrase>the cat</phrase>     -> <object><patch_index_0099><patch_index_0556></object>

A box is read from the middles of its cells, or, where they share a row or a column, from their outer edges.
arXiv:2306.14824
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from vista.data import Box, Size
from vista.others.family import PLACE, CannotAsk, Question, clamped
from vista.others.marks import Marked

GRID = 32
_PATCH = re.compile(r"<patch_index_(\d{4})>")


class Kosmos2(Marked):
    """Boxes as two cells; only an answer to a phrase has them."""

    name = "Kosmos-2"
    model_types = ("kosmos-2",)
    asked = frozenset({"words", "box", "boxes", "spots"})
    takes = frozenset({"a box"})
    reasons: ClassVar[Mapping[str, str]] = {
        "mask": "it was taught boxes, no outlines",
        "masks": "it was taught boxes, no outlines",
        "a point": "it was taught boxes, no points",
        "several images": "it takes one image",
        "several turns": "it was taught no conversation",
    }
    chat = False
    alone = True
    place = re.compile(
        r"<object>((?:<patch_index_\d{4}>|</delimiter_of_multi_objects/>|\s){0,999})</object>"
    )
    stray = re.compile(r"</?object>|<patch_index")

    def ask(self, question: Question) -> str:
        """A phrase that the model goes on behind, a grounded caption, or a question; the processor puts the image."""
        words = " ".join(question.text.replace("<image>", "").split())
        if question.kind in ("box", "boxes"):
            if not question.expression:
                raise CannotAsk(self.lacking(question.kind))
            return f"<grounding><phrase>{question.expression}</phrase>"
        if question.kind == "spots":
            return "<grounding>An image of"
        if question.task == "caption":
            return "An image of"
        place = PLACE.search(words)
        if question.task == "reg" and place:
            return f"<grounding><phrase>It</phrase>{place[0]} is"
        return f"Question: {words} Answer:"

    def write_box(self, box: Sequence[float], size: Size) -> str:
        """`<object><patch_index_AAAA><patch_index_BBBB></object>`."""
        return f"<object>{self._cells(box, size)}</object>"

    def write_boxes(self, boxes: Sequence[Box], size: Size, name: str = "object") -> str:
        """The phrase, then its boxes."""
        cells = "</delimiter_of_multi_objects/>".join(self._cells(box, size) for box in boxes)
        return f"<phrase>{name}</phrase><object>{cells}</object>"

    def _cells(self, box: Sequence[float], size: Size) -> str:
        height, width = size
        x0, y0, x1, y1 = box
        first = _cell(math.floor, x0 / width, y0 / height)
        last = _cell(lambda value: math.ceil(value) - 1, x1 / width, y1 / height)
        return f"<patch_index_{first:04d}><patch_index_{last:04d}>"

    def boxes_in(self, inside: str, size: Size) -> list[Box] | None:
        """Two cells a box."""
        boxes: list[Box] = []
        for pair in inside.split("</delimiter_of_multi_objects/>"):
            cells = [int(cell) for cell in _PATCH.findall(pair)]
            if len(cells) != 2 or max(cells) >= GRID * GRID:
                return None
            box = _between(cells[0], cells[1], size)
            if box is None:
                return None
            boxes.append(box)
        return boxes


def _cell(cut: object, x: float, y: float) -> int:
    column, row = (int(clamped(cut(GRID * value), GRID - 1)) for value in (x, y))  # type: ignore[operator]
    return row * GRID + column


def _between(first: int, last: int, size: Size) -> Box | None:
    """The box of two cells in pixels; None where the second corner lies before the first."""
    (y0, x0), (y1, x1) = divmod(first, GRID), divmod(last, GRID)
    if x1 < x0 or y1 < y0:
        return None
    # In one row or column the middles would leave no box.
    low, high = (0.0, 1.0) if x0 == x1 or y0 == y1 else (0.5, 0.5)
    height, width = size
    across, down = width / GRID, height / GRID
    return (x0 + low) * across, (y0 + low) * down, (x1 + high) * across, (y1 + high) * down
