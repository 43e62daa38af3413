"""Families that write places between marks in running text: `the cat<|box_start|>(104,250),(396,541)<|box_end|>`."""

import re
from abc import abstractmethod
from typing import ClassVar

from vista.data import Box, Size
from vista.others.family import Family


class Marked(Family):
    """How places between marks are found.

    Attributes:
        place: a place with its marks; group 1 is what stands between them.
        bare: a place whose marks were left out; None: there is none such.
        stray: what is left only of a broken place.
    """

    place: ClassVar[re.Pattern[str]]
    bare: ClassVar[re.Pattern[str] | None] = None
    stray: ClassVar[re.Pattern[str]]

    @abstractmethod
    def boxes_in(self, inside: str, size: Size) -> list[Box] | None:
        """The boxes of one place; None where it is malformed."""

    def read_boxes(self, text: str, size: Size) -> list[Box] | None:
        """The boxes of all places."""
        spots = self.read_spots(text, size)
        if spots is None:
            return None
        boxes: list[Box] = []
        for piece in spots:
            boxes += piece if isinstance(piece, list) else []
        return boxes

    def read_spots(self, text: str, size: Size) -> list[str | list[Box]] | None:
        """Words and boxes in turns."""
        pattern = self.place
        if self.bare is not None and not pattern.search(text):
            pattern = re.compile(f"({self.bare.pattern})")
        pieces = pattern.split(text)
        read: list[str | list[Box]] = []
        for index, piece in enumerate(pieces):
            boxes = self.boxes_in(piece, size) if index % 2 else None
            if (index % 2 and boxes is None) or (not index % 2 and self.stray.search(piece)):
                return None
            read.append(piece if boxes is None else boxes)
        return read
