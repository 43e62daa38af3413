"""gRefCOCO of the generated world: expressions of any number of objects (https://github.com/henghuiding/gRefCOCO).

    grefcoco/grefs(unc).json, grefcoco/instances.json       images as RefCOCO's, named as in COCO 2014

    {"ref_id": 10000011, "ann_id": [10000010, 10000012], "image_id": 1000001, "category_id": [6, 9], "split": "train",
     "no_target": false, "file_name": "COCO_train2014_000001000001.jpg", "sent_ids": [10000011],
     "sentences": [{"sent_id": 10000011, "raw": "all red objects", "sent": "all red objects",
                    "tokens": ["all", "red", "objects"]}]}

Without a target, `ann_id` and `category_id` are [-1]. The scenes are RefCOCO's: of the training scenes the first
quarter, and all of val, testA and testB.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from datamodules.synthetic import coco
from datamodules.synthetic.chunks import Chunk, Pieces, column
from datamodules.synthetic.expressions import Expression, expressions
from datamodules.synthetic.files import Record, write_list
from datamodules.synthetic.format import Format
from datamodules.synthetic.phrases import wording
from datamodules.synthetic.quota import Quota
from datamodules.synthetic.refer import file_name, sentence_record, split_of
from datamodules.synthetic.scene import Scene


def _draw(root: Path, chunk: Chunk) -> Pieces:
    """The images are those of COCO, which are there."""
    records: dict[str, list[Record]] = defaultdict(list)
    quota = Quota()
    for index, scene in chunk.scenes():
        number = coco.image_id(chunk.stream, index)
        rng = wording(chunk.seed, f"grefcoco {chunk.stream}", index)
        instances = coco.instance_records(scene, number)
        image = coco.image_record(number, "train2014", chunk.image_size, file_name(number))
        records["images"].append(image)
        records["instances"] += instances
        split = split_of(chunk.stream, index)
        for position, expression in enumerate(expressions(scene, rng, quota)):
            ref_id = coco.annotation_id(number, position)
            ref = _record(ref_id, number, expression, instances)
            records["refs"].append(
                {
                    **ref,
                    "image_id": number,
                    "split": split,
                }
            )
    return Pieces.of(chunk, records)


def _record(
    number: int,
    image_number: int,
    expression: Expression,
    instances: Sequence[Record],
) -> Record:
    targets = [instances[i] for i in expression.targets]
    return {
        "ref_id": number,
        "ann_id": [target["id"] for target in targets] or [-1],
        "category_id": [target["category_id"] for target in targets] or [-1],
        "no_target": not targets,
        "file_name": file_name(image_number),
        "sent_ids": [number],
        "sentences": [sentence_record(number, expression.text)],
    }


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    images = column(pieces, "images")
    instances = column(pieces, "instances")
    coco.write_instances(root / "instances.json", images, instances, type="instances")
    write_list(root / "grefs(unc).json", column(pieces, "refs"))


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    return [expression.text for expression in expressions(scene, rng, Quota())]


FORMAT = Format(
    streams={
        "train": ("num_train", 0.25),
        "val": ("num_val", 1.0),
        "refer_test": ("num_test", 1.0),
    },
    draw=_draw,
    write=_write,
    texts=_texts,
)
