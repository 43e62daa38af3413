"""Regions in pixels: boxes clipped, masks drawn. What is not sound is never drawn, see `vista/unsound.py`.

Nearly every region is lists of Python's own numbers near the image, which is seen at once. What is not so plain is
judged by `vista/unsound.py`, which also says what is wrong with it.

    clip_xywh([-2, 8, 5, 5], (10, 20))                      # (0.0, 8.0, 3.0, 10.0)
    decode_segmentation([[1, 1, 4, 1, 4, 3, 1, 3]], (6, 6)) # bool (6, 6)
"""

from collections.abc import Sequence
from math import isfinite

import numpy as np
from pycocotools import mask as coco_mask

from vista.data import Box, Mask, Segmentation, Size
from vista.errors import InputError
from vista.unsound import (
    LARGEST,
    LONGEST_OUTLINE,
    LONGEST_SIDE,
    MOST_PIXELS,
    SPREAD,
    are_four,
    enclosing,
    is_box,
    malformed,
    run_lengths,
    segmentation_problem,
)


def are_plain(values: object, least: float, most: float) -> bool:
    """Whether it is a list or a tuple of Python's own numbers within bounds; what is not a number is within none."""
    if not isinstance(values, list | tuple) or not set(map(type, values)) <= {int, float}:
        return False
    # What is not a number slips through bounds, and not through a sum.
    within = not values or (least <= min(values) and max(values) <= most)
    return within and isfinite(sum(values))


def is_plain_size(size: object) -> bool:
    """Whether it is the (H, W) of an image in whole numbers."""
    if not isinstance(size, list | tuple) or list(map(type, size)) != [int, int]:
        return False
    height, width = size
    return min(size) >= 1 and max(size) <= LONGEST_SIDE and bool(height * width <= MOST_PIXELS)


def is_plain_mask(segmentation: object, size: Size) -> bool:
    """Whether it is polygons near an image of (H, W), each of three points or more, or run lengths in plain numbers."""
    if not is_plain_size(size):
        return False
    if isinstance(segmentation, dict):
        return _are_plain_runs(segmentation, size)
    if not isinstance(segmentation, list) or not segmentation:
        return False
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            return False
        if not _are_near(polygon, size):
            return False
    # A bound of their outline, which nearly every mask keeps.
    return sum(map(len, segmentation)) * (2 * SPREAD + 1) * max(size) <= LONGEST_OUTLINE


def _are_plain_runs(rle: dict, size: Size) -> bool:
    stated, counts = rle.get("size"), rle.get("counts")
    if not is_plain_size(stated) or list(stated or ()) != list(size):
        return False
    if not isinstance(counts, list) or set(map(type, counts)) != {int}:
        return False
    height, width = size
    return min(counts) >= 0 and sum(counts) == height * width


def _are_near(points: Sequence[float], size: Size) -> bool:
    """Whether x0, y0, x1, y1, ... are plain numbers within some sizes of an image of (H, W)."""
    height, width = size
    columns = are_plain(points[::2], -SPREAD * width, (SPREAD + 1) * width)
    return columns and are_plain(points[1::2], -SPREAD * height, (SPREAD + 1) * height)


def clip_box(box: Sequence[float], size: Size) -> Box | None:
    """The part of a box, xyxy in pixels, inside its image of (H, W); None where no area is left or it is no box."""
    is_plain = isinstance(box, list | tuple) and len(box) == 4 and _are_near(box, size)
    if not is_plain and not is_box(box, size):
        return None
    x0, y0, x1, y1 = map(float, box)
    height, width = size
    x0, y0, x1, y1 = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def clip_xywh(box: Sequence[float], size: Size) -> Box | None:
    """As `clip_box`, for a box given by its top left corner, width and height; returns xyxy."""
    # Numbers first: two texts can be added, too.
    is_plain = are_plain(box, -LARGEST, LARGEST) and len(box) == 4
    if not is_plain and not are_four(box):
        return None
    x, y, width, height = box
    return clip_box((x, y, x + width, y + height), size)


def mask_problem(segmentation: Segmentation, size: Size) -> str:
    """Why a COCO segmentation of an object in an image of (H, W) is no mask with a pixel, or nothing."""
    is_plain = is_plain_mask(segmentation, size)
    problem = "" if is_plain else segmentation_problem(segmentation, size)
    if problem:
        return problem
    # Counted in run lengths: drawing would take ten times as long.
    if isinstance(segmentation, dict):
        drawn = _runs(segmentation)[1::2].any()
    else:
        polygons = segmentation if is_plain else enclosing(segmentation)
        drawn = coco_mask.area(coco_mask.frPyObjects(polygons, *size)).any()
    return "" if drawn else "its mask draws no pixel"


def _runs(rle: dict) -> np.ndarray:
    """The run lengths of a sound RLE, int64 (N,), of zeros and ones in turn."""
    counts = rle["counts"]
    return np.array(counts, dtype=np.int64) if isinstance(counts, list) else run_lengths(counts)


def decode_segmentation(segmentation: Segmentation, size: Size) -> Mask:
    """A COCO segmentation as a mask.

    Args:
        segmentation: list of flat polygons [x1, y1, x2, y2, ...] in pixels, or an RLE dict (compressed or not).
        size: (H, W) of the image.

    Returns:
        bool (H, W).

    Raises:
        InputError: it is no segmentation of an image of that size.
    """
    is_plain = is_plain_mask(segmentation, size)
    problem = "" if is_plain else malformed(segmentation, size)
    if problem:
        raise InputError(problem)
    height, width = size
    if isinstance(segmentation, dict):
        runs = _runs(segmentation)
        columns = np.repeat(np.arange(len(runs)) % 2 == 1, runs)  # (W * H,), column by column
        return np.ascontiguousarray(columns.reshape(width, height).T)
    polygons = segmentation if is_plain else enclosing(segmentation)
    if not polygons:
        return np.zeros((height, width), dtype=bool)
    rle = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    # pycocotools fills masks column by column, the rest of the project row by row.
    return np.ascontiguousarray(coco_mask.decode(rle), dtype=bool)
