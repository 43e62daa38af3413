"""Group-wise RES of the generated world: an expression and a group of images, some of which hold such an object.

    groupwise_res/{train,val,test}/images.pkl, annotations.pkl, sentences.pkl, groups.pkl   pickled {id: record}
    groupwise_res/images/<split>/<group>/<number>.jpg

    image       {"id": 2200000000, "file_name": "train/0/0.jpg", "height": 96, "width": 96, "anno_id": [2200000000],
                 "group_id": 22000000, ...}
    annotation  {"id": 2200000000, "sent_id": [22000000], "image_id": 2200000000, "segmentation": RLE, ...}
    sentence    {"id": 22000000, "anno_id": [2200000000, ...], "raw_sent": "a large red circle", ...}
    group       {"id": 22000000, "inner_sent_id": [22000000], "img_id": [2200000000, ...], ...}

The layout is D-cube's (https://github.com/shikras/d-cube), since the data of Wu et al., ICCV 2023 is not public.
AttCoSeg takes two images with the object and some without it: a pair agrees in size, color and shape of one object, and
no other two objects of the group agree in both color and shape. That is what makes an image a negative. In training a
group has 12 images with the object and 4 without it, which are 66 pairs; else 4 of each, which are 6.
"""

import json
import pickle
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from datamodules.synthetic.chunks import Chunk, Pieces, of_stream, record_lines
from datamodules.synthetic.coco import image_id
from datamodules.synthetic.coseg import find, other_kinds
from datamodules.synthetic.drawing import draw_scene
from datamodules.synthetic.files import Record, save_image
from datamodules.synthetic.format import Format
from datamodules.synthetic.outline import run_lengths
from datamodules.synthetic.phrases import with_article, wording
from datamodules.synthetic.scene import COLORED_SHAPES, VALUES, Kind, Scene, SceneObject
from datamodules.synthetic.streams import generator

SPLITS = ("train", "val", "test")
MAX_OBJECTS = 3  # of an image
TABLES = ("images", "annotations", "sentences", "groups")


class Size(NamedTuple):
    """How many images a group has; every `lacking`-th lacks the object, the first of them to begin with."""

    images: int
    lacking: int


SIZES = {"train": Size(16, 4), "val": Size(8, 2), "test": Size(8, 2)}


def group_kinds(rng: random.Random, size: Size) -> tuple[Kind, list[list[Kind]]]:
    """The kind that a group is about, and what each image holds, that kind first where it does."""
    common = rng.choice(COLORED_SHAPES)._replace(size=rng.choice(VALUES["size"]))
    contents = [[common] if k % size.lacking else [] for k in range(size.images)]
    num_common = sum(map(len, contents))
    while True:
        numbers = [rng.randint(1, MAX_OBJECTS) for _ in range(size.images)]
        # All other kinds of a group differ, of which there are only so many.
        if sum(numbers) - num_common < len(COLORED_SHAPES):
            break
    others = other_kinds(common, sum(numbers) - num_common, rng)
    for kinds, number in zip(contents, numbers, strict=True):
        while len(kinds) < number:
            kinds.append(others.pop())
    return common, contents


def _draw(root: Path, chunk: Chunk) -> Pieces:
    records: dict[str, list[Record]] = defaultdict(list)
    split = chunk.stream.removeprefix("groupwise_res_")
    size = SIZES[split]
    for index in range(chunk.start, chunk.stop):
        rng = wording(chunk.seed, chunk.stream, index)
        group = image_id(chunk.stream, index)
        (root / "images" / split / str(index)).mkdir(parents=True, exist_ok=True)
        common, contents = group_kinds(rng, size)
        image_ids = []
        annotation_ids = []
        for k, position in enumerate(rng.sample(range(size.images), size.images)):
            kinds = contents[position]
            scene_rng = generator(chunk.seed, chunk.stream, size.images * index + k)
            scene = draw_scene(scene_rng, kinds, chunk.image_size)
            file_name = f"{split}/{index}/{k}.jpg"
            save_image(root / "images" / file_name, scene.image)
            # An image holds the object once at most, so its annotation may have the image's number.
            number = 100 * group + k
            own_annotations = [number] if common in kinds else []
            if own_annotations:
                annotation = _annotation(find(scene, common), group, number)
                records["annotations"].append(annotation)
            records["images"].append(_image(scene, file_name, group, number, own_annotations))
            image_ids.append(number)
            annotation_ids += own_annotations
        records["sentences"].append(_sentence(common, group, annotation_ids))
        records["groups"].append(_group(group, image_ids))
    return Pieces.of(chunk, records)


def _image(
    scene: Scene,
    file_name: str,
    group: int,
    number: int,
    annotations: list[int],
) -> Record:
    height, width = scene.image.shape[:2]
    return {
        "id": number,
        "file_name": file_name,
        "height": height,
        "width": width,
        "flickr_url": "",
        "anno_id": annotations,
        "group_id": group,
        "license": 0,
    }


def _annotation(item: SceneObject, group: int, number: int) -> Record:
    x0, y0, x1, y1 = item.box
    return {
        "id": number,
        "sent_id": [group],
        "segmentation": run_lengths(item.mask),
        "area": int(item.mask.sum()),
        "iscrowd": 0,
        "image_id": number,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "group_id": group,
    }


def _sentence(kind: Kind, group: int, annotations: list[int]) -> Record:
    return {
        "id": group,
        "anno_id": annotations,
        "group_id": [group],
        "is_negative": False,
        "raw_sent": with_article(" ".join(kind)),
        "raw_sent_zh": "",
    }


def _group(number: int, images: list[int]) -> Record:
    return {
        "id": number,
        "pos_sent_id": [number],
        "inner_sent_id": [number],
        "outer_sent_id": [],
        "img_id": images,
        "scene": [],
        "group_name": "shapes",
        "group_name_zh": "",
    }


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    for split in SPLITS:
        (root / split).mkdir(exist_ok=True)
        own = of_stream(pieces, f"groupwise_res_{split}")
        for table in TABLES:
            # A pickle says which strings are one object; read from text, that does not depend on the process they
            # come from.
            items = ",".join(record_lines(own, table))
            records = {record["id"]: record for record in json.loads(f"[{items}]")}
            (root / split / f"{table}.pkl").write_bytes(pickle.dumps(records, protocol=2))


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    return [with_article(item.name) for item in scene.objects]


FORMAT = Format(
    streams={
        "groupwise_res_train": ("num_train", 0.031),
        "groupwise_res_val": ("num_val", 0.1),
        "groupwise_res_test": ("num_test", 0.1),
    },
    draw=_draw,
    write=_write,
    texts=_texts,
    version=2,
)
