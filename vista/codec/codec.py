"""Regions <-> the paper's text (Sec. 3.2). Writing and reading stand side by side; a change of one is a change of both.

    point   "[320, 411]"
    box     "[104, 250, 396, 541]"                  xyxy
    boxes   "[104, ...] <bsep> [577, ...]"
    mask    "[104, 250, 131, 263, ..., 98, 301]"    N points of the contour
    masks   "[104, ...] <msep> []"                  [] is an empty mask

Regions are in pixels of the original image (edge convention), numbers in bins of its width and height.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np

from vista.codec.brackets import is_box, is_point, is_polygon, read_brackets
from vista.codec.contour import Method, Multipart, decode, encode
from vista.codec.quantize import Scale, dequantize, quantize
from vista.data import Box, InputError, Mask, Size

BOX_SEPARATOR, MASK_SEPARATOR = " <bsep> ", " <msep> "


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
        self.num_bins = num_bins
        self.num_points = num_points
        self.method = method
        self.multipart = multipart
        self.scale = scale
        # Refuses unknown settings now, not at the first sample.
        self._sequences(np.ones((2, 2), dtype=bool))

    def point_to_text(self, point: Sequence[float], size: Size) -> str:
        """`[x, y]` of a point (x, y) in pixels of an image of (H, W)."""
        return _bracket(self._to_bins(point, size))

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
        brackets = read_brackets(text, self.num_bins)
        if brackets is None or not all(map(is_box, brackets)):
            return [], True
        boxes = []
        for numbers in brackets:
            x0, y0, x1, y1 = self._to_pixels(numbers, size)
            boxes.append((x0, y0, x1, y1))
        return boxes, False

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
        written = [
            self._sequences(mask) or [[]] for mask in masks
        ]  # an empty mask has one empty sequence
        if sort:
            written.sort(key=lambda sequences: _first_point(sequences[0]))
        sequences = chain.from_iterable(written)
        return MASK_SEPARATOR.join(_bracket(bins) for bins in sequences if bins or keep_empty)

    def parse_masks(self, text: str, size: Size) -> tuple[list[Mask], bool]:
        """Masks of a text, one per bracket: bool (H, W) at the size given, and whether the text is malformed.

        As `parse_boxes`, but a bracket holds an even count of at least six numbers, or none: an empty mask.
        """
        brackets = read_brackets(text, self.num_bins)
        if brackets is None or not all(map(is_polygon, brackets)):
            return [], True
        masks = []
        for numbers in brackets:
            points = np.array(numbers, dtype=np.int64).reshape(-1, 2)  # (N, 2)
            masks.append(decode(points, size, self.num_bins, self.scale))
        return masks, False

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

    def _sequences(self, mask: Mask) -> list[list[int]]:
        """The flat sequences of a mask, one per part that is drawn."""
        arrays = encode(
            mask, self.num_points, self.method, self.multipart, self.num_bins, self.scale
        )
        return [array.ravel().tolist() for array in arrays]


def _bracket(bins: Iterable[int]) -> str:
    return f"[{', '.join(map(str, bins))}]"


def _first_point(bins: Sequence[int]) -> tuple[float, float]:
    """Key that orders regions: x + y of the first point, then y; a region without points comes last."""
    return (bins[0] + bins[1], bins[1]) if bins else (float("inf"), 0)
