"""Of several ways to draw a mask, the one that holds it best.

The areas by which points are chosen and shared are estimates. Summed over very many rings they are far off, so that the
method with the finer estimate may draw the worse mask; the pixels tell.
"""

from collections.abc import Sequence

import numpy as np

from vista.codec.polygon_fill import decode
from vista.codec.quantize import Scale
from vista.data import Mask


def better(
    drawings: Sequence[list[np.ndarray]], mask: Mask, num_bins: int, scale: Scale
) -> list[np.ndarray]:
    """The drawing with the greatest IoU; of equal ones the first.

    Args:
        drawings: of one mask that is not empty, each one or several sequences int (N, 2), x and y in bins.
        mask: bool (H, W), what they should fill.
        num_bins: number of bins per axis.
        scale: see `vista.codec.quantize`.
    """

    def iou(sequences: list[np.ndarray]) -> float:
        filled = decode(sequences, mask.shape, num_bins, scale)
        union = np.count_nonzero(filled | mask)
        return np.count_nonzero(filled & mask) / union

    return max(drawings, key=iou)
