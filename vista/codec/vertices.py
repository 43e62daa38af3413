"""Few vertices that describe a ring well: by removal (Visvalingam), or the best ones by dynamic programming.

Both first thin the ring to a tolerance of half a pixel, and both know the error of every number of vertices, so that
points can be shared among several rings (`vista.codec.parts`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from vista.codec.removal import removal_order

MAX_THINNED = 1024  # vertices that removal starts from at most; only noise has more
MIN_CANDIDATES = 96  # vertices that dynamic programming chooses from, 1.5 N where that is more


@dataclass(slots=True)
class Choices:
    """The vertices to draw one ring with, for every number of them.

    Attributes:
        error: float (N + 1,), about how many pixels are wrong with k vertices; infinite below 3.
        pick: k -> float (k, 2), the vertices in contour order, in pixels; fewer where the ring needs no more.
    """

    error: np.ndarray
    pick: Callable[[int], np.ndarray]


def by_removal(ring: np.ndarray, num_points: int) -> Choices:
    """Visvalingam: again and again the vertex goes whose triangle with its neighbours is least.

    Args:
        ring: float (K, 2), closed polyline in pixels.
        num_points: N, most vertices that will be asked for.
    """
    points = _thin(ring, num_points)
    order, cost = removal_order(points)
    error = np.concatenate(([0.0], np.cumsum(cost)))[::-1]  # with 3, 4, ... vertices

    def pick(count: int) -> np.ndarray:
        kept = _survivors(order, len(points), count)
        return points[kept]

    return Choices(_padded(error, num_points), pick)


def by_dynamic_programming(ring: np.ndarray, num_points: int) -> Choices:
    """The vertices whose sides stay nearest to the ring, chosen from about 96 that removal leaves.

    D[k, j] = min over i of D[k - 1, i] + E[i, j], where E[i, j] is about the area between the ring and the chord from
    candidate i to candidate j. (With the signed area instead, lobes on either side of a chord would cancel.)

    Args:
        ring: float (K, 2), closed polyline in pixels.
        num_points: N, most vertices that will be asked for.
    """
    thinned = _thin(ring, num_points)
    order, _ = removal_order(thinned)
    # The path starts and ends at a vertex that removal keeps to the end.
    start = int(_survivors(order, len(thinned), 3)[0])
    thinned, order = _rotate(thinned, order, start)
    num_candidates = max(MIN_CANDIDATES, 3 * num_points // 2)
    at = _survivors(order, len(thinned), num_candidates)
    chord = _chord_errors(thinned, at)
    chord = chord.T.copy()  # [j, i], so that the minimum runs along the last axis
    errors = chord[:, 0]  # D[k - 1], from one side on
    best = []
    total = []
    most = min(num_points, len(at))
    for _ in range(2, most + 1):
        through = chord + errors
        best.append(through.argmin(axis=1))
        errors = through[np.arange(len(through)), best[-1]]
        total.append(errors[-1])
    error = np.array(total[1:])  # with 3, 4, ... vertices

    def pick(count: int) -> np.ndarray:
        path = _walk_back(best, len(at), min(count, len(at)))
        return thinned[at[path]]

    return Choices(_padded(error, num_points), pick)


SIMPLIFIERS: dict[str, Callable[[np.ndarray, int], Choices]] = {
    "fast": by_removal,
    "optimal": by_dynamic_programming,
}


def _thin(ring: np.ndarray, num_points: int) -> np.ndarray:
    """The ring without the vertices that matter least: at most 1,024, at least 1.5 N where it has so many."""
    closed = ring.astype(np.float32)[:, None]
    # Half a pixel first, less where too few vertices would be left.
    for tolerance in (0.5, 0.25, 0.0):
        thinned = cv2.approxPolyDP(closed, tolerance, True)
        if len(thinned) >= 3 * num_points // 2:
            break
    while len(thinned) > MAX_THINNED:
        tolerance = max(2 * tolerance, 0.5)
        thinned = cv2.approxPolyDP(closed, tolerance, True)
    if len(thinned) < 3:
        return ring
    return thinned[:, 0].astype(np.float64)


def _survivors(order: np.ndarray, total: int, count: int) -> np.ndarray:
    """Indices of the last `count` of `total` points, all of them where there are no more, in contour order."""
    alive = np.ones(total, dtype=bool)
    num_removed = max(total - count, 0)
    alive[order[:num_removed]] = False
    return np.flatnonzero(alive)


def _rotate(points: np.ndarray, order: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
    """The same closed polygon and removal order, counted from another start."""
    rotated = np.concatenate((points[start:], points[:start]))
    return rotated, (order - start) % len(points)


def _padded(error: np.ndarray, num_points: int) -> np.ndarray:
    """Errors with 3, 4, ... vertices -> with 0..N, infinite below 3, constant behind the last one given."""
    known = error[: num_points - 2]
    too_few = np.full(3, np.inf)
    behind = np.full(num_points - 2 - len(known), known[-1])
    return np.concatenate((too_few, known, behind))


def _chord_errors(points: np.ndarray, at: np.ndarray) -> np.ndarray:
    """E[i, j] between candidates i < j, the last column standing for the first candidate again; infinite elsewhere.

    The area between chord and ring is taken from the squared distances: the integral of |d| over a stretch of length L
    is at most sqrt(L * integral of d^2), and the latter comes in closed form from running moments of the ring.

    Args:
        points: float (K, 2), closed polygon in pixels.
        at: int (C,), indices of the candidates, the first of them 0.

    Returns:
        float (C + 1, C + 1), square pixels.
    """
    closed = np.concatenate((points, points[:1]))
    closed = closed - points.mean(axis=0)
    x0, y0 = closed[:-1].T
    x1, y1 = closed[1:].T
    moments = (  # means along each side
        np.ones_like(x0),
        (x0 + x1) / 2,
        (y0 + y1) / 2,
        (x0 * x0 + x0 * x1 + x1 * x1) / 3,
        (2 * x0 * y0 + x0 * y1 + x1 * y0 + 2 * x1 * y1) / 6,
        (y0 * y0 + y0 * y1 + y1 * y1) / 3,
    )
    running = np.zeros((6, len(closed)))  # integrals of 1, x, y, x^2, xy, y^2 along the ring
    side = np.hypot(x1 - x0, y1 - y0)  # (K,), its length
    np.cumsum(side * moments, axis=1, out=running[:, 1:])
    ends = np.append(at, len(points))
    # All that follows is (C + 1, C + 1), between the first candidate of a row and the second of a column.
    length, mx, my, mxx, mxy, myy = (m - m[:, None] for m in running[:, ends])
    x, y = closed[ends].T
    dx = x - x[:, None]
    dy = y - y[:, None]
    # The distance of p from the chord is (p x d - a x d) / |d|, a the first end and d the chord.
    start = x[:, None] * dy - y[:, None] * dx
    of_second = (mxx * dy - 2 * mxy * dx) * dy + myy * dx * dx
    of_first = mx * dy - my * dx
    square = of_second + start * (length * start - 2 * of_first)
    chord = np.maximum(dx * dx + dy * dy, 1e-9)  # squared
    product = np.maximum(square * length, 0)
    error = np.sqrt(product / chord)
    not_behind = np.tri(len(ends), dtype=bool)
    error[not_behind] = np.inf
    return error


def _walk_back(best: list[np.ndarray], end: int, count: int) -> list[int]:
    """Candidates of the best closed path with `count` sides that starts at candidate 0."""
    path = [end]
    for step in reversed(range(count - 1)):
        before = best[step][path[-1]]
        path.append(int(before))
    return [0, *reversed(path[1:])]
