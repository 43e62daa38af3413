"""Point sequences -> masks: the one decoder of polygons, an even-odd fill; a pixel is on when its centre is inside.

    decode(points, size=(480, 640)) -> bool (480, 640)

For the row y = r + 0.5 an edge crosses when (y0 <= y) != (y1 <= y); pixel c is on between two crossings a, b when
ceil(a - 0.5) <= c < ceil(b - 0.5). A crossing is computed from the lower end of its edge, so that a bridge walked both
ways gives the same number twice and cancels. `cv2.fillPoly` is no substitute: it also paints the outline, and so grows
a shape in edge convention by half a pixel.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from vista.codec import kernels
from vista.codec.quantize import Scale, dequantize
from vista.data import Mask, Size


def decode(
    points: np.ndarray | Sequence[ArrayLike],
    size: Size,
    num_bins: int = 1000,
    scale: Scale = "bins-1",
) -> Mask:
    """Mask of points. Lenient: whatever the numbers are, the result is a mask.

    Args:
        points: one sequence (N, 2) of x, y in bins, or a list of sequences, which are united. Flat sequences
            x0, y0, x1, y1, ... are understood, the last number is dropped when their count is odd.
        size: (H, W) of the image.
        num_bins: number of bins per axis; values out of range are clamped.
        scale: see `vista.codec.quantize`.

    Returns:
        bool (H, W).
    """
    height, width = size
    masks = []
    for sequence in _sequences(points):
        polygon = dequantize(sequence, (width, height), num_bins, scale)  # (N, 2), pixels
        masks.append(even_odd_fill(polygon, size))
    if not masks:
        return np.zeros(size, dtype=bool)
    return masks[0] if len(masks) == 1 else np.logical_or.reduce(masks)


def _sequences(points: np.ndarray | Sequence[ArrayLike]) -> list[np.ndarray]:
    """One or several sequences, nested or flat, as float (N, 2) arrays."""
    if len(points) == 0:
        return []
    depth = points.ndim if isinstance(points, np.ndarray) else 1 + max(map(np.ndim, points))
    pairs = depth == 2 and all(np.size(point) == 2 for point in points)
    sequences = []
    for sequence in [points] if depth == 1 or pairs else points:
        numbers = np.asarray(sequence, dtype=np.float64).reshape(-1)
        even = len(numbers) // 2 * 2
        sequences.append(numbers[:even].reshape(-1, 2))
    return sequences


def even_odd_fill(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fill one closed polygon, which may cross or touch itself.

    Args:
        points: float (N, 2), x and y in pixels, edge convention, finite.
        size: (H, W) of the mask.

    Returns:
        bool (H, W); empty for fewer than 3 points.
    """
    mask = np.zeros(size, dtype=bool)
    if len(points) < 3:
        return mask
    if kernels.COMPILED:
        kernels.fill(points, mask)
        return mask
    height, width = size
    # (2, 2, N): each point and the one behind it, x and y.
    ends = np.concatenate((points, points[1:], points[:1]))
    ends = ends.reshape(2, -1, 2).transpose(0, 2, 1)
    _, row, x = crossings(ends, height)
    column = np.ceil(x - 0.5)  # (K,)
    column = np.maximum(column, 0)
    column = np.minimum(column, width).astype(np.int64)
    # Each row holds an even number of crossings. One at the end of a row is one at the start of the next, so that rows
    # need not be told apart: from crossing to crossing, pixels are on and off in turn.
    narrow = np.int32 if mask.size < 2**31 else np.int64  # sorted twice as fast
    switches: np.ndarray = (row * width + column).astype(narrow)  # (K,)
    switches.sort()
    if len(switches):
        on = np.zeros(len(switches) - 1, dtype=bool)
        on[::2] = True
        runs = switches[1:] - switches[:-1]
        mask.reshape(-1)[switches[0] : switches[-1]] = on.repeat(runs)
    return mask


def crossings(ends: np.ndarray, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where edges cross the centre lines of pixel rows.

    Args:
        ends: float (2, 2, E), for either end of each edge x and y in pixels.
        height: number of rows.

    Returns:
        how many crossings each edge has, int64 (E,); the row, int64 (K,), and x, float64 (K,), of every crossing, edge
        by edge.
    """
    (x0, y0), (x1, y1) = ends  # (E,) each
    # An edge crosses the rows from the ceiling of its upper end to that of its lower one.
    rows = np.ceil(ends[:, 1] - 0.5)  # (2, E)
    rows = np.maximum(rows, 0)
    rows = np.minimum(rows, height).astype(np.int64)
    first = np.minimum(rows[0], rows[1])
    count = np.abs(rows[1] - rows[0])
    last = count.cumsum()
    start = first - last + count  # less the crossings of the edges before
    row = start.repeat(count)  # (K,), as all that is repeated
    row += np.arange(len(row))
    rise = y1 - y0
    divisor = np.where(rise == 0, 1.0, rise)  # a level edge crosses no row
    slope = (x1 - x0) / divisor
    # From the lower end on, so that both directions of a bridge give the same number.
    low_x = np.where(rise >= 0, x0, x1)
    low_y = np.minimum(y0, y1)
    down = row + 0.5 - low_y.repeat(count)
    along = down * slope.repeat(count)
    x = low_x.repeat(count) + along
    return count, row, x
