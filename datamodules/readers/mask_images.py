"""Masks that are images: white on black, shades of grey, or one value or colour for each object.

What is black is background. A mask in few values says which object each pixel is of; one in many is white with shades
at the border, or was a JPEG once, and its grey pixels belong to the nearer side. Few values with white among them may
be either: there a value is that of an object where it fills some square of 3 x 3 pixels, as a border never does.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from datamodules.readers.records import Record
from vista.damage import looks_like
from vista.data import Segmentation, Size
from vista.unsound import enclosing, joined, run_lengths

FEW = 8  # values of a mask that is no picture
WHITE = 128  # values from here on are nearer to white
DEEP = ("I;16", "I;16B", "I;16L", "I")  # modes of 16 bits
# What Pillow raises at files that are damaged, or no images.
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)


def read_mask(path: Path) -> np.ndarray:
    """The object of a mask file, bool (H, W).

    Raises:
        one of `UNREADABLE`: it is no image, or damaged.
    """
    with Image.open(path) as image:
        return object_of(brightness(image))


def brightness(image: Image.Image) -> np.ndarray:
    """How bright each pixel is, the brightest channel of a colour counting, uint8 (H, W)."""
    if image.mode in DEEP:
        values = np.asarray(image)
        return (values >> 8 if values.max() > 255 else values).astype(np.uint8)
    return np.asarray(image.convert("RGB")).max(axis=2)


def object_of(values: np.ndarray) -> np.ndarray:
    """The object of a mask, bool (H, W); values: uint8 (H, W), 0 is background."""
    found = np.unique(values)
    if len(found) > FEW:
        return values >= min(WHITE, int(found[-1]) // 2 + 1)
    if found[-1] < WHITE:
        return values > 0
    return (values >= WHITE) | np.isin(values, filling(values))


def filling(values: np.ndarray) -> np.ndarray:
    """The values above 0 that fill some square of 3 x 3 pixels of a mask, (H, W)."""
    if min(values.shape) < 3:
        return np.unique(values[values > 0])
    squares = np.lib.stride_tricks.sliding_window_view(values, (3, 3))  # (H - 2, W - 2, 3, 3)
    middle = squares[..., 1, 1]
    even = (squares == middle[..., None, None]).all(axis=(2, 3))
    return np.unique(middle[even & (middle > 0)])


def damage(path: Path, error: Exception) -> str:
    """Why an image file cannot be used, for a note."""
    found = looks_like(path, "image") if path.is_file() else ""
    return f"{path} is no image: it looks like {found}" if found else f"{path} is damaged: {error}"


def union(segmentations: Iterable[Segmentation], size: Size) -> Record:
    """Several objects of an image of (H, W), each without a `mask_problem`, as one RLE with text counts."""
    parts: list[Record] = []
    for segmentation in segmentations:
        if isinstance(segmentation, dict):
            runs = joined(run_lengths(segmentation["counts"])).tolist()
            parts.append(coco_mask.frPyObjects({"size": list(size), "counts": runs}, *size))
        else:
            parts += coco_mask.frPyObjects(enclosing(segmentation), *size)
    return {"size": list(size), "counts": coco_mask.merge(parts)["counts"].decode("ascii")}
