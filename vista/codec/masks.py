"""Masks <-> the paper's text (Sec. 3.2): the half of `vista.codec.codec.Codec` that has the settings.

mask    "[104, 250, 131, 263, ..., 98, 301]"    N points of the contour
masks   "[104, ...] <msep> []"                  [] is an empty mask
"""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np

from vista.codec.brackets import is_polygon, read_brackets
from vista.codec.contour import Method, Multipart, encode
from vista.codec.polygon_fill import decode
from vista.codec.quantize import Scale
from vista.data import InputError, Mask, Size

MASK_SEPARATOR = " <msep> "


class MaskCodec:
    """How masks are written as text and read back.

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
        # An empty mask has one empty sequence.
        written = [self._sequences(mask) or [[]] for mask in masks]
        if sort:
            written.sort(key=lambda sequences: first_point(sequences[0]))
        sequences = chain.from_iterable(written)
        return MASK_SEPARATOR.join(bracket(bins) for bins in sequences if bins or keep_empty)

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

    def _sequences(self, mask: Mask) -> list[list[int]]:
        """The flat sequences of a mask, one per part that is drawn."""
        arrays = encode(
            mask, self.num_points, self.method, self.multipart, self.num_bins, self.scale
        )
        return [array.ravel().tolist() for array in arrays]


def bracket(bins: Iterable[int]) -> str:
    """`[n, n, ...]` of numbers."""
    return f"[{', '.join(map(str, bins))}]"


def first_point(bins: Sequence[int]) -> tuple[float, float]:
    """Key that orders regions: x + y of the first point, then y; a region without points comes last."""
    return (bins[0] + bins[1], bins[1]) if bins else (float("inf"), 0)
