"""Molmo 2: points in parts per 1000, no boxes.

Point to the cats       -> <points coords="1 1 104 250 2 396 541">the cats</points>

An image's number from 1, then each object's number with its x and y; images are told apart by `;` or a tab.
https://allenai.org/molmo
"""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from vista.data import Box, Size
from vista.others.family import CannotAsk, Family, Point, Question

_POINTS = re.compile(r'<points? coords="([^"<>]{0,20000})"[^<>]{0,500}>')
_GROUP = re.compile(r"\s*(\d{1,4})((?:\s+\d{1,5}\s+\d{3,4}\s+\d{3,4})+)\s*")


class Molmo2(Family):
    """Words and points."""

    name = "Molmo 2"
    model_types = ("molmo2",)
    asked = frozenset({"words", "points"})
    takes = frozenset({"several images", "several turns"})
    reasons: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("box", "boxes", "spots", "a box"), "it was taught points, no boxes"),
        **dict.fromkeys(("mask", "masks", "groups", "pair"), "it was taught points, no outlines"),
        "a point": "it was taught to point, not to be pointed at",
    }

    def ask(self, question: Question) -> str:
        """`Point to` what is looked for."""
        if question.kind == "points" and question.expression:
            return f"<image>Point to {question.expression}"
        return question.text

    def write_boxes(self, boxes: Sequence[Box], size: Size, name: str = "object") -> str:
        """Never."""
        raise CannotAsk(self.lacking("box"))

    def read_boxes(self, text: str, size: Size) -> list[Box] | None:
        """None: there are none."""
        return None

    def write_points(self, points: Sequence[Point], size: Size, name: str = "object") -> str:
        """All points of the first image."""
        written = ""
        for number, point in enumerate(points, 1):
            x, y = self.to_grid(point, size)
            written += f" {number} {int(x):03d} {int(y):03d}"
        return f'<points coords="1{written}">{name}</points>' if points else ""

    def read_points(self, text: str, size: Size) -> list[Point] | None:
        """The points in the first image."""
        numbers: list[float] = []
        for coords in _POINTS.findall(text):
            for group in re.split(r"[;\t]", coords):
                found = _GROUP.fullmatch(group)
                if found is None:
                    return None
                if int(found[1]) == 1:
                    triples = [float(number) for number in found[2].split()]
                    numbers += [number for k, number in enumerate(triples) if k % 3]
        if "<point" in _POINTS.sub("", text):
            return None
        return self.points_of(numbers, size)
