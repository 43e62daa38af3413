"""How much two boxes or two masks overlap: IoU, GIoU.

Boxes are xyxy in pixels, continuous coordinates (no +1). What has no area overlaps nothing.
"""

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from vista.data import Box, Mask

Size: TypeAlias = tuple[int, int]


def box_area(box: Box) -> float:
    """Area in square pixels; 0 for swapped corners."""
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _intersection_and_union(a: Box, b: Box) -> tuple[float, float]:
    shared = box_area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))
    return shared, box_area(a) + box_area(b) - shared


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union, 0..1; 0 where either area is 0."""
    shared, union = _intersection_and_union(a, b)
    return shared / union if shared and union else 0.0


def box_giou(a: Box, b: Box) -> float:
    """IoU - (C - U) / C, C being the area of the enclosing box; -1..1. The IoU (0) where C is 0."""
    union = _intersection_and_union(a, b)[1]
    hull = box_area(enclosing_box((a, b)))
    return box_iou(a, b) - (hull - union) / hull if hull else box_iou(a, b)


def enclosing_box(boxes: Iterable[Box]) -> Box:
    """The smallest box around at least one box."""
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def mask_intersection_and_union(a: Mask, b: Mask) -> tuple[int, int]:
    """Pixels in both masks, pixels in either.

    Args:
        a: bool (H, W).
        b: bool (H, W), the same size.

    Raises:
        ValueError: the sizes differ; masks are compared at the size of the original image only.
    """
    if a.shape != b.shape:
        raise ValueError(f"masks of sizes {a.shape} and {b.shape} cannot be compared")
    return int(np.count_nonzero(a & b)), int(np.count_nonzero(a | b))


def mask_iou(a: Mask, b: Mask) -> float:
    """Intersection over union of two bool (H, W) masks, 0..1; 0 where the union is empty."""
    shared, union = mask_intersection_and_union(a, b)
    return shared / union if union else 0.0


def union_mask(masks: Iterable[Mask], size: Size) -> Mask:
    """All masks of one answer as one.

    Args:
        masks: bool (H, W) each; none gives the empty mask.
        size: (H, W).

    Returns:
        bool (H, W).

    Raises:
        ValueError: a mask has another size.
    """
    union = np.zeros(size, dtype=bool)
    for mask in masks:
        if mask.shape != union.shape:
            raise ValueError(f"a mask of size {mask.shape} in an image of size {union.shape}")
        union |= mask.astype(bool)
    return union
