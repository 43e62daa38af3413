"""Slices: what kind of sample it is, so that a score can be told of each kind.

    kinds_of(annotation, any_number=False)      {"size": "1 to 10 %", "parts": "1", "holes": "none", "images": "1"}

Size, parts and holes are of all annotated regions together.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from vista.data import Annotation, Mask
from vista.geometry import decode_segmentation

SIZES = ((0.01, "under 1 % of the image"), (0.1, "1 to 10 %"), (float("inf"), "over 10 %"))
COUNTS = ("none", "1", "2", "3 or more")
ORDER = (*COUNTS, *(name for _, name in SIZES))  # of kinds, from left to right
TITLES = {
    "size": "Size of the object", "parts": "Parts of the object", "holes": "Holes in the object",
    "targets": "Number of targets", "images": "Number of images", "prompt": "Prompt",
}  # fmt: skip


def kinds_of(annotation: Annotation, any_number: bool) -> dict[str, str]:
    """The kind of a sample in each respect that its annotation tells of.

    Args:
        annotation: what was asked about.
        any_number: whether its task asks for any number of objects, or none.
    """
    kinds = {"images": counted(len(annotation.images))}
    masks = _masks(annotation)
    if masks:
        parts, holes = parts_and_holes(np.any(masks, axis=0))
        kinds |= {"parts": counted(parts), "holes": counted(holes)}
    if (share := _share(annotation, masks)) is not None:
        kinds["size"] = next(name for most, name in SIZES if share < most)
    if any_number:
        kinds["targets"] = counted(len(annotation.segmentations or annotation.boxes))
    return kinds


def counted(number: int) -> str:
    """`none`, `1`, `2`, `3 or more`."""
    return COUNTS[min(number, len(COUNTS) - 1)]


def parts_and_holes(mask: Mask) -> tuple[int, int]:
    """How many connected parts a mask has, pixels that touch at a corner being connected, and how many holes."""
    _, levels = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if levels is None:
        return 0, 0
    inner = levels[0][:, 3] >= 0  # their last number is the contour around them
    return int(np.count_nonzero(~inner)), int(np.count_nonzero(inner))


def _masks(annotation: Annotation) -> list[Mask]:
    """The annotated masks where they are of one image."""
    if len(annotation.images) != 1 or not annotation.sizes:
        return []
    return [decode_segmentation(each, annotation.sizes[0]) for each in annotation.segmentations]


def _share(annotation: Annotation, masks: Sequence[Mask]) -> float | None:
    """The share of the first image that the objects cover; by their boxes where they have no masks."""
    if masks:
        return float(np.any(masks, axis=0).mean())
    if not annotation.boxes or not annotation.sizes:
        return None
    height, width = annotation.sizes[0]
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in annotation.boxes]
    return min(1.0, sum(areas) / (height * width))
