"""The inner loops of the mask codec, compiled by numba where it is installed (`pip install vistallm[numba]`).

Without numba the same functions are plain Python. `COMPILED` says which; where a loop in plain Python would be slow,
the caller has a numpy twin of it that gives exactly the same numbers.
"""

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np

try:
    import numba
except ImportError:
    numba = None

Function = TypeVar("Function", bound=Callable[..., object])

COMPILED: bool = numba is not None and not numba.config.DISABLE_JIT


def compiled(function: Function) -> Function:
    """`function` compiled on its first call, the machine code kept on disk where there is a place to write."""
    if not COMPILED:
        return function
    try:
        return numba.njit(cache=True)(function)
    except RuntimeError:  # no writable cache folder
        return numba.njit(function)


@compiled
def fill(points: np.ndarray, mask: np.ndarray) -> None:
    """Even-odd fill, in place; the twin is in `vista.codec.polygon_fill`.

    Args:
        points: float64 (N, 2), x and y in pixels.
        mask: bool (H, W), all False.
    """
    height, width = mask.shape
    count = len(points)
    # First count the crossings of every row, so that each gets its part of one array: offset[row] to offset[row + 1].
    offset = np.zeros(height + 1, np.int64)
    for i in range(count):
        j = i + 1 if i + 1 < count else 0
        top = min(points[i, 1], points[j, 1])
        bottom = max(points[i, 1], points[j, 1])
        first = max(0, math.ceil(top - 0.5))
        end = min(height, math.ceil(bottom - 0.5))
        for row in range(first, end):
            offset[row + 1] += 1
    for row in range(height):
        offset[row + 1] += offset[row]
    column = np.empty(offset[height], np.int64)
    used = offset[:height].copy()  # where the next crossing of a row goes
    for i in range(count):
        j = i + 1 if i + 1 < count else 0
        low, high = i, j
        if points[i, 1] > points[j, 1]:
            low, high = j, i
        x = points[low, 0]
        y = points[low, 1]
        rise = points[high, 1] - y
        slope = (points[high, 0] - x) / rise if rise > 0 else 0.0  # a level edge crosses no row
        first = max(0, math.ceil(y - 0.5))
        end = min(height, math.ceil(points[high, 1] - 0.5))
        for row in range(first, end):
            crossing = x + (row + 0.5 - y) * slope
            new = min(max(math.ceil(crossing - 0.5), 0), width)
            at = used[row]
            # Insertion sort: a row mostly has two crossings.
            while at > offset[row] and column[at - 1] > new:
                column[at] = column[at - 1]
                at -= 1
            column[at] = new
            used[row] += 1
    for row in range(height):
        for pair in range(offset[row], offset[row + 1], 2):
            mask[row, column[pair] : column[pair + 1]] = True


@compiled
def descend(
    sums: np.ndarray,
    bins: np.ndarray,
    active: np.ndarray,
    pixels: np.ndarray,
    corner: np.ndarray,
    limit: np.ndarray,
    step: int,
) -> None:
    """One sweep of vertex moves, in place; the twin and the meaning of the arguments are in `vista.codec.refine`."""
    count = len(bins)
    new = bins.copy()
    # The even vertices, the odd, and the last one where their number is odd.
    paired = count - count % 2
    for first, last in ((0, paired), (1, count), (paired, count)):
        tried = active.copy()
        for i in range(first, last, 2):
            if not tried[i]:
                continue
            active[i] = False
            p = (i - 1) % count
            s = (i + 1) % count
            x = bins[i, 0]
            y = bins[i, 1]
            best = 0
            best_x = x
            best_y = y
            for move in range(9):
                k = (move + 4) % 9  # the middle one, staying, comes first
                u = x + step * (k % 3 - 1)
                v = y + step * (k // 3 - 1)
                outside_x = u < limit[0, 0] or u > limit[1, 0]
                outside_y = v < limit[0, 1] or v > limit[1, 1]
                if outside_x or outside_y:
                    continue
                error = _side_sum(sums, pixels, corner, bins[p, 0], bins[p, 1], u, v)
                error += _side_sum(sums, pixels, corner, u, v, bins[s, 0], bins[s, 1])
                if move == 0 or error < best:
                    best = error
                    best_x = u
                    best_y = v
            moves = best_x != x or best_y != y
            if moves and not _would_cross(bins, i, best_x, best_y):
                new[i, 0] = best_x
                new[i, 1] = best_y
        for i in range(first, last, 2):
            if new[i, 0] != bins[i, 0] or new[i, 1] != bins[i, 1]:
                bins[i] = new[i]
                # What its neighbours found best may have changed with it.
                active[i] = True
                active[(i - 1) % count] = True
                active[(i + 1) % count] = True


@compiled
def _side_sum(
    sums: np.ndarray, pixels: np.ndarray, corner: np.ndarray, u0: int, v0: int, u1: int, v1: int
) -> int:
    """Signed sum over the rows that one side crosses, ends in bins."""
    sign = 1
    if v0 > v1:
        u0, u1 = u1, u0
        v0, v1 = v1, v0
        sign = -1
    x = u0 * pixels[0]
    y = v0 * pixels[1]
    end_x = u1 * pixels[0]
    end_y = v1 * pixels[1]
    rise = end_y - y
    slope = (end_x - x) / rise if rise > 0 else 0.0
    total = 0
    for row in range(math.ceil(y - 0.5), math.ceil(end_y - 0.5)):
        column = math.ceil(x + (row + 0.5 - y) * slope - 0.5)
        total += sums[row - corner[1], column - corner[0]]
    return sign * total


@compiled
def _would_cross(bins: np.ndarray, i: int, x: int, y: int) -> bool:
    """Whether vertex i at (x, y) would make one of its two sides cross another side."""
    count = len(bins)
    p = (i - 1) % count
    s = (i + 1) % count
    for k in range(count):
        if k != p and k != i:  # not its own two sides, which go
            m = (k + 1) % count
            for end in (p, s):
                if _cross(
                    bins[end, 0], bins[end, 1], x, y, bins[k, 0], bins[k, 1], bins[m, 0], bins[m, 1]
                ):
                    return True
    return False


@compiled
def _cross(ax: int, ay: int, bx: int, by: int, cx: int, cy: int, dx: int, dy: int) -> bool:
    """Whether the sides a-b and c-d cross: each has the two ends of the other on either side."""
    divides = _turn(ax, ay, bx, by, cx, cy) * _turn(ax, ay, bx, by, dx, dy) < 0
    divided = _turn(cx, cy, dx, dy, ax, ay) * _turn(cx, cy, dx, dy, bx, by) < 0
    return divides and divided


@compiled
def _turn(ax: int, ay: int, bx: int, by: int, cx: int, cy: int) -> int:
    """Turn a -> b -> c as a cross product, above 0 when c lies clockwise of a -> b on screen."""
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
