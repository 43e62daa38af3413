"""Regions <-> the paper's text (Sec. 3.2). Writing and reading stand side by side; a change of one is a change of both.

    point   "[320, 411]"
    box     "[104, 250, 396, 541]"                  xyxy
    boxes   "[104, ...] <bsep> [577, ...]"
    mask    "[104, 250, 131, 263, ..., 98, 301]"    N points of the contour
    masks   "[104, ...] <msep> []"                  [] is an empty mask

Regions are in pixels of the original image (edge convention), numbers in bins of its width and height.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from vista.codec.brackets import is_box, is_point, read_brackets
from vista.codec.masks import MaskCodec, bracket, first_point
from vista.codec.quantize import dequantize, quantize
from vista.data import Box, InputError, Size

BOX_SEPARATOR = " <bsep> "


class Codec(MaskCodec):
    """How points, boxes and, by inheritance, masks are written as text and read back; settings as in `MaskCodec`."""

    def point_to_text(self, point: Sequence[float], size: Size) -> str:
        """`[x, y]` of a point (x, y) in pixels of an image of (H, W)."""
        return bracket(self._to_bins(point, size))

    def parse_points(self, text: str, size: Size) -> tuple[list[tuple[float, float]], bool]:
        """Points (x, y) in pixels, and whether the text is malformed; see `parse_boxes`."""
        brackets = read_brackets(text, self.num_bins)
        if brackets is None or not all(map(is_point, brackets)):
            return [], True
        points = []
        for numbers in brackets:
            x, y = self._to_pixels(numbers, size)
            points.append((x, y))
        return points, False

    def box_to_text(self, box: Sequence[float], size: Size) -> str:
        """`[x0, y0, x1, y1]` of a box, xyxy in pixels of an image of (H, W); at least one bin wide and high.

        Raises:
            InputError: a second corner lies before the first.
        """
        return bracket(self._box_bins(box, size))

    def boxes_to_text(self, boxes: Iterable[Sequence[float]], size: Size, sort: bool = True) -> str:
        """Boxes joined by ` <bsep> `; none: the empty text.

        Args:
            boxes: xyxy in pixels.
            size: (H, W) of the image.
            sort: by the first corner, least x + y in bins, ties least y; False keeps the order.
        """
        bins = [self._box_bins(box, size) for box in boxes]
        if sort:
            bins.sort(key=first_point)
        return BOX_SEPARATOR.join(map(bracket, bins))

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
        brackets = read_brackets(text, self.num_bins)
        if brackets is None or not all(map(is_box, brackets)):
            return [], True
        boxes = []
        for numbers in brackets:
            x0, y0, x1, y1 = self._to_pixels(numbers, size)
            boxes.append((x0, y0, x1, y1))
        return boxes, False

    def _to_bins(self, numbers: Sequence[float], size: Size) -> list[int]:
        height, width = size
        points = np.asarray(numbers, dtype=np.float64).reshape(-1, 2)
        return quantize(points, (width, height), self.num_bins, self.scale).ravel().tolist()

    def _to_pixels(self, bins: Sequence[int], size: Size) -> list[float]:
        height, width = size
        points = np.asarray(bins, dtype=np.int64).reshape(-1, 2)
        return dequantize(points, (width, height), self.num_bins, self.scale).ravel().tolist()

    def _box_bins(self, box: Sequence[float], size: Size) -> list[int]:
        x0, y0, x1, y1 = self._to_bins(box, size)
        # In bins, since a corner may be rounded onto the other one, which `_widen` mends.
        if x1 < x0 or y1 < y0:
            raise InputError(f"box {tuple(box)} is not xyxy: a second corner lies before the first")
        x0, x1 = self._widen(x0, x1)
        y0, y1 = self._widen(y0, y1)
        return [x0, y0, x1, y1]

    def _widen(self, low: int, high: int) -> tuple[int, int]:
        """A side of at least one bin, shifted inward at the border, so that x1 > x0 always holds."""
        low = min(low, self.num_bins - 2)
        return low, max(high, low + 1)
