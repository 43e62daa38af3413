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
from typing import NamedTuple

from datamodules.synthetic.chunks import Chunk, Pieces, record_lines
from datamodules.synthetic.files import Record, write_object
from datamodules.synthetic.format import Format
from datamodules.synthetic.phrases import ANYTHING, all_patterns, matches, noun, wording
from datamodules.synthetic.quota import Quota
from datamodules.synthetic.scene import VALUES, Kind, Scene, SceneObject
from datamodules.synthetic.visual_genome import SPLITS, genome_scenes, image_ids, streams

COUNTS = {
    "1": 0.3,
    "2": 0.3,
    "3": 0.25,
    "4": 0.15,
}
LOCAL_PER_SCENE = 2


def look_twice_record(
    scene: Scene,
    number: int,
    rng: random.Random,
    quota: Quota,
) -> Record:
    """The record of one object, whose count is the one that its shape has had least."""
    shapes = [kind.shape for kind in scene.kinds]
    counts = {shape: str(shapes.count(shape)) for shape in shapes}
    ranks = {}
    for shape, number_of_objects in counts.items():
        ranks[shape] = quota.order(shape, COUNTS, rng).index(number_of_objects)
    # The shape whose count is most behind its share, the first by lot among equals.
    shape = min(sorted(ranks), key=lambda name: (ranks[name], rng.random()))
    quota.note(shape, counts[shape])
    item = rng.choice([item for item in scene.objects if item.kind.shape == shape])
    return {
        "id": number,
        **_look_twice_questions(shape),
        "ans": counts[shape],
        "point": _point(item),
        "bbox": _thing(item),
        "obj_type": f"{shape}s",
        "supercategory": "shapes",
    }


def _look_twice_questions(shape: str) -> Record:
    return {
        "obj_question": f"how many of these {shape}s are there?",
        "super_question": "how many of these shapes are there?",
        "general_question": "how many of these are there?",
    }


class LocalQuestion(NamedTuple):
    """A question about an attribute, "color" or "shape", and the objects that its words fit."""

    text: str
    attribute: str
    items: list[SceneObject]

    @property
    def answers(self) -> list[str]:
        """The answer for each of the objects, in their order."""
        return [getattr(item.kind, self.attribute) for item in self.items]


def local_questions(scene: Scene, rng: random.Random) -> list[LocalQuestion]:
    """Up to `LOCAL_PER_SCENE` questions that have different answers for different objects."""
    questions = []
    # Not about the size, which a box tells.
    for attribute, pattern in product(("color", "shape"), _local_patterns(scene)):
        items = [item for item in scene.objects if matches(pattern, item.kind)]
        text = f"what {attribute} is the {noun(pattern)}?"
        question = LocalQuestion(text, attribute, items)
        if len(set(question.answers)) > 1:
            questions.append(question)
    return rng.sample(questions, min(LOCAL_PER_SCENE, len(questions)))


def _local_patterns(scene: Scene) -> list[Kind]:
    """The pattern that fits anything, and those of one attribute that fit something."""
    patterns = [ANYTHING]
    for field in VALUES:
        patterns += all_patterns([field], [scene.values(field)])
    return patterns


def _local_record(question: LocalQuestion, number: int) -> Record:
    points = []
    for item, answer in zip(question.items, question.answers, strict=True):
        points.append({**_point(item), "ans": answer})
    return {
        "id": number,
        "question": question.text,
        "all_ans": sorted(set(question.answers)),
        "all_objs": [_thing(item) for item in question.items],
        "points": points,
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
    records: dict[str, list[object]] = defaultdict(list)
    quota = Quota()
    for number, scene in genome_scenes(chunk):
        rng = wording(chunk.seed, f"pointingqa {chunk.stream}", number)
        records["ids"].append(number)
        records["look"].append([look_twice_record(scene, number, rng, quota)])
        questions = local_questions(scene, rng)
        records["local"].append([_local_record(question, number) for question in questions])
    return Pieces.of(chunk, records)


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    ids = record_lines(pieces, "ids")
    look = zip(ids, record_lines(pieces, "look"), strict=True)
    write_object(root / "LookTwiceQA" / "looktwiceqa_dataset.json", look)
    by_image = zip(ids, record_lines(pieces, "local"), strict=True)
    # Images without a question are left out of LocalQA.
    local = {number: records for number, records in by_image if records != "[]"}
    write_object(root / "LocalQA" / "localqa_dataset.json", local.items())
    for split in SPLITS:
        numbers = image_ids(pieces, f"visual_genome_{split}")
        _write_ids(root / "LookTwiceQA" / f"looktwiceqa_{split}_imgs.json", numbers)
        local_numbers = [number for number in numbers if str(number) in local]
        parts = {split: local_numbers}
        if split == "test":
            parts = {"testdev": local_numbers[::2], "testfinal": local_numbers[1::2]}
        for name, part in parts.items():
            _write_ids(root / "LocalQA" / f"localqa_{name}_imgs.json", part)


def _write_ids(path: Path, numbers: Sequence[int]) -> None:
    path.write_text(json.dumps([str(number) for number in numbers]) + "\n")


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    look = look_twice_record(scene, 0, rng, Quota())
    texts = [str(text) for name, text in look.items() if name.endswith("_question")]
    for question in local_questions(scene, rng):
        texts += [question.text, *sorted(set(question.answers))]
    return texts


FORMAT = Format(
    streams=streams(0.15),
    draw=_draw,
    write=_write,
    texts=_texts,
    needs=("visual_genome",),
)
