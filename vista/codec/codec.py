"""Regions <-> the paper's text (Sec. 3.2). Writing and reading stand side by side; a change of one is a change of both.

    point   "[320, 411]"
    box     "[104, 250, 396, 541]"                  xyxy
    boxes   "[104, ...] <bsep> [577, ...]"
    mask    "[104, 250, 131, 263, ..., 98, 301]"    N points of the contour
    masks   "[104, ...] <msep> []"                  [] is an empty mask

Regions are in pixels of the original image (edge convention), numbers in bins of its width and height. What is read was
written by a model: it is judged here (`malformed`), never repaired, and raises nothing.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from vista.codec.contour import Method, Multipart, decode, encode
from vista.codec.quantize import Scale, dequantize, quantize
from vista.data import Box, InputError, Mask, Size

BOX_SEPARATOR, MASK_SEPARATOR = " <bsep> ", " <msep> "
_GROUP = re.compile(r"\[([^\[\]]*)\]")
_NUMBERS = re.compile(r" *[0-9]{1,9} *(?:, *[0-9]{1,9} *)*")
_STRAY = re.compile(r"<bsep>|<msep>|[0-9] *, *[0-9]")


class Codec:
    """How points, boxes and masks are written as text and read back.

    Args:
        num_bins: bins per axis; a number is 0..num_bins - 1 and at most 999.
        num_points: N, points per mask.
        method: how the N points are chosen, see `vista.codec.contour`.
        multipart: what becomes of a mask of several parts, see `vista.codec.contour`; `separate` writes one each.
        scale: how pixels become bins, see `vista.codec.quantize`.

    Raises:
        InputError: a setting is out of range or unknown.
    """

    def __init__(
        self,
        num_bins: int = 1000,
        num_points: int = 32,
        method: Method = "adaptive",
        multipart: Multipart = "largest",
        scale: Scale = "bins-1",
    ) -> None:
        if not 2 <= num_bins <= 1000:
            raise InputError(f"num_bins is {num_bins}; coordinates have tokens for 2 to 1000 bins")
        self.num_bins, self.num_points, self.scale = num_bins, num_points, scale
        self.method, self.multipart = method, multipart
        self._sequences(
            np.ones((2, 2), dtype=bool)
        )  # refuses unknown settings now, not at the first sample

    def point_to_text(self, point: Sequence[float], size: Size) -> str:
        """`[x, y]` of a point (x, y) in pixels of an image of (H, W)."""
        return _bracket(self._to_bins(point, size))

    def parse_points(self, text: str, size: Size) -> tuple[list[tuple[float, float]], bool]:
        """Points (x, y) in pixels, and whether the text is malformed; see `parse_boxes`."""
        groups = self._read_groups(text)
        if groups is None or any(len(group) != 2 for group in groups):
            return [], True
        return [(x, y) for x, y in (self._to_pixels(group, size) for group in groups)], False

    def box_to_text(self, box: Sequence[float], size: Size) -> str:
        """`[x0, y0, x1, y1]` of a box, xyxy in pixels of an image of (H, W); at least one bin wide and high.

        Raises:
            InputError: a second corner lies before the first.
        """
        return _bracket(self._box_bins(box, size))

    def boxes_to_text(self, boxes: Iterable[Sequence[float]], size: Size, sort: bool = True) -> str:
        """Boxes joined by ` <bsep> `; none: the empty text.

        Args:
            boxes: xyxy in pixels.
            size: (H, W) of the image.
            sort: by the first corner, least x + y in bins, ties least y; False keeps the order.
        """
        bins = [self._box_bins(box, size) for box in boxes]
        if sort:
            bins.sort(key=_first_point)
        return BOX_SEPARATOR.join(map(_bracket, bins))

    def parse_boxes(self, text: str, size: Size) -> tuple[list[Box], bool]:
        """Boxes of a text.

        Args:
            text: what the model wrote, without special tokens.
            size: (H, W) of the image.

        Returns:
            boxes, xyxy in pixels; and whether the text is malformed, then without boxes: a bracket that is not four
            numbers 0..num_bins - 1 with x1 > x0 and y1 > y0, an open bracket, or numbers without one. A text
            without any of these is no box and well-formed.
        """
        groups = self._read_groups(text)
        if groups is None or not all(len(g) == 4 and g[0] < g[2] and g[1] < g[3] for g in groups):
            return [], True
        return [
            (x0, y0, x1, y1) for x0, y0, x1, y1 in (self._to_pixels(g, size) for g in groups)
        ], False

    def mask_to_text(self, mask: Mask, keep_empty: bool = False) -> str:
        """`[x0, y0, ...]` of a mask, bool (H, W); an empty one is the empty text, or `[]` with `keep_empty`."""
        return self.masks_to_text([mask], keep_empty)

    def masks_to_text(
        self, masks: Iterable[Mask], keep_empty: bool = False, sort: bool = False
    ) -> str:
        """Masks joined by ` <msep> `; none: the empty text.

        Args:
            masks: bool (H, W), each of its own size where they stand for different images.
            keep_empty: write an empty mask as `[]`, else leave it out.
            sort: by the first point, least x + y in bins, ties least y, empty ones last; False keeps the order.
        """
        parts = [self._sequences(mask) or [[]] for mask in masks]
        if sort:
            parts.sort(key=lambda sequences: _first_point(sequences[0]))
        return MASK_SEPARATOR.join(
            _bracket(s) for sequences in parts for s in sequences if s or keep_empty
        )

    def parse_masks(self, text: str, size: Size) -> tuple[list[Mask], bool]:
        """Masks of a text, one per bracket: bool (H, W) at the size given, and whether the text is malformed.

        As `parse_boxes`, but a bracket holds an even count of at least six numbers, or none: an empty mask.
        """
        groups = self._read_groups(text)
        if groups is None or not all(_is_polygon(group) for group in groups):
            return [], True
        points = [np.array(group, dtype=np.int64).reshape(-1, 2) for group in groups]
        return [decode(p, size, self.num_bins, self.scale) for p in points], False

    def _to_bins(self, numbers: Sequence[float], size: Size) -> list[int]:
        points = np.asarray(numbers, dtype=np.float64).reshape(-1, 2)
        return quantize(points, (size[1], size[0]), self.num_bins, self.scale).ravel().tolist()

    def _to_pixels(self, bins: Sequence[int], size: Size) -> list[float]:
        points = np.asarray(bins, dtype=np.int64).reshape(-1, 2)
        return dequantize(points, (size[1], size[0]), self.num_bins, self.scale).ravel().tolist()

    def _box_bins(self, box: Sequence[float], size: Size) -> list[int]:
        x0, y0, x1, y1 = self._to_bins(box, size)
        if x1 < x0 or y1 < y0:
            raise InputError(f"box {tuple(box)} is not xyxy: a second corner lies before the first")
        (x0, x1), (y0, y1) = self._widen(x0, x1), self._widen(y0, y1)
        return [x0, y0, x1, y1]

    def _widen(self, low: int, high: int) -> tuple[int, int]:
        """A side of at least one bin, shifted inward at the border, so that x1 > x0 always holds."""
        low = min(low, self.num_bins - 2)
        return low, max(high, low + 1)

    def _sequences(self, mask: Mask) -> list[list[int]]:
        """The flat sequences of a mask, one per part that is drawn."""
        arrays = encode(
            mask, self.num_points, self.method, self.multipart, self.num_bins, self.scale
        )
        return [array.ravel().tolist() for array in arrays]

    def _read_groups(self, text: str) -> list[list[int]] | None:
        """The numbers of every bracket; None where a bracket or what stands around it is malformed."""
        inside = _GROUP.findall(text)
        around = _GROUP.sub(" ", text)
        if "[" in around or "]" in around or (not inside and _STRAY.search(text)):
            return None
        groups = [self._read_numbers(group) for group in inside]
        return [g for g in groups if g is not None] if None not in groups else None

    def _read_numbers(self, inside: str) -> list[int] | None:
        if not inside.strip(" "):
            return []
        if not _NUMBERS.fullmatch(inside):
            return None
        numbers = [int(number) for number in inside.split(",")]
        return numbers if max(numbers) < self.num_bins else None


def _bracket(bins: Iterable[int]) -> str:
    return f"[{', '.join(map(str, bins))}]"


def _first_point(bins: Sequence[int]) -> tuple[float, float]:
    """Key that orders regions: x + y of the first point, then y; a region without points comes last."""
    return (bins[0] + bins[1], bins[1]) if bins else (float("inf"), 0)


def _is_polygon(group: Sequence[int]) -> bool:
    return not group or (len(group) >= 6 and len(group) % 2 == 0)
