"""Refinement: move vertices on the bin grid so that fewer pixels are wrong.

The number of wrong pixels of a simple polygon is a sum over its sides. Let a pixel weigh +1 on background and -1 on the
object, and let S[r, c] be the sum of the weights of row r left of column c. A side that runs down across the centre
line of row r at column c contributes S[r, c], one that runs up -S[r, c]; with the object's own area that makes the
count of wrong pixels. So a moved vertex costs the rows of its two sides, not the pixels between them. Moves that would
make two sides cross are refused, since the sum is the even-odd count only for simple polygons.
"""

import cv2
import numpy as np

from vista.codec import kernels
from vista.codec.polygon_fill import crossings, even_odd_fill
from vista.codec.quantize import Scale, bin_of_extent

# Most sweeps with each step size, of the methods that move vertices.
SWEEPS = {"fast": 2, "optimal": 4, "uniform+refine": 4, "adaptive+refine": 4}

# The nine moves of a vertex, staying first, then row by row from behind the middle: ties keep the earlier one.
_MOVES = np.array([(0, 0), (1, 0), (-1, 1), (0, 1), (1, 1), (-1, -1), (0, -1), (1, -1), (-1, 0)])


def refine(
    bins: np.ndarray,
    target: np.ndarray,
    sweeps: int,
    num_bins: int = 1000,
    scale: Scale = "bins-1",
) -> np.ndarray:
    """Better vertices for one ring; the filled polygon is never worse than before.

    Args:
        bins: int64 (N, 2), x and y in bins, clockwise on screen.
        target: bool (H, W), the mask that the ring should fill.
        sweeps: most sweeps over the vertices with each step size; sizes halve from an eighth of a mean side to 1 bin.
        num_bins: number of bins per axis.
        scale: see `vista.codec.quantize`.

    Returns:
        int64 (N, 2).
    """
    height, width = target.shape
    extent = np.array([width, height])
    pixels = extent / bin_of_extent(num_bins, scale)  # (2,), of a bin
    points = bins * pixels
    low = points.min(axis=0)
    high = points.max(axis=0)
    margin = 4 + (high - low) / 16
    corner = np.floor(low - margin)
    corner = np.maximum(corner, 0).astype(np.int64)
    end = np.ceil(high + margin)
    end = np.minimum(end, (width, height)).astype(np.int64)
    window = target[corner[1] : end[1], corner[0] : end[0]]
    window = np.ascontiguousarray(window)
    # No vertex may leave the window, in which alone pixels are counted.
    least = np.ceil(corner / pixels)
    greatest = np.floor(end / pixels)
    limit = np.stack((least, greatest))
    limit = limit.clip(0, num_bins - 1).astype(np.int64)

    moved = bins.clip(limit[0], limit[1])
    sums = _row_sums(window)
    sweep = kernels.descend if kernels.COMPILED else descend
    for step in _step_sizes(bins):
        active = np.ones(len(bins), dtype=bool)
        for _ in range(sweeps):
            sweep(sums, moved, active, pixels, corner, limit, step)
            if not active.any():
                break
    hit, wrong = _compare(moved * pixels, target, window, corner)
    hit_before, wrong_before = _compare(points, target, window, corner)
    # An object much smaller than a bin has fewer wrong pixels when it is not drawn at all.
    still_drawn = hit or not hit_before
    if wrong < wrong_before and still_drawn:
        return moved
    return bins


def descend(
    sums: np.ndarray,
    bins: np.ndarray,
    active: np.ndarray,
    pixels: np.ndarray,
    corner: np.ndarray,
    limit: np.ndarray,
    step: int,
) -> None:
    """One sweep of vertex moves, in place; the numpy twin of `vista.codec.kernels.descend`.

    Every other vertex is tried at once, since the best move of one depends on its two neighbours alone.

    Args:
        sums: int32 (h, w + 1), S of a window of the image.
        bins: int64 (N, 2), vertices in bins, changed in place.
        active: bool (N,), which vertices to try; afterwards those that moved and their neighbours.
        pixels: float (2,), width and height of a bin in pixels.
        corner: int64 (2,), x and y of the window in pixels.
        limit: int64 (2, 2), least and greatest bin of x and y.
        step: length of a move in bins.
    """
    for apart in _without_neighbours(len(bins)):
        at = apart[active[apart]]  # (C,)
        if len(at) == 0:
            continue
        active[at] = False
        goals = bins[at, None] + step * _MOVES  # (C, 9, 2)
        within = np.maximum(goals, limit[0])
        within = np.minimum(within, limit[1])
        outside = (within != goals).any(axis=2)
        behind = (at + 1) % len(bins)
        neighbours = np.stack((at - 1, behind))
        beside = bins[neighbours]  # (2, C, 2)
        side_sums = _side_sums(sums, corner, beside * pixels, within * pixels)  # (2, C, 9)
        added = side_sums[0] - side_sums[1]
        # Down to the vertex counts as it is, from the vertex on the other way round.
        wrong = np.where(outside, sums.size, added)
        best = wrong.argmin(axis=1)
        movers = np.flatnonzero(best)
        if len(movers):
            goal = within[movers, best[movers]]
            free = ~_would_cross(bins, at[movers], goal)
            moved = at[movers[free]]
            bins[moved] = goal[free]
            # What its neighbours found best may have changed with it.
            active[moved] = True
            active[moved - 1] = True
            active[(moved + 1) % len(bins)] = True


