"""Qwen2-VL: parts per 1000 between special tokens.

<|object_ref_start|>the cat<|object_ref_end|><|box_start|>(104,250),(396,541)<|box_end|>

A point is one pair. https://github.com/QwenLM/Qwen2-VL
"""

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import ClassVar

from vista.data import Box, Size
from vista.others.family import Point, Question, whole
from vista.others.marks import Marked

_PAIR = re.compile(r"\(\s*(\d{1,4})\s*,\s*(\d{1,4})\s*\)")
SENTENCES = {
    "box": "Give the bounding box of {}.",
    "boxes": "Give the bounding box of each of {}, or say that there is none.",
    "points": "Point at {}.",
}


class Qwen2VL(Marked):
    """Boxes as two pairs of numbers; the tokens around them are special, so answers are decoded with these."""

    name = "Qwen2-VL"
    model_types = ("qwen2_vl",)
    asked = frozenset({"words", "box", "boxes", "points", "spots"})
    takes = frozenset({"several images", "several turns", "a point", "a box"})
    forms: ClassVar[Mapping[str, str]] = {
        "spots": "Answer with grounding: the bounding box of each object behind its name."
    }
    reasons: ClassVar[Mapping[str, str]] = {"mask": "it was taught boxes and points, no outlines"}
    place = re.compile(r"<\|box_start\|>(.{0,99}?)<\|box_end\|>", re.DOTALL)
    bare = re.compile(r"\(\s*\d{1,4}\s*,\s*\d{1,4}\s*\)\s*,?\s*\(\s*\d{1,4}\s*,\s*\d{1,4}\s*\)")
    stray = re.compile(r"<\|box_(?:start|end)\|>|\(\s*\d+\s*,\s*\d+")

    def ask(self, question: Question) -> str:
        """The name of what is looked for stands between its tokens."""
        if question.kind not in SENTENCES or not question.expression:
            return super().ask(question)
        name = f"<|object_ref_start|>{question.expression}<|object_ref_end|>"
        return f"<image>{SENTENCES[question.kind].format(name)}"

    def write_point(self, point: Point, size: Size) -> str:
        """`<|box_start|>(x,y)<|box_end|>`."""
        return f"<|box_start|>{_pair(self.to_grid(point, size))}<|box_end|>"

    def write_box(self, box: Sequence[float], size: Size) -> str:
        """`<|box_start|>(x1,y1),(x2,y2)<|box_end|>`."""
        x0, y0, x1, y1 = self.box_numbers(box, size)
        return f"<|box_start|>{_pair((x0, y0))},{_pair((x1, y1))}<|box_end|>"

    def write_boxes(self, boxes: Sequence[Box], size: Size, name: str = "object") -> str:
        """The name, then the boxes."""
        written = "".join(self.write_box(box, size) for box in boxes)
        return f"<|object_ref_start|>{name}<|object_ref_end|>{written}"

    def boxes_in(self, inside: str, size: Size) -> list[Box] | None:
        """One box of two pairs."""
        numbers = _numbers(inside)
        clean = not _PAIR.sub("", inside).strip(" ,\n")
        return whole([self.box_of(numbers, size)]) if clean else None

    def read_points(self, text: str, size: Size) -> list[Point] | None:
        """Every pair."""
        numbers = _numbers(text)
        return self.points_of(numbers, size)


def _numbers(text: str) -> list[float]:
    return list(map(float, chain.from_iterable(_PAIR.findall(text))))


def _pair(point: Point) -> str:
    return f"({point[0]},{point[1]})"
