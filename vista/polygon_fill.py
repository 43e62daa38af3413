"""The one decoder of polygons: even-odd fill, a pixel is on when its centre is inside.

For the row y = r + 0.5 an edge crosses when (y0 <= y) != (y1 <= y); pixel c is on between two crossings a, b when
ceil(a - 0.5) <= c < ceil(b - 0.5). A crossing is computed from the lower end of its edge, so that a bridge walked both
ways gives the same number twice and cancels. `cv2.fillPoly` is no substitute: it also paints the outline, and so grows
a shape in edge convention by half a pixel.
"""

import numpy as np

from vista import contour_kernels


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
    if contour_kernels.COMPILED:
        contour_kernels.fill(points, mask)
        return mask
    width = size[1]
    _, row, x = crossings(points, np.concatenate((points[1:], points[:1])), size[0])
    column = np.ceil(x - 0.5).clip(0, width).astype(np.int64)
    # Sorted by row, then column: each row holds an even number of crossings, so pairs never straddle two rows.
    keys = np.sort(row * (width + 1) + column)
    offsets = (keys - keys // (width + 1)).tolist()
    flat = mask.reshape(-1)
    for start, stop in zip(offsets[::2], offsets[1::2], strict=True):
        flat[start:stop] = True
    return mask


def crossings(start: np.ndarray, stop: np.ndarray, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where edges cross the centre lines of pixel rows.

    Args:
        start: float (E, 2), one end of each edge, x and y in pixels.
        stop: float (E, 2), the other end.
        height: number of rows.

    Returns:
        edge int64 (K,), row int64 (K,), x float64 (K,) of every crossing, edge by edge.
    """
    downward = (start[:, 1] <= stop[:, 1])[:, None]
    low, high = np.where(downward, start, stop), np.where(downward, stop, start)
    first = np.ceil(low[:, 1] - 0.5).clip(0, height).astype(np.int64)
    count = np.ceil(high[:, 1] - 0.5).clip(0, height).astype(np.int64) - first
    edge = np.repeat(np.arange(len(start)), count)
    row = np.arange(len(edge)) + (first - np.cumsum(count) + count)[edge]
    rise = high[:, 1] - low[:, 1]
    slope = (high[:, 0] - low[:, 0]) / np.maximum(rise, 1e-12)
    return edge, row, low[edge, 0] + (row + 0.5 - low[edge, 1]) * slope[edge]
