"""How much two boxes or two masks overlap: GIoU of boxes (their IoU is `vista.data.box_iou`), IoU of masks.

Boxes are xyxy in pixels, continuous coordinates (no +1). What has no area overlaps nothing.
"""

from collections.abc import Iterable

import numpy as np

from vista.boxes import box_area, box_intersection, box_iou
from vista.data import Box, Mask, Size


def box_giou(a: Box, b: Box) -> float:
    """IoU - (C - U) / C, C being the area of the enclosing box; -1..1. The IoU (0) where C is 0."""
    iou = box_iou(a, b)
    union = box_area(a) + box_area(b) - box_intersection(a, b)
    hull = box_area(enclosing_box((a, b)))
    if not hull:
        return iou
    return iou - (hull - union) / hull


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
    shared = np.count_nonzero(a & b)
    union = np.count_nonzero(a | b)
    return int(shared), int(union)


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
