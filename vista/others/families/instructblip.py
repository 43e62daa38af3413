"""InstructBLIP: words; it was taught no places, so a box in JSON is asked for, and what comes is scored.

[{"bbox_2d": [104, 250, 396, 541], "label": "the cat"}]

One image, squashed into a square, and no chat template: the question is all. arXiv:2305.06500
"""

from collections.abc import Mapping
from itertools import chain
from typing import ClassVar

from vista.others.family import Question
from vista.others.json_places import JsonFamily


class InstructBlip(JsonFamily):
    """Words, and boxes in JSON."""

    name = "InstructBLIP"
    model_types = ("instructblip",)
    asked = frozenset({"words", "box", "boxes"})
    takes = frozenset({"several turns", "a box"})
    reasons: ClassVar[Mapping[str, str]] = {"several images": "its model takes one image"}
    chat = False
    alone = True

    def ask(self, question: Question) -> str:
        """The turns in a row; the processor puts the image before them itself."""
        turns = chain.from_iterable(question.before)
        text = super().ask(question).replace("<image>", "")
        return " ".join(" ".join([*turns, text]).replace("<image>", "").split())
