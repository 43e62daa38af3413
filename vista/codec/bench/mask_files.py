"""Masks out of files as they are: COCO annotations, COCO results, PNG.

{"images": [{"id": 9, "height": 480, "width": 640}], "annotations": [{"image_id": 9, "segmentation": [[...]]}]}
[{"image_id": 73, "segmentation": {"size": [640, 565], "counts": "aV1;..."}}]
"""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from vista.damage import read_json, unreadable
from vista.data import InputError, Mask, MissingFileError, Size
from vista.geometry import decode_segmentation
from vista.unsound import is_box, shown

LISTED = 20  # annotations that a message names


def read_masks(paths: Sequence[Path], min_box: float = 0.0) -> Iterator[Mask]:
    """Every mask of the files that is not empty, file by file; crowds are left out, and with a warning what is no mask.

    Args:
        paths: COCO json files (annotations or results; polygons or RLE), PNG files whose non-zero pixels are one mask,
            or folders of PNG files.
        min_box: least area of the mask's box as a share of its image; COCO's own `bbox` is taken where there is one.

    Yields:
        bool (H, W).

    Raises:
        InputError: a file is of another kind, or cannot be read.
        MissingFileError: there is no such file.
    """
    for path in paths:
        for mask, box in _read_file(path):
            if mask.any() and _box_area(mask, box) >= min_box * mask.size:
                yield mask


def _read_file(path: Path) -> Iterator[tuple[Mask, Sequence[float] | None]]:
    """Masks of one file or folder with their boxes (x, y, width, height) where the file says them."""
    if not path.exists():
        raise MissingFileError(f"there is no file {path}")
    if path.is_dir():
        for file in sorted(path.glob("*.png")):
            yield _read_png(file), None
    elif path.suffix == ".png":
        yield _read_png(path), None
    elif path.suffix == ".json":
        yield from _read_coco(path)
    else:
        raise InputError(
            f"masks are read from .json and .png files and folders of .png files, not from {path}"
        )


def _read_png(path: Path) -> Mask:
    try:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise unreadable(path, "image", error.err) from error
    if image is None:
        raise unreadable(path, "image")
    if image.ndim == 2:
        return np.asarray(image != 0)
    # The last of 4 channels is opacity, which says nothing about the object.
    return (image[..., :3] != 0).any(axis=2)


def _read_coco(path: Path) -> Iterator[tuple[Mask, Sequence[float] | None]]:
    annotations = read_json(path)  # a list where these are results
    images: object = []
    if isinstance(annotations, dict):
        images = annotations.get("images", [])
        annotations = annotations.get("annotations")
    if not isinstance(annotations, list):
        raise InputError(f"{path} is neither COCO annotations nor COCO results")
    sizes, left_out = _sizes(images), list[str]()
    for number, annotation in enumerate(annotations, start=1):
        if not isinstance(annotation, dict):
            left_out.append(f"record {number} is {shown(annotation)}")
            continue
        segmentation = annotation.get("segmentation")
        if not segmentation or annotation.get("iscrowd"):
            continue
        image_id = annotation.get("image_id")
        size = sizes.get(str(image_id))
        if size is None and isinstance(segmentation, dict):
            size = segmentation.get("size", ())
        if size is None:
            raise InputError(f"{path} holds polygons, but not the size of image {image_id}")
        try:
            mask = decode_segmentation(segmentation, size)
        except InputError as error:
            left_out.append(f"annotation {annotation.get('id', number)}: {error}")
            continue
        box = annotation.get("bbox")
        yield mask, box if is_box(box, size) else None
    if left_out:
        listed = "; ".join(left_out[:LISTED]) + ("; ..." if len(left_out) > LISTED else "")
        head = f"{path}: {len(left_out)} of {len(annotations)} annotations are left out"
        warnings.warn(f"{head}: {listed}", stacklevel=2)


def _sizes(images: object) -> dict[str, Size]:
    """(H, W) of each image of a COCO file by its id as text, as they stand there."""
    sizes = {}
    for image in images if isinstance(images, list) else ():
        if isinstance(image, dict):
            sizes[str(image.get("id"))] = (image.get("height"), image.get("width"))
    return sizes  # type: ignore[return-value]  # looked at when a mask is drawn


def _box_area(mask: Mask, box: Sequence[float] | None) -> float:
    if box is not None:
        return box[2] * box[3]
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    height = rows[-1] - rows[0] + 1
    width = columns[-1] - columns[0] + 1
    return float(height * width)
