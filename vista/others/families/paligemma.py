"""PaliGemma 1 and 2: `<locYYYY>` tokens, y before x, 1023 for the far edge.

detect the cat                  -> <loc0256><loc0106><loc0553><loc0405> the cat ; <loc...> the cat
segment the cat                 -> four of them, then 16 <segNNN>: a mask inside the box

There is no chat template: a prefix says what is asked. Masks are drawn by a decoder that transformers does not hold;
they are asked for where its file is named. https://ai.google.dev/gemma/docs/paligemma
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from vista.codec.rings import find_rings
from vista.data import Box, Size
from vista.others.family import PLACE, CannotAsk, Point, Polygon, Question, clamped, whole
from vista.others.marks import Marked
from vista.others.mask_decoder import CODES, NUM_TOKENS, MaskDecoder

_LOC = re.compile(r"<loc(\d{4})>")
_CODE = re.compile(r"<seg(\d{3})>")
PREFIXES = {"caption": "caption en", "reg": "caption {}", "box": "detect {}", "boxes": "detect {}"}


class PaliGemma(Marked):
    """Boxes as four tokens."""

    name = "PaliGemma"
    model_types: ClassVar[tuple[str, ...]] = ("paligemma",)
    asked = frozenset({"words", "box", "boxes"})
    takes = frozenset({"a box"})
    reasons: ClassVar[Mapping[str, str]] = {
        "mask": "its masks need a decoder's weights, vae-oid.npz, named by --mask_decoder",
        "masks": "its masks need a decoder's weights, vae-oid.npz, named by --mask_decoder",
        "a point": "it was taught boxes, no points",
        "several images": "it was taught with one image",
        "several turns": "it was taught to answer one question",
    }
    chat = False
    place = re.compile(r"((?:<loc\d{4}>){4})(?:\s?[^<>;]{0,200}\s*;?)")
    stray = re.compile(r"<loc")

    def ask(self, question: Question) -> str:
        """A prefix and what is asked; tokens of images come first, the processor adds the rest."""
        words = " ".join(question.text.replace("<image>", "").split())
        kind = question.task if question.task in PREFIXES else question.kind
        if kind == "reg":
            place = PLACE.search(words)
            if place is None:
                raise CannotAsk(f"{self.name} describes boxes alone")
            return f"<image>caption {place[0]}"
        looked_for = question.expression or words
        prefix = PREFIXES.get(kind, "answer en {}")
        return f"<image>{prefix.format(words if kind == 'words' else looked_for)}"

    def with_mask_decoder(self, file: Path) -> "PaliGemmaMasks":
        """The same, and it draws masks."""
        return PaliGemmaMasks(MaskDecoder(file), self.processor)

    def limits(self, size: Size) -> Point:
        """1023 is the far edge."""
        return 1023, 1023

    def to_grid(self, point: Point, size: Size) -> Point:
        """X first, as everywhere here; the order is turned where tokens are written."""
        height, width = size
        x, y = round(1023 * point[0] / width), round(1023 * point[1] / height)
        return clamped(x, 1023), clamped(y, 1023)

    def from_grid(self, point: Point, size: Size) -> Point:
        """By 1023 of each side."""
        height, width = size
        return point[0] / 1023 * width, point[1] / 1023 * height

    def write_box(self, box: Sequence[float], size: Size) -> str:
        """Four tokens: y1, x1, y2, x2."""
        x0, y0, x1, y1 = self.box_numbers(box, size)
        return "".join(f"<loc{int(number):04d}>" for number in (y0, x0, y1, x1))

    def write_boxes(self, boxes: Sequence[Box], size: Size, name: str = "object") -> str:
        """Each box with the name, joined by ` ; `."""
        return " ; ".join(f"{self.write_box(box, size)} {name}" for box in boxes)

    def boxes_in(self, inside: str, size: Size) -> list[Box] | None:
        """One box of four tokens."""
        y0, x0, y1, x1 = (float(number) for number in _LOC.findall(inside))
        return whole([self.box_of((x0, y0, x1, y1), size)])


class PaliGemmaMasks(PaliGemma):
    """PaliGemma with the decoder of its masks."""

    model_types = ()  # it is made of the other one
    asked = PaliGemma.asked | {"mask", "masks"}
    drawn = re.compile(
        rf"((?:<loc\d{{4}}>){{4}})((?:<seg\d{{3}}>){{{NUM_TOKENS}}})(?:\s?[^<>;]{{0,200}}\s*;?)"
    )

    def __init__(self, decoder: MaskDecoder, processor: Any = None) -> None:
        """Keep the decoder and the processor."""
        super().__init__(processor)
        self.decoder = decoder

    def ask(self, question: Question) -> str:
        """`segment` and what is looked for; the rest as without a decoder."""
        if question.kind in ("mask", "masks"):
            words = " ".join(question.text.replace("<image>", "").split())
            return f"<image>segment {question.expression or words}"
        return super().ask(question)

    def read_polygons(self, text: str, size: Size) -> list[Polygon] | None:
        """The outlines of all masks; None where a token is alone, off the code book, or a box has no area."""
        rest = self.drawn.sub("", text)
        if "<loc" in rest or "<seg" in rest:
            return None
        found: list[Polygon] = []
        for place, tokens in self.drawn.findall(text):
            boxes = self.boxes_in(place, size)
            codes = [int(code) for code in _CODE.findall(tokens)]
            if not boxes or max(codes) >= CODES:
                return None
            rings = find_rings(self.decoder.mask(codes, boxes[0], size))
            found += [ring.points.tolist() for ring in rings if not ring.hole]
        return found
