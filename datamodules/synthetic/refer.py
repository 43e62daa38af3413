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
from collections.abc import Sequence
from pathlib import Path

from datamodules.synthetic.coco import annotation_id, category_id, write_instances
from datamodules.synthetic.files import Record
from datamodules.synthetic.phrases import describe
from datamodules.synthetic.scene import Kind, Scene


def split_of(stream: str, index: int) -> str:
    """RefCOCO's split of a scene; the test scenes alternate between testA and testB."""
    if stream in ("train", "val"):
        return stream
    return "testB" if index % 2 else "testA"


def file_name(identifier: int) -> str:
    """The name of an image in COCO 2014, as RefCOCO's instances.json writes it."""
    return f"COCO_train2014_{identifier:012d}.jpg"


def ref_records(
    scene: Scene,
    identifier: int,
    split: str,
    rng: random.Random,
) -> list[Record]:
    """The refs of a scene, in the order of its objects."""
    size = {"testA": "large", "testB": "small"}.get(split, "")
    records = []
    for position, item in enumerate(scene.objects):
        number = rng.choice((1, 2))
        if split == "train":
            number = max(number, 4 // len(scene.objects))
        expressions = {describe(scene, item, rng) for _ in range(number)}
        # An object that nothing identifies has no ref.
        if size in ("", item.kind.size) and "" not in expressions:
            record = _record(identifier, position, item.kind, split, sorted(expressions))
            records.append(record)
    return records


def _record(
    identifier: int,
    position: int,
    kind: Kind,
    split: str,
    expressions: Sequence[str],
) -> Record:
    number = annotation_id(identifier, position)
    sentence_ids = [10 * number + i for i in range(len(expressions))]
    sentences = [
        sentence_record(sentence_id, text)
        for sentence_id, text in zip(sentence_ids, expressions, strict=True)
    ]
    return {
        "sent_ids": sentence_ids,
        "file_name": file_name(identifier).replace(".jpg", f"_{position}.jpg"),
        "ann_id": number,
        "ref_id": number,
        "image_id": identifier,
        "split": split,
        "sentences": sentences,
        "category_id": category_id(kind),
    }


def sentence_record(number: int, text: str) -> Record:
    """An entry of a ref's `sentences`."""
    return {
        "tokens": text.split(),
        "raw": text,
        "sent_id": number,
        "sent": text,
    }


def write_refcoco(
    root: Path,
    refs: list[str],
    images: list[str],
    annotations: list[str],
) -> None:
    """Writes both files below `root` from pieces of `json_lines`."""
    folder = root / "refer" / "refcoco"
    write_instances(folder / "instances.json", images, annotations, type="instances")
    # A pickle says which strings are one object; read from text, that does not depend on the process they come from.
    items = ",".join(piece.replace("\n", ",") for piece in refs if piece)
    records = json.loads(f"[{items}]")
    with (folder / "refs(unc).p").open("wb") as file:
        pickle.dump(records, file, protocol=2)
