"""InternVL 2 to 3.5: parts per 1000 of the whole image, whatever its tiles.

<ref>the cat</ref><box>[[104, 250, 396, 541], [577, 12, 640, 99]]</box>

https://internvl.readthedocs.io
"""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from vista.data import Box, Size
from vista.others.family import Question, whole
from vista.others.json_places import flat, json_values
from vista.others.marks import Marked


class InternVL(Marked):
    """Boxes in lists of lists behind a name."""

    name = "InternVL"
    model_types = ("internvl",)
    asked = frozenset({"words", "box", "boxes", "spots"})
    takes = frozenset({"several images", "several turns", "a box"})
    forms: ClassVar[Mapping[str, str]] = {
        "spots": "Answer with grounding: <ref>name</ref><box>[[x1, y1, x2, y2]]</box> for each object."
    }
    reasons: ClassVar[Mapping[str, str]] = {
        "mask": "it was taught boxes, no outlines",
        "a point": "it was taught boxes, no points",
    }
    place = re.compile(r"<box>([^<>]{0,2000})</box>")
    bare = re.compile(r"\[\[[^<>\[\]]{1,99}\](?:, ?\[[^<>\[\]]{1,99}\]){0,99}\]")
    stray = re.compile(r"</?box>|\[|\]")

    def ask(self, question: Question) -> str:
        """The sentence that it was taught by, with the name between its tags."""
        if question.kind in ("box", "boxes") and question.expression:
            return (
                "<image>\nPlease provide the bounding box coordinate of the region this sentence describes: "
                f"<ref>{question.expression}</ref>"
            )
        return super().ask(question)

    def write_box(self, box: Sequence[float], size: Size) -> str:
        """`<box>[[x1, y1, x2, y2]]</box>`."""
        return f"<box>{[self.box_numbers(box, size)]}</box>"

    def write_boxes(self, boxes: Sequence[Box], size: Size, name: str = "object") -> str:
        """The name, then all its boxes."""
        return f"<ref>{name}</ref><box>{[self.box_numbers(box, size) for box in boxes]}</box>"

    def boxes_in(self, inside: str, size: Size) -> list[Box] | None:
        """A list of lists of four numbers."""
        boxes: list[Box | None] = []
        for value in json_values(inside):
            if not isinstance(value, list):
                return None
            lists = value if value and isinstance(value[0], list) else [value]
            boxes += [self.box_of(flat(each) or (), size) for each in lists]
        found: list[Box] | None = whole(boxes)
        return found
