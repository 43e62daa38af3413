"""Boxes and masks of official files, checked: what cannot be drawn is left out with a note."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pycocotools import mask as coco_mask

from datamodules.readers.official import Official
from datamodules.readers.reader import Reader
from datamodules.readers.records import Record
from vista.data import Box, Segmentation, Size
from vista.geometry import (
    are_four,
    enclosing,
    is_box,
    joined,
    polygons_of,
    run_lengths,
    segmentation_problem,
    shown,
    size_problem,
)

IMAGE = {"id": int, "height": object, "width": object}  # of COCO's files
OBJECT = {"id": int, "bbox": object, "segmentation": object}


def clip_box(box: Sequence[float], size: Size) -> Box | None:
    """The part of a box, xyxy in pixels, inside its image of (H, W); None where no area is left or it is no box."""
    if not is_box(box, size):
        return None
    x0, y0, x1, y1 = map(float, box)
    height, width = size
    x0, y0, x1, y1 = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def clip_xywh(box: Sequence[float], size: Size) -> Box | None:
    """As `clip_box`, for a box given by its top left corner, width and height; returns xyxy."""
    # Numbers first: two texts can be added, too.
    if not are_four(box):
        return None
    x, y, width, height = box
    return clip_box((x, y, x + width, y + height), size)


def mask_problem(segmentation: Segmentation, size: Size) -> str:
    """Why a COCO segmentation of an object in an image of (H, W) is no mask with a pixel, or nothing."""
    problem = segmentation_problem(segmentation, size)
    if problem:
        return problem
    # Counted in run lengths: drawing would take ten times as long.
    if isinstance(segmentation, dict):
        drawn = run_lengths(segmentation["counts"])[1::2].any()
    else:
        drawn = coco_mask.area(_outlines(segmentation, size)).any()
    return "" if drawn else "its mask draws no pixel"


def union(segmentations: Iterable[Segmentation], size: Size) -> Record:
    """Several objects of an image of (H, W), each without a `mask_problem`, as one RLE with text counts."""
    parts: list[Record] = []
    for segmentation in segmentations:
        if isinstance(segmentation, dict):
            runs = joined(run_lengths(segmentation["counts"])).tolist()
            parts.append(coco_mask.frPyObjects({"size": list(size), "counts": runs}, *size))
        else:
            parts += _outlines(segmentation, size)
    return {"size": list(size), "counts": coco_mask.merge(parts)["counts"].decode("ascii")}


def _outlines(segmentation: list[list[float]], size: Size) -> list[Record]:
    """Each polygon as an RLE."""
    outlines: list[Record] = coco_mask.frPyObjects(enclosing(segmentation), *size)
    return outlines


def image_sizes(file: Official) -> dict[int, Size]:
    """(H, W) of each image of a file of COCO's layout by its id; an image without a size is left out."""
    images = file.records("images", IMAGE)
    found = ((image["id"], size_of(file.reader, image, image["id"], file.path)) for image in images)
    return {image_id: size for image_id, size in found if size is not None}


def size_of(reader: Reader, record: Record, name: object, path: Path) -> Size | None:
    """The (H, W) that a record states; None, with a note, where it is none."""
    size = (record["height"], record["width"])
    problem = size_problem(size)
    if problem:
        reader.leave_out(name, f"{problem}, in {path.name}")
        return None
    return size


def objects_of(file: Official) -> dict[int, Record]:
    """The objects of a file of COCO's layout by their id."""
    return {record["id"]: record for record in file.records("annotations", OBJECT)}


def intact_box(reader: Reader, record: Record, size: Size, path: Path) -> Box | None:
    """The box of a COCO instance, clipped, xyxy; None, with a note in `problems`, where box or mask cannot be used.

    A mask that is one flat list of numbers becomes a list of one polygon.

    Args:
        reader: takes the note.
        record: the instance.
        size: (H, W) of its image.
        path: of its file, for the note.
    """
    box = clip_xywh(record["bbox"], size)
    if box is None:
        why = f"its box {shown(record['bbox'])} has no area inside"
    else:
        why = mask_problem(record["segmentation"], size)
    if why:
        reader.leave_out(record["id"], f"{why}, in {path.name}")
        return None
    record["segmentation"] = polygons_of(record["segmentation"])
    return box
