"""LLaVA-1.5: fractions, with two decimals, of the image padded to a square.

[0.10, 0.25, 0.40, 0.54]

The padding is half on either side, so a wide image has nothing above y = (1 - H / W) / 2. https://llava-vl.github.io
"""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from PIL import Image

from vista.data import Box, Size
from vista.others.family import Point, Question, clamped, whole
from vista.others.json_places import numbers_of
from vista.others.marks import Marked

GREY = (122, 116, 104)  # the mean of CLIP's images, with which the model was trained


class Llava(Marked):
    """Boxes as fractions of the padded square."""

    name = "LLaVA-1.5"
    model_types = ("llava",)
    asked = frozenset({"words", "box", "boxes"})
    takes = frozenset({"several turns", "a box"})
    reasons: ClassVar[Mapping[str, str]] = {"several images": "it was taught with one image"}
    place = re.compile(r"\[([^\[\]]{0,99})\]")
    stray = re.compile(r"[\[\]]|\d\s*,\s*\d")

    def ask(self, question: Question) -> str:
        """For one box the sentence that it was taught by."""
        if question.kind == "box" and question.expression:
            return (
                "<image>\nPlease provide the bounding box coordinate of the region this sentence describes: "
                f"{question.expression}"
            )
        form = "Answer with bounding boxes [x1, y1, x2, y2]." if question.kind != "words" else ""
        return f"{question.text} {form}".strip()

    def prepare(self, image: Image.Image) -> Image.Image:
        """Padded to a square, so that nothing is cut and coordinates are those that the model was taught."""
        side = max(image.size)
        square = Image.new("RGB", (side, side), GREY)
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        return square

    def limits(self, size: Size) -> Point:
        """The whole square."""
        return 1, 1

    def to_grid(self, point: Point, size: Size) -> Point:
        """Hundredths of the square."""
        side, left, top = _square(size)
        x, y = (point[0] + left) / side, (point[1] + top) / side
        return clamped(round(x, 2), 1), clamped(round(y, 2), 1)

    def from_grid(self, point: Point, size: Size) -> Point:
        """Without the padding; what lies in it is at the image's edge."""
        side, left, top = _square(size)
        x, y = point[0] * side - left, point[1] * side - top
        return clamped(x, size[1]), clamped(y, size[0])

    def write_box(self, box: Sequence[float], size: Size) -> str:
        """`[0.10, 0.25, 0.40, 0.54]`."""
        return f"[{', '.join(f'{number:.2f}' for number in self.box_numbers(box, size))}]"

    def write_boxes(self, boxes: Sequence[Box], size: Size, name: str = "object") -> str:
        """Boxes with commas between."""
        return ", ".join(self.write_box(box, size) for box in boxes)

    def boxes_in(self, inside: str, size: Size) -> list[Box] | None:
        """One box of four fractions."""
        return whole([self.box_of(numbers_of(inside) or (), size)])


def _square(size: Size) -> tuple[int, int, int]:
    """Side of the padded square, and what lies left of the image and above it, in pixels."""
    height, width = size
    side = max(height, width)
    return side, (side - width) // 2, (side - height) // 2
