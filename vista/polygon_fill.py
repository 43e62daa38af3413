"""The one decoder of polygons: even-odd fill, a pixel is on when its centre is inside.

For the row y = r + 0.5 an edge crosses when (y0 <= y) != (y1 <= y); pixel c is on between two crossings a, b when
ceil(a - 0.5) <= c < ceil(b - 0.5). A crossing is computed from the lower end of its edge, so that a bridge walked both
ways gives the same number twice and cancels. `cv2.fillPoly` is no substitute: it also paints the outline, and so grows
a shape in edge convention by half a pixel.
"""

import numpy as np


def even_odd_fill(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Fill one closed polygon, which may cross or touch itself.

    Args:
        points: float (N, 2), x and y in pixels, edge convention, finite.
        size: (H, W) of the mask.

    Returns:
        bool (H, W); empty for fewer than 3 points.
    """
    mask = np.zeros(size, dtype=bool)
    if len(points) >= 3:
        keys = _crossings(points, size)
        flat = mask.reshape(-1)
        offsets = (keys - keys // (size[1] + 1)).tolist()
        for start, stop in zip(offsets[::2], offsets[1::2], strict=True):
            flat[start:stop] = True
    return mask


def _crossings(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Sorted keys row * (W + 1) + column of all crossings; each row holds an even number of them."""
    height, width = size
    ahead = np.concatenate((points[1:], points[:1]))
    downward = points[:, 1:] <= ahead[:, 1:]
    low, high = np.where(downward, points, ahead), np.where(downward, ahead, points)
    first, last = np.ceil(np.stack((low[:, 1], high[:, 1])) - 0.5).clip(0, height).astype(np.int64)
    counts = last - first
    edge = np.repeat(np.arange(len(points)), counts)
    row = np.arange(len(edge)) + (first - np.cumsum(counts) + counts)[edge]
    rise = high[:, 1] - low[:, 1]
    slope = (high[:, 0] - low[:, 0]) / np.where(rise > 0, rise, 1.0)
    x = low[edge, 0] + (row + 0.5 - low[edge, 1]) * slope[edge]
    column = np.ceil(x - 0.5).clip(0, width).astype(np.int64)
    return np.sort(row * (width + 1) + column)
