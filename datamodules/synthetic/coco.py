"""COCO of the generated world: images, instances and captions (https://cocodataset.org/#format-data).

    coco/annotations/{instances,captions}_{train2017,val2017}.json
    coco/annotations/instances_train2014.json       the same pictures as train2017, other categories
    coco/{train2017,val2017}/%012d.jpg

    {"id": 10000010, "image_id": 1000001, "category_id": 1, "bbox": [12, 30, 31, 31], "area": 749,
     "iscrowd": 0, "segmentation": [[24, 30, 25, 30, ...]]}

A category is a colour and a shape ("red circle", supercategory "circle"). A ring has a hole, so its segmentation is an
uncompressed RLE although `iscrowd` is 0.

In train2014 only those objects are annotated whose colour and shape no other object of the image has, but each under
six categories: "red circle", "red circle on the left", "red circle at the top", and these once more as "large red
circle". So one image goes into six groups of images that have an object in common.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

from datamodules.synthetic.files import (
    INFO,
    LICENSE,
    Record,
    WorldError,
    json_lines,
    write_document,
)
from datamodules.synthetic.outline import segmentation
from datamodules.synthetic.scene import COLORED_SHAPES, Kind, Scene, SceneObject
from datamodules.synthetic.streams import STREAMS

CATEGORY_NAMES = [f"{kind.color} {kind.shape}" for kind in COLORED_SHAPES]
_CATEGORIES = [
    {
        "supercategory": kind.shape,
        "id": number,
        "name": name,
    }
    for number, (kind, name) in enumerate(zip(COLORED_SHAPES, CATEGORY_NAMES, strict=True), start=1)
]
# What a category of the 2014 release adds to a color and a shape: a size or none, and a place or none.
PLACES = ("", " on the left", " on the right", " at the top", " at the bottom")
FINER = list(product(("", "small ", "large "), PLACES))
_FINER_CATEGORIES: list[Record] = [
    {
        "supercategory": name,
        "id": number,
        "name": f"{size}{name}{place}",
    }
    for number, ((size, place), name) in enumerate(product(FINER, CATEGORY_NAMES), start=1)
]
SCENES_PER_STREAM = 1_000_000


def image_id(stream: str, index: int) -> int:
    """A number that no scene of another stream has.

    Raises:
        WorldError: the index leaves the stream's range of numbers.
    """
    if not 0 <= index < SCENES_PER_STREAM:
        most = f"a split has at most {SCENES_PER_STREAM} scenes"
        raise WorldError(f"scene {index} of {stream} is out of range: {most}")
    return (1 + STREAMS.index(stream)) * SCENES_PER_STREAM + index


def image_record(
    identifier: int,
    folder: str,
    image_size: int,
    file_name: str = "",
) -> Record:
    """The `images` entry; `file_name` where it is not the number alone."""
    file_name = file_name or f"{identifier:012d}.jpg"
    return {
        "license": LICENSE["id"],
        "file_name": file_name,
        "coco_url": f"http://images.cocodataset.org/{folder}/{file_name}",
        "height": image_size,
        "width": image_size,
        "date_captured": "2024-01-01 00:00:00",
        "flickr_url": "",
        "id": identifier,
    }


def annotation_id(identifier: int, position: int) -> int:
    """The number of the object (or caption) at a position in an image."""
    return 10 * identifier + position


def category_id(kind: Kind) -> int:
    """The category of a colour and a shape."""
    return 1 + COLORED_SHAPES.index(kind._replace(size=""))


def instance_records(scene: Scene, identifier: int) -> list[Record]:
    """The `annotations` entries of a scene's objects, in their order."""
    records: list[Record] = []
    for position, item in enumerate(scene.objects):
        x0, y0, x1, y1 = item.box
        records.append(
            {
                "segmentation": segmentation(item.mask),
                "area": int(item.mask.sum()),
                "iscrowd": 0,
                "image_id": identifier,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "category_id": category_id(item.kind),
                "id": annotation_id(identifier, position),
            }
        )
    return records


def finer_records(scene: Scene, identifier: int, records: Sequence[Record]) -> list[Record]:
    """The `annotations` entries of the 2014 release.

    Args:
        scene: the image and its objects.
        identifier: the image's number.
        records: `instance_records` of the objects.
    """
    finer = []
    categories = [category_id(kind) for kind in scene.kinds]
    for position, (item, record) in enumerate(zip(scene.objects, records, strict=True)):
        if categories.count(categories[position]) > 1:
            continue
        for k, finer_name in enumerate(_finer(item, len(scene.image))):
            category = len(_CATEGORIES) * FINER.index(finer_name) + categories[position]
            number = annotation_id(annotation_id(identifier, position), k)
            finer.append({**record, "category_id": category, "id": number})
    return finer


def _finer(item: SceneObject, image_size: int) -> Iterator[tuple[str, str]]:
    """Those of `FINER` that are true of an object."""
    side = " on the left" if item.x < image_size / 2 else " on the right"
    height = " at the top" if item.y < image_size / 2 else " at the bottom"
    return product(("", f"{item.kind.size} "), ("", side, height))


def caption_records(texts: Sequence[str], identifier: int) -> list[Record]:
    """The `annotations` entries of an image's captions."""
    return [
        {
            "image_id": identifier,
            "id": annotation_id(identifier, position),
            "caption": text,
        }
        for position, text in enumerate(texts)
    ]


def write_captions(path: Path, images: list[str], annotations: list[str]) -> None:
    """Writes a captions file from pieces of `json_lines`."""
    head = {"info": INFO, "licenses": [LICENSE]}
    write_document(path, head, {"images": images, "annotations": annotations})


def write_instances(path: Path, images: list[str], annotations: list[str], **head: object) -> None:
    """Writes an instances file from pieces of `json_lines`; `head` are further keys."""
    _write_instances(path, images, annotations, _CATEGORIES, head)


def write_finer_instances(path: Path, images: list[str], annotations: list[str]) -> None:
    """Writes the file of `finer_records`."""
    _write_instances(path, images, annotations, _FINER_CATEGORIES, {})


def _write_instances(
    path: Path,
    images: list[str],
    annotations: list[str],
    categories: list[Record],
    head: Record,
) -> None:
    lists = {
        "images": images,
        "annotations": annotations,
        "categories": [json_lines(categories)],
    }
    write_document(path, {"info": INFO, "licenses": [LICENSE], **head}, lists)
