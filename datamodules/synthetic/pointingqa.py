"""PointingQA of the generated world: questions about a pointed object (https://github.com/princetonvisualai/pointingqa).

    pointingqa/LookTwiceQA/looktwiceqa_dataset.json, looktwiceqa_{train,val,test}_imgs.json
    pointingqa/LocalQA/localqa_dataset.json, localqa_{train,val,testdev,testfinal}_imgs.json
    images of visual_genome/

    {"10000001": [{"id": 10000001, "obj_question": "how many of these circles are there?",
                   "super_question": "how many of these shapes are there?",
                   "general_question": "how many of these are there?", "ans": "2", "point": {"x": 30, "y": 41},
                   "bbox": {"names": ["circle"], ...}, "obj_type": "circles", "supercategory": "shapes"}]}
    {"10000001": [{"id": 10000001, "question": "what color is the circle?", "all_ans": ["blue", "red"],
                   "all_objs": [{"names": ["circle"], ...}, ...], "points": [{"x": 30, "y": 41, "ans": "blue"}, ...]}]}

LookTwiceQA counts the objects of the same shape as the pointed one, whichever way they are named. LocalQA asks what
differs between the objects that its words fit, so that only the point tells which one is meant.
"""

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from datamodules.synthetic.chunks import Chunk, Pieces, each
from datamodules.synthetic.files import json_lines, write_object
from datamodules.synthetic.format import Format
from datamodules.synthetic.phrases import ANYTHING, matches, noun, wording
from datamodules.synthetic.questions import VALUES, Quota
from datamodules.synthetic.scene import Scene, SceneObject
from datamodules.synthetic.visual_genome import SPLITS, genome_scenes, image_ids, streams

COUNTS = {"1": 0.3, "2": 0.3, "3": 0.25, "4": 0.15}
LOCAL_PER_SCENE = 2
Record = dict[str, Any]


def look_twice(scene: Scene, number: int, rng: random.Random, quota: Quota) -> Record:
    """The record of one object, whose count is the one that its shape has had least."""
    shapes = [item.kind.shape for item in scene.objects]
    by_shape = {shape: str(shapes.count(shape)) for shape in shapes}
    ranks = {
        shape: quota.order(shape, COUNTS, rng).index(answer) for shape, answer in by_shape.items()
    }
    shape = min(sorted(ranks), key=lambda name: (ranks[name], rng.random()))
    quota.note(shape, by_shape[shape])
    item = rng.choice([item for item in scene.objects if item.kind.shape == shape])
    asked = {
        "obj": f"how many of these {shape}s",
        "super": "how many of these shapes",
        "general": "how many of these",
    }
    return {
        "id": number,
        **{f"{name}_question": f"{words} are there?" for name, words in asked.items()},
        "ans": by_shape[shape],
        "point": _point(item),
        "bbox": _thing(item),
        "obj_type": f"{shape}s",
        "supercategory": "shapes",
    }


def local(scene: Scene, number: int, rng: random.Random) -> list[Record]:
    """Up to `LOCAL_PER_SCENE` questions that have different answers for different objects."""
    asked = []
    for attribute, named in product(
        ("color", "shape"), ("", *VALUES)
    ):  # not the size: a box tells it
        values = sorted({getattr(item.kind, named) for item in scene.objects}) if named else [""]
        for pattern in (
            ANYTHING._replace(**{named: value}) if named else ANYTHING for value in values
        ):
            items = [item for item in scene.objects if matches(pattern, item.kind)]
            if len({getattr(item.kind, attribute) for item in items}) > 1:
                asked.append((f"what {attribute} is the {noun(pattern)}?", attribute, items))
    return [_local(number, *one) for one in rng.sample(asked, min(LOCAL_PER_SCENE, len(asked)))]


def _local(number: int, question: str, attribute: str, items: Sequence[SceneObject]) -> Record:
    answers = [getattr(item.kind, attribute) for item in items]
    return {
        "id": number,
        "question": question,
        "all_ans": sorted(set(answers)),
        "all_objs": [_thing(item) for item in items],
        "points": [
            {**_point(item), "ans": answer} for item, answer in zip(items, answers, strict=True)
        ],
    }


def _point(item: SceneObject) -> dict[str, int]:
    """The middle of an object's box."""
    x0, y0, x1, y1 = item.box
    return {"x": (x0 + x1) // 2, "y": (y0 + y1) // 2}


def _thing(item: SceneObject) -> Record:
    """An object as Visual Genome writes it."""
    x0, y0, x1, y1 = item.box
    attributes = [item.kind.size, item.kind.color]
    return {
        "names": [item.kind.shape],
        "attributes": attributes,
        "x": x0,
        "y": y0,
        "w": x1 - x0,
        "h": y1 - y0,
    }


def _draw(root: Path, chunk: Chunk) -> Pieces:
    """The images are those of Visual Genome, which are there."""
    records: dict[str, list[Any]] = defaultdict(list)
    quota = Quota()
    for number, scene in genome_scenes(chunk):
        rng = wording(chunk.seed, f"pointingqa {chunk.stream}", number)
        records["ids"].append(number)
        records["look"].append([look_twice(scene, number, rng, quota)])
        records["local"].append(local(scene, number, rng))
    return Pieces(chunk.stream, {name: json_lines(lines) for name, lines in records.items()})


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    look, local_, ids = (each(pieces, name) for name in ("look", "local", "ids"))
    asked = [
        (number, records) for number, records in zip(ids, local_, strict=True) if records != "[]"
    ]
    write_object(root / "LookTwiceQA" / "looktwiceqa_dataset.json", zip(ids, look, strict=True))
    write_object(root / "LocalQA" / "localqa_dataset.json", asked)
    with_local = {int(number) for number, _ in asked}
    for split in SPLITS:
        found = image_ids(pieces, f"visual_genome_{split}")
        _write_ids(root / "LookTwiceQA" / f"looktwiceqa_{split}_imgs.json", found)
        found = [number for number in found if number in with_local]
        parts = (
            {"testdev": found[::2], "testfinal": found[1::2]} if split == "test" else {split: found}
        )
        for name, part in parts.items():
            _write_ids(root / "LocalQA" / f"localqa_{name}_imgs.json", part)


def _write_ids(path: Path, numbers: Sequence[int]) -> None:
    path.write_text(json.dumps([str(number) for number in numbers]) + "\n")


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    look = look_twice(scene, 0, rng, Quota())
    points = [(record["question"], *record["all_ans"]) for record in local(scene, 0, rng)]
    return [
        look["obj_question"],
        look["super_question"],
        look["general_question"],
        *(t for p in points for t in p),
    ]


FORMAT = Format(
    streams=streams(0.15), draw=_draw, write=_write, texts=_texts, needs=("visual_genome",)
)
