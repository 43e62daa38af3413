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
from typing import Any

from datamodules.synthetic.chunks import Chunk, Pieces, column, each
from datamodules.synthetic.coco import image_id
from datamodules.synthetic.files import json_lines, save_image, write_list
from datamodules.synthetic.format import Format, of_stream
from datamodules.synthetic.phrases import RELATIONS, clearly, noun, with_article
from datamodules.synthetic.scene import MAX_OBJECTS, Scene, SceneObject

Box = tuple[int, int, int, int]
SPLITS = ("train", "val", "test")


def streams(share: float) -> dict[str, tuple[str, float]]:
    """The first training scenes, a share of the world's number of them, and all of val and test (see `Format`)."""
    return {
        f"visual_genome_{split}": (f"num_{split}", share if split == "train" else 1.0)
        for split in SPLITS
    }


def genome_scenes(chunk: Chunk) -> Iterator[tuple[int, Scene]]:
    """(image id, scene) of each scene of a chunk."""
    for index, scene in chunk.scenes(lambda index: MAX_OBJECTS if index % 2 else 0):
        yield image_id(chunk.stream, index), scene


def image_ids(pieces: Sequence[Pieces], stream: str) -> list[int]:
    """The `ids` of all pieces of one stream."""
    return [int(line) for line in each(of_stream(pieces, stream), "ids")]


def xywh(box: Box) -> dict[str, int]:
    """A box as regions and Visual7W write it."""
    x0, y0, x1, y1 = box
    return {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}


def regions(scene: Scene) -> list[tuple[str, Box]]:
    """(phrase, xyxy) of each object, then of pairs of objects."""
    boxes = [item.box for item in scene.objects]
    found = [(with_article(item.name), box) for item, box in zip(scene.objects, boxes, strict=True)]
    for (i, a), (j, b) in combinations(enumerate(scene.objects), 2):
        around, phrase = _around(boxes[i], boxes[j]), _relation(scene, a, b)
        if phrase and sum(_overlap(around, box) for box in boxes) == 2:
            found.append((phrase, around))
    return found


def _relation(scene: Scene, a: SceneObject, b: SceneObject) -> str:
    """How the two stand along the axis on which they are further apart."""
    axis = "x" if abs(a.x - b.x) > abs(a.y - b.y) else "y"
    for relation, (along, sign) in RELATIONS.items():
        if (along, sign) == (axis, -1) and clearly(scene, a, relation, b) is not None:
            first, second = (a, b) if clearly(scene, a, relation, b) else (b, a)
            names = [with_article(noun(item.kind._replace(size=""))) for item in (first, second)]
            return f"{names[0]} {relation} {names[1]}"
    return ""


def _around(a: Box, b: Box) -> Box:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _folder(number: int) -> str:
    return "VG_100K_2" if number % 2 else "VG_100K"


def _draw(root: Path, chunk: Chunk) -> Pieces:
    records: dict[str, list[Any]] = defaultdict(list)
    for folder in ("VG_100K", "VG_100K_2"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number, scene in genome_scenes(chunk):
        path = f"{_folder(number)}/{number}.jpg"
        save_image(root / path, scene.image)
        size = {"width": chunk.image_size, "height": chunk.image_size}
        url = f"https://cs.stanford.edu/people/rak248/{path}"
        records["images"].append(
            {"image_id": number, **size, "url": url, "coco_id": None, "flickr_id": None}
        )
        found = [
            {"region_id": 10 * number + k, "image_id": number, "phrase": phrase, **xywh(box)}
            for k, (phrase, box) in enumerate(regions(scene))
        ]
        records["regions"].append({"id": number, "regions": found})
        records["ids"].append(number)
    return Pieces(chunk.stream, {name: json_lines(lines) for name, lines in records.items()})


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    write_list(root / "image_data.json", column(pieces, "images"))
    write_list(root / "region_descriptions.json", column(pieces, "regions"))
    splits = {split: image_ids(pieces, f"visual_genome_{split}") for split in SPLITS}
    (root / "densecap_splits.json").write_text(json.dumps(splits) + "\n")


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    return [phrase for phrase, _ in regions(scene)]


FORMAT = Format(streams=streams(0.25), draw=_draw, write=_write, texts=_texts)
