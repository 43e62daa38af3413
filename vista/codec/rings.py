"""Mask -> rings: the closed boundaries between object and background, in edge convention.

A ring is the polyline through the midpoints of the unit edges between an object pixel and a background pixel. It cuts
the corner of every pixel, which makes turning angles smoother than those of the stairs, and it fills back to exactly
the same mask. Foreground is 8-connected. Outer rings run clockwise on screen, hole rings the other way.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from vista.codec.swept import IS_SWEPT, SWEPT

MAX_RINGS = 512  # the longest ones; only noise has more


@dataclass(slots=True)
class Ring:
    """One closed boundary.

    Attributes:
        points: float (K, 2), x and y in pixels, K >= 4; the last point joins the first. It starts at the point with
            the least x + y, ties to the least y.
        area: enclosed area in square pixels, positive for holes too.
        parent: index, in the same list, of the ring right around this one; -1 where there is none.
        hole: whether background lies just inside.
    """

    points: np.ndarray
    area: float
    parent: int
    hole: bool


def find_rings(mask: np.ndarray) -> list[Ring]:
    """All rings of a mask, largest first; of equal ones the upper first.

    Args:
        mask: bool or integer (H, W), non-zero on the object.

    Returns:
        one ring per outer boundary and per hole, at most 512; none for an empty mask.
    """
    mask = np.ascontiguousarray(mask, dtype=bool)
    if not mask.any():
        return []
    chains, hierarchy = cv2.findContours(mask.view(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_NONE)
    longest = sorted(range(len(chains)), key=lambda i: -len(chains[i]))[:MAX_RINGS]
    rings = {}
    for i in longest:
        points = _edge_midpoints(chains[i][:, 0])
        area = signed_area(points)
        rings[i] = Ring(points, abs(area), int(hierarchy[0, i, 3]), hole=area < 0)
    return _largest_first(rings)


def signed_area(points: np.ndarray) -> float:
    """Area of a closed polygon (K, 2), positive when it runs clockwise on screen (y points down)."""
    x = points[:, 0]
    y = points[:, 1]
    open_sum = x[:-1] @ y[1:] - x[1:] @ y[:-1]
    return 0.5 * float(open_sum + x[-1] * y[0] - x[0] * y[-1])


def canonical_start(points: np.ndarray) -> int:
    """Index of the point with the least x + y, ties to the least y, then to the first."""
    # Exact, since no image and no grid is 2^20 wide and points lie on the grid or half-way between.
    return int((points[:, 0] + (1 + 2.0**-20) * points[:, 1]).argmin())


def _largest_first(rings: dict[int, Ring]) -> list[Ring]:
    """Sorted by area, then by first point; parents, which are always larger, get their new index, orphans go."""
    new_index = {-1: -1}
    ordered: list[Ring] = []
    for i in sorted(rings, key=lambda i: (-rings[i].area, *rings[i].points[0, ::-1])):
        ring = rings[i]
        if ring.parent in new_index:
            ring.parent = new_index[ring.parent]
            new_index[i] = len(ordered)
            ordered.append(ring)
    return ordered


def _edge_midpoints(chain: np.ndarray) -> np.ndarray:
    """Ring of a chain of boundary pixels (K, 2) as `cv2.findContours` lists them, float (K', 2), canonical start.

    Between arriving at a pixel and leaving it, the tracer sweeps over the background neighbours of that pixel; those
    to the left, right, above and below are the edges wanted, in order. Points are complex numbers x + iy here, which
    numpy gathers several times faster than pairs.
    """
    number = chain[:, 0] + 3 * chain[:, 1]  # (K,)
    closed = np.concatenate((number[-1:], number, number[:1]))
    step = closed[1:] - closed[:-1]  # -4..4, one for each of the eight neighbours, 0 for no move
    turn = 9 * step[:-1] + step[1:] + 40  # 0..80, the pair of arrival and departure
    pixel = chain.astype(np.float64).view(np.complex128)  # (K, 1)
    midpoints = pixel + SWEPT.take(turn, axis=0)  # (K, 4)
    edges = midpoints[IS_SWEPT.take(turn, axis=0)]  # (K',)
    # The tracer runs the other way round: outer rings counter-clockwise.
    points = edges[::-1].copy().view(np.float64).reshape(-1, 2)
    start = canonical_start(points)
    return np.concatenate((points[start:], points[:start]))
