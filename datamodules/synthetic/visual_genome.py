"""Visual Genome of the generated world: phrases of regions (https://homes.cs.washington.edu/~ranjay/visualgenome).

    visual_genome/region_descriptions.json, image_data.json     v1.2
    visual_genome/densecap_splits.json                          {"train": [image ids], "val": [...], "test": [...]}
    visual_genome/VG_100K/<id>.jpg, VG_100K_2/<id>.jpg          even and odd ids

    {"id": 10000000, "regions": [{"region_id": 100000000, "image_id": 10000000, "phrase": "a large red circle",
                                  "x": 12, "y": 30, "width": 31, "height": 31}, ...]}

A region is one object, or two objects with nothing else in the box around them: "a red circle above a blue square".
Every second scene has four objects, so that there is something to count. PointingQA and Visual7W ask about the same
scenes.
"""

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from datamodules.synthetic.chunks import (
    Chunk,
    Pieces,
    any_number,
    column,
    of_stream,
    record_lines,
)
from datamodules.synthetic.coco import image_id
from datamodules.synthetic.files import Record, save_image, write_list
from datamodules.synthetic.format import Format
from datamodules.synthetic.phrases import clearly, with_article
from datamodules.synthetic.scene import MAX_OBJECTS, Scene, SceneObject

Box = tuple[int, int, int, int]
SPLITS = ("train", "val", "test")


def streams(share: float) -> dict[str, tuple[str, float]]:
    """The first training scenes, a share of the world's number of them, and all of val and test (see `Format`)."""
    return {
        "visual_genome_train": ("num_train", share),
        "visual_genome_val": ("num_val", 1.0),
        "visual_genome_test": ("num_test", 1.0),
    }


def genome_scenes(chunk: Chunk) -> Iterator[tuple[int, Scene]]:
    """(image id, scene) of each scene of a chunk."""
    for index, scene in chunk.scenes(_number_of_objects):
        yield image_id(chunk.stream, index), scene


def _number_of_objects(index: int) -> int:
    return MAX_OBJECTS if index % 2 else any_number(index)


def image_ids(pieces: Sequence[Pieces], stream: str) -> list[int]:
    """The `ids` of all pieces of one stream."""
    return [int(line) for line in record_lines(of_stream(pieces, stream), "ids")]


def xywh(box: Box) -> dict[str, int]:
    """A box as regions and Visual7W write it."""
    x0, y0, x1, y1 = box
    return {
        "x": x0,
        "y": y0,
        "width": x1 - x0,
        "height": y1 - y0,
    }


def regions(scene: Scene) -> list[tuple[str, Box]]:
    """(phrase, xyxy) of each object, then of pairs of objects."""
    boxes = [item.box for item in scene.objects]
    found = [(with_article(item.name), item.box) for item in scene.objects]
    for a, b in combinations(scene.objects, 2):
        phrase = _relation(scene, a, b)
        around = _around(a.box, b.box)
        num_inside = sum(_overlap(around, box) for box in boxes)
        # A third object in the box would make the phrase an incomplete description of the region.
        if phrase and num_inside == 2:
            found.append((phrase, around))
    return found


def _relation(scene: Scene, a: SceneObject, b: SceneObject) -> str:
    """How the two stand along the axis on which they are further apart."""
    is_wide = abs(a.x - b.x) > abs(a.y - b.y)
    relation = "left of" if is_wide else "above"
    is_so = clearly(scene, a, relation, b)
    if is_so is None:
        return ""
    first, second = (a, b) if is_so else (b, a)
    return f"{_words(first)} {relation} {_words(second)}"


def _words(item: SceneObject) -> str:
    return with_article(f"{item.kind.color} {item.kind.shape}")


def _around(a: Box, b: Box) -> Box:
    """The smallest box around two."""
    ax0, ay0, ax1, ay1 = a
    bx0, by0, bx1, by1 = b
    return (
        min(ax0, bx0),
        min(ay0, by0),
        max(ax1, bx1),
        max(ay1, by1),
    )


def _overlap(a: Box, b: Box) -> bool:
    ax0, ay0, ax1, ay1 = a
    bx0, by0, bx1, by1 = b
    overlap_in_x = ax0 < bx1 and bx0 < ax1
    overlap_in_y = ay0 < by1 and by0 < ay1
    return overlap_in_x and overlap_in_y


def _folder(number: int) -> str:
    return "VG_100K_2" if number % 2 else "VG_100K"


def _draw(root: Path, chunk: Chunk) -> Pieces:
    records: dict[str, list[object]] = defaultdict(list)
    for folder in ("VG_100K", "VG_100K_2"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number, scene in genome_scenes(chunk):
        path = f"{_folder(number)}/{number}.jpg"
        save_image(root / path, scene.image)
        image = _image_record(number, path, chunk.image_size)
        records["images"].append(image)
        region_records = _region_records(scene, number)
        records["regions"].append({"id": number, "regions": region_records})
        records["ids"].append(number)
    return Pieces.of(chunk, records)


def _image_record(number: int, path: str, image_size: int) -> Record:
    return {
        "image_id": number,
        "width": image_size,
        "height": image_size,
        "url": f"https://cs.stanford.edu/people/rak248/{path}",
        "coco_id": None,
        "flickr_id": None,
    }


def _region_records(scene: Scene, number: int) -> list[Record]:
    records: list[Record] = []
    for region_id, (phrase, box) in enumerate(regions(scene), 10 * number):
        about: Record = {
            "region_id": region_id,
            "image_id": number,
            "phrase": phrase,
        }
        records.append(about | xywh(box))
    return records


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    write_list(root / "image_data.json", column(pieces, "images"))
    write_list(root / "region_descriptions.json", column(pieces, "regions"))
    splits = {split: image_ids(pieces, f"visual_genome_{split}") for split in SPLITS}
    (root / "densecap_splits.json").write_text(json.dumps(splits) + "\n")


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    return [phrase for phrase, _ in regions(scene)]


FORMAT = Format(streams=streams(0.25), draw=_draw, write=_write, texts=_texts)
