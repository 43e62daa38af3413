"""RefCOCO of the generated world: expressions that refer to one object (https://github.com/lichengunc/refer).

    refer/refcoco/refs(unc).p       a list, pickled with protocol 2
    refer/refcoco/instances.json    COCO's instances layout, images named as in COCO 2014

    {"ref_id": 10000011, "ann_id": 10000011, "image_id": 1000001, "category_id": 6, "split": "train",
     "file_name": "COCO_train2014_000001000001_1.jpg", "sent_ids": [100000110],
     "sentences": [{"sent_id": 100000110, "sent": "the left square", "raw": "the left square",
                    "tokens": ["the", "left", "square"]}]}

One ref per object that can be identified, with one or two expressions, in training up to four where it is alone.
RefCOCO's testA and testB share no image and differ in what is referred to (persons, other things); here testA refers to
large objects, testB to small ones.
"""

import json
import pickle
import random
from pathlib import Path
from typing import Any

from datamodules.synthetic.coco import annotation_id, category_id, write_instances
from datamodules.synthetic.phrases import describe
from datamodules.synthetic.scene import Scene


def split_of(stream: str, index: int) -> str:
    """RefCOCO's split of a scene; the test scenes alternate between testA and testB."""
    return stream if stream in ("train", "val") else ("testA", "testB")[index % 2]


def file_name(identifier: int) -> str:
    """The name of an image in COCO 2014, as RefCOCO's instances.json writes it."""
    return f"COCO_train2014_{identifier:012d}.jpg"


def ref_records(
    scene: Scene, identifier: int, split: str, rng: random.Random
) -> list[dict[str, Any]]:
    """The refs of a scene, in the order of its objects."""
    size = {"testA": "large", "testB": "small"}.get(split, "")
    records = []
    for position, item in enumerate(scene.objects):
        wanted = max(rng.choice((1, 2)), 4 // len(scene.objects) if split == "train" else 0)
        expressions = {describe(scene, item, rng) for _ in range(wanted)}
        if size in ("", item.kind.size) and "" not in expressions:
            number = annotation_id(identifier, position)
            sentences = [
                _sentence(10 * number + i, text) for i, text in enumerate(sorted(expressions))
            ]
            records.append(
                {
                    "sent_ids": [sentence["sent_id"] for sentence in sentences],
                    "file_name": file_name(identifier).replace(".jpg", f"_{position}.jpg"),
                    "ann_id": number,
                    "ref_id": number,
                    "image_id": identifier,
                    "split": split,
                    "sentences": sentences,
                    "category_id": category_id(item.kind),
                }
            )
    return records


def _sentence(number: int, text: str) -> dict[str, Any]:
    return {"tokens": text.split(), "raw": text, "sent_id": number, "sent": text}


def write_refcoco(root: Path, refs: list[str], images: list[str], annotations: list[str]) -> None:
    """Writes both files below `root` from pieces of `json_lines`."""
    folder = root / "refer" / "refcoco"
    write_instances(folder / "instances.json", images, annotations, type="instances")
    # A pickle says which strings are one object; read from text, that does not depend on the process they come from.
    records = json.loads("[" + ",".join(piece.replace("\n", ",") for piece in refs if piece) + "]")
    with (folder / "refs(unc).p").open("wb") as file:
        pickle.dump(records, file, protocol=2)