def _without_neighbours(count: int) -> list[np.ndarray]:
    """Vertices that may move at once: the even, the odd, and the last where their number is odd."""
    paired = count - count % 2
    even = np.arange(0, paired, 2)
    odd = np.arange(1, count, 2)
    last = np.arange(paired, count)
    return [vertices for vertices in (even, odd, last) if len(vertices)]


def _side_sums(
    sums: np.ndarray,
    corner: np.ndarray,
    start: np.ndarray,
    stop: np.ndarray,
) -> np.ndarray:
    """What sides add to the count of wrong pixels.

    Args:
        sums: int32 (h, w + 1), S of a window of the image.
        corner: int64 (2,), x and y of the window in pixels.
        start: float (..., C, 2), in pixels.
        stop: float (C, K, 2), K ends for each start.

    Returns:
        int64 (..., C, K).
    """
    shape = (*start.shape[:-1], stop.shape[-2])
    ends = np.empty((2, 2, *shape))
    ends[0, 0] = start[..., None, 0]
    ends[0, 1] = start[..., None, 1]
    ends[1, 0] = stop[..., 0]
    ends[1, 1] = stop[..., 1]
    count, row, x = crossings(ends.reshape(2, 2, -1), corner[1] + len(sums))
    column = np.ceil(x - 0.5).astype(np.int64) - corner[0]
    window_row = row - corner[1]
    flat = window_row * sums.shape[1] + column  # (crossings,), side by side
    # Crossings come side by side: the sum over a side is a difference of running sums.
    running = sums.take(flat).cumsum()
    running = np.concatenate(([0], running))
    last = count.cumsum()
    before = last - count
    total = running.take(last) - running.take(before)
    total = total.reshape(shape)
    down = ends[0, 1] <= ends[1, 1]
    return np.where(down, total, -total)


def _would_cross(bins: np.ndarray, at: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Whether vertex `at` (K,), moved to `goal` (K, 2), would make its sides cross another side, bool (K,)."""
    count = len(bins)
    closed = np.concatenate((bins, bins[:1]))
    first = closed[:-1]
    second = closed[1:]
    new = goal[:, None]  # (K, 1, 2)
    crossed = np.zeros((len(at), count), dtype=bool)
    new_beside = _turn(first, second, new)  # (K, N)
    previous = bins[at - 1, None]  # (K, 1, 2)
    following = bins[(at + 1) % count, None]
    for neighbour in (previous, following):
        ends = _turn(neighbour, new, closed)  # (K, N + 1)
        divides = ends[:, :-1] * ends[:, 1:] < 0  # the new side has the two ends of a side apart
        divided = _turn(first, second, neighbour) * new_beside < 0
        crossed |= divides & divided
    rows = np.arange(len(at))
    crossed[rows, at] = False  # its own two sides, which go
    crossed[rows, at - 1] = False
    return np.any(crossed, axis=1)


def _turn(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Turn a -> b -> c as a cross product, points (..., 2); above 0 it is clockwise on screen."""
    along = b - a
    across = c - a
    positive = along[..., 0] * across[..., 1]
    negative = along[..., 1] * across[..., 0]
    return positive - negative


def _row_sums(window: np.ndarray) -> np.ndarray:
    """S of a window (h, w): int32 (h, w + 1)."""
    table = cv2.integral(window.view(np.uint8))  # (h + 1, w + 1)
    # c pixels left of column c, of which those of the object weigh -1 instead of +1.
    columns = np.arange(table.shape[1], dtype=np.int32)
    of_object = table[1:] - table[:-1]
    return columns - 2 * of_object


def _step_sizes(bins: np.ndarray) -> list[int]:
    """Powers of two, falling, from an eighth of the mean side to 1."""
    before = np.concatenate((bins[-1:], bins[:-1]))
    perimeter = int(np.abs(bins - before).sum())
    largest = max(perimeter // (8 * len(bins)), 1)
    exponents = reversed(range(largest.bit_length()))
    return [1 << k for k in exponents]


def _compare(
    points: np.ndarray,
    target: np.ndarray,
    window: np.ndarray,
    corner: np.ndarray,
) -> tuple[bool, int]:
    """Whether the filled polygon (N, 2) meets its target, and its wrong pixels within a window it does not leave."""
    x, y = corner
    height, width = window.shape
    filled = even_odd_fill(points, target.shape)
    filled = filled[y : y + height, x : x + width]
    hit = bool((filled & window).any())
    wrong = int(np.count_nonzero(filled ^ window))
    return hit, wrong
