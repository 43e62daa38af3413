"""Masks as COCO segmentations: exact polygons, or run lengths where there is a hole.

A polygon here runs along the edges between pixels (edge convention: pixel (c, r) covers [c, c + 1] x [r, r + 1]), so
its corners are integers and drawing it again gives exactly the mask. Polygons cannot say "hole"; COCO's own way out is
an uncompressed RLE, `{"counts": [ints], "size": [H, W]}`, which runs down the columns and starts with a run of zeros.
"""

from itertools import chain, pairwise

import numpy as np

from datamodules.synthetic.files import Record

Point = tuple[int, int]


def segmentation(mask: np.ndarray) -> list[list[int]] | Record:
    """The COCO `segmentation` of a mask, bool (H, W): a flat polygon per part, or an uncompressed RLE for holes."""
    loops = outlines(mask)
    if any(_signed_area(loop) < 0 for loop in loops):
        return run_lengths(mask)
    return [list(chain.from_iterable(loop)) for loop in loops]


def outlines(mask: np.ndarray, holes: bool = True) -> list[list[Point]]:
    """The closed borders of a mask: clockwise on the screen around a part, anti-clockwise around a hole.

    Args:
        mask: bool (H, W) whose pixels never touch at a corner alone, as is true of the world's shapes.
        holes: whether those around holes are wanted.

    Returns:
        corner points (x, y) of each border, straight runs merged.
    """
    successor = _border_steps(mask)
    loops = []
    while successor:
        loop = _take_loop(successor)
        loops.append(_corners(loop))
    if holes:
        return loops
    return [loop for loop in loops if _signed_area(loop) > 0]


def run_lengths(mask: np.ndarray) -> Record:
    """The uncompressed RLE of a mask, bool (H, W)."""
    flat = mask.ravel(order="F")  # (W * H,)
    changes = np.flatnonzero(np.diff(flat)) + 1
    bounds = np.concatenate(([0], changes, [flat.size]))
    counts = np.diff(bounds).tolist()
    # Run lengths begin with zeros, of which there may be none.
    if flat[0]:
        counts = [0, *counts]
    return {"counts": counts, "size": list(mask.shape)}


def _border_steps(mask: np.ndarray) -> dict[Point, Point]:
    """Unit steps along the pixel edges, the inside on the right hand: start -> end."""
    rows = np.flatnonzero(mask.any(1))
    columns = np.flatnonzero(mask.any(0))
    top = int(rows[0])
    left = int(columns[0])
    bottom = rows[-1] + 1
    right = columns[-1] + 1
    crop = mask[top:bottom, left:right]  # (h, w)
    around = np.pad(crop, 1)  # (h + 2, w + 2)
    above = around[:-2, 1:-1]  # (h, w), as the other three
    right_of = around[1:-1, 2:]
    below = around[2:, 1:-1]
    left_of = around[1:-1, :-2]
    # Neighbour that must be outside, then the step's start and end from the pixel's top left corner.
    sides = (
        (above, (0, 0), (1, 0)),
        (right_of, (1, 0), (1, 1)),
        (below, (1, 1), (0, 1)),
        (left_of, (0, 1), (0, 0)),
    )
    steps: dict[Point, Point] = {}
    for neighbour, start, end in sides:
        at_border = np.argwhere(crop & ~neighbour)  # (N, 2)
        for row, column in at_border.tolist():
            x = left + column
            y = top + row
            begin = (x + start[0], y + start[1])
            steps[begin] = (x + end[0], y + end[1])
    return steps


def _take_loop(successor: dict[Point, Point]) -> list[Point]:
    """Takes the steps of one border out of `successor`; its points in their order."""
    start = point = next(iter(successor))
    loop: list[Point] = []
    while point in successor:
        loop.append(point)
        point = successor.pop(point)
    assert point == start, "two borders meet at one corner"
    return loop


def _corners(loop: list[Point]) -> list[Point]:
    """Drops the points at which a closed path goes straight on."""
    before = [loop[-1], *loop[:-1]]
    after = [*loop[1:], loop[0]]
    corners = []
    for (x0, y0), point, (x1, y1) in zip(before, loop, after, strict=True):
        is_straight = x0 == x1 or y0 == y1
        if not is_straight:
            corners.append(point)
    return corners


def _signed_area(loop: list[Point]) -> float:
    """The shoelace area in square pixels, positive for clockwise on the screen (y points down)."""
    doubled = 0
    closed = [*loop, loop[0]]
    for (x0, y0), (x1, y1) in pairwise(closed):
        doubled += x0 * y1 - x1 * y0
    return doubled / 2
