"""Visvalingam's algorithm: the vertices of a polygon in the order in which they matter least."""

import numpy as np

from vista.codec.kernels import compiled


@compiled
def removal_order(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Again and again the point goes whose triangle with its neighbours is least, down to 3 points.

    Args:
        points: float64 (K, 2), K >= 3.

    Returns:
        order int64 (K - 3,), the points in the order in which they go; cost float64 (K - 3,), the area of the
        triangle that each one's going cuts off, at that moment.
    """
    count = len(points)
    # The neighbours of each point that is still there.
    before = np.arange(count) - 1
    behind = np.arange(count) + 1
    before[0] = count - 1
    behind[-1] = 0
    area = np.empty(count)
    for i in range(count):
        area[i] = _triangle(points, before[i], i, behind[i])
    rank = area.copy()  # effective area: never below that of a point already gone
    order = np.empty(max(count - 3, 0), np.int64)
    cost = np.empty(max(count - 3, 0))
    floor = 0.0
    for step in range(count - 3):
        i = int(np.argmin(rank))
        order[step] = i
        cost[step] = area[i]
        floor = max(floor, area[i])
        rank[i] = np.inf
        left = before[i]
        right = behind[i]
        behind[left] = right
        before[right] = left
        for j in (left, right):
            area[j] = _triangle(points, before[j], j, behind[j])
            rank[j] = max(area[j], floor)
    return order, cost


@compiled
def _triangle(points: np.ndarray, i: int, j: int, k: int) -> float:
    """Area of the triangle of three points."""
    ux = points[j, 0] - points[i, 0]
    uy = points[j, 1] - points[i, 1]
    vx = points[k, 0] - points[i, 0]
    vy = points[k, 1] - points[i, 1]
    return 0.5 * abs(ux * vy - uy * vx)
