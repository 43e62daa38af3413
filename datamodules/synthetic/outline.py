"""Masks as COCO segmentations: exact polygons, or run lengths where there is a hole.

A polygon here runs along the edges between pixels (edge convention: pixel (c, r) covers [c, c + 1] x [r, r + 1]), so
its corners are integers and drawing it again gives exactly the mask. Polygons cannot say "hole"; COCO's own way out is
an uncompressed RLE, `{"counts": [ints], "size": [H, W]}`, which runs down the columns and starts with a run of zeros.
"""

from typing import Any

import numpy as np

Point = tuple[int, int]


def segmentation(mask: np.ndarray) -> list[list[int]] | dict[str, Any]:
    """The COCO `segmentation` of a mask, bool (H, W): a flat polygon per part, or an uncompressed RLE for holes."""
    loops = outlines(mask)
    if any(_signed_area(loop) < 0 for loop in loops):
        return run_lengths(mask)
    return [[value for point in loop for value in point] for loop in loops]


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
        start = point = next(iter(successor))
        loop: list[Point] = []
        while point in successor:
            loop.append(point)
            point = successor.pop(point)
        assert point == start, "two borders meet at one corner"
        loops.append(_corners(loop))
    return loops if holes else [loop for loop in loops if _signed_area(loop) > 0]


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """The uncompressed RLE of a mask, bool (H, W)."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate(([0], changes, [flat.size]))).tolist()
    return {"counts": [0, *counts] if flat[0] else counts, "size": list(mask.shape)}


def _border_steps(mask: np.ndarray) -> dict[Point, Point]:
    """Unit steps along the pixel edges, the inside on the right hand: start -> end."""
    row, column = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y, x = int(row[0]), int(column[0])
    inside = np.pad(mask[y : row[-1] + 1, x : column[-1] + 1], 1)
    core = inside[1:-1, 1:-1]
    steps: dict[Point, Point] = {}
    # Neighbour that must be outside, then the step's start and end from the pixel's top left corner.
    for neighbour, (ax, ay), (bx, by) in (
        (inside[:-2, 1:-1], (0, 0), (1, 0)),
        (inside[1:-1, 2:], (1, 0), (1, 1)),
        (inside[2:, 1:-1], (1, 1), (0, 1)),
        (inside[1:-1, :-2], (0, 1), (0, 0)),
    ):
        rows, columns = np.nonzero(core & ~neighbour)
        for r, c in zip((rows + y).tolist(), (columns + x).tolist(), strict=True):
            steps[c + ax, r + ay] = (c + bx, r + by)
    return steps


def _corners(loop: list[Point]) -> list[Point]:
    """Drops the points at which a closed path goes straight on."""
    before = [loop[-1], *loop[:-1]]
    after = [*loop[1:], loop[0]]
    return [
        p for a, p, b in zip(before, loop, after, strict=True) if (a[0] != b[0]) and (a[1] != b[1])
    ]


def _signed_area(loop: list[Point]) -> float:
    """The shoelace area in square pixels, positive for clockwise on the screen (y points down)."""
    closed = [*loop, loop[0]]
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(loop, closed[1:], strict=True)) / 2
