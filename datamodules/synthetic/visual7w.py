"""Visual7W of the generated world: questions with four options (https://ai.stanford.edu/~yukez/visual7w).

    visual7w/dataset_v7w_pointing.json, dataset_v7w_telling.json    {"images": [...], "boxes": [...]}
    visual7w/images/v7w_<id>.jpg                                    images of visual_genome/ once more

    pointing    {"qa_id": 100000010, "image_id": 10000001, "question": "which object is red?", "answer": 100000012,
                 "multiple_choices": [100000010, 100000011, 100000013], "type": "which"}       wrong box ids
    telling     {"qa_id": 100000010, "image_id": 10000001, "question": "where is the red circle?",
                 "answer": "on the left.", "multiple_choices": ["at the top.", ...], "type": "where"}

Pointing asks about scenes of four objects. A scene's boxes are numbered and listed in an order drawn by lot.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from datamodules.synthetic.chunks import Chunk, Pieces, column
from datamodules.synthetic.files import Record, save_image, write_document
from datamodules.synthetic.format import Format
from datamodules.synthetic.phrases import wording
from datamodules.synthetic.quota import Quota
from datamodules.synthetic.scene import MAX_OBJECTS, Scene, SceneObject
from datamodules.synthetic.visual7w_questions import pointing_questions, telling_question
from datamodules.synthetic.visual_genome import genome_scenes, streams, xywh

NUM_OPTIONS = 4
TELLING_PER_SCENE = 2


def _draw(root: Path, chunk: Chunk) -> Pieces:
    records: dict[str, list[Record]] = defaultdict(list)
    quota = Quota()
    (root / "images").mkdir(parents=True, exist_ok=True)
    for number, scene in genome_scenes(chunk):
        rng = wording(chunk.seed, f"visual7w {chunk.stream}", number)
        name = f"v7w_{number}.jpg"
        save_image(root / "images" / name, scene.image)
        split = chunk.stream.removeprefix("visual_genome_")
        image: Record = {
            "image_id": number,
            "filename": name,
            "split": split,
        }
        # Objects stand from left to right; the boxes do not, so that their ids tell nothing.
        order = rng.sample(range(len(scene.objects)), len(scene.objects))
        objects = [scene.objects[i] for i in order]
        records["boxes"] += _box_records(objects, number)
        pointing: list[Record] = []
        if len(order) == MAX_OBJECTS:
            pointing = _pointing_records(scene, number, order, rng)
        telling = _telling_records(scene, number, rng, quota)
        if pointing:
            records["pointing"].append({**image, "qa_pairs": pointing})
        if telling:
            records["telling"].append({**image, "qa_pairs": telling})
    return Pieces.of(chunk, records)


def _box_records(objects: Sequence[SceneObject], number: int) -> list[Record]:
    records: list[Record] = []
    for box_id, item in enumerate(objects, 10 * number):
        about: Record = {
            "box_id": box_id,
            "name": item.kind.shape,
            "image_id": number,
        }
        records.append(about | xywh(item.box))
    return records


def _pointing_records(
    scene: Scene,
    number: int,
    order: Sequence[int],
    rng: random.Random,
) -> list[Record]:
    """The pairs whose options are boxes, by their ids; `order` has the objects' positions as the boxes are listed."""
    records: list[Record] = []
    box_ids = {position: box_id for box_id, position in enumerate(order, 10 * number)}
    for qa_id, (text, target) in enumerate(pointing_questions(scene, rng), 10 * number):
        answer = box_ids[target]
        wrong = sorted(box_id for box_id in box_ids.values() if box_id != answer)
        records.append(
            {
                "qa_id": qa_id,
                "image_id": number,
                "question": text,
                "answer": answer,
                "multiple_choices": wrong,
                "type": "which",
            }
        )
    return records


def _telling_records(
    scene: Scene,
    number: int,
    rng: random.Random,
    quota: Quota,
) -> list[Record]:
    """The pairs whose options are texts."""
    by_text = {}
    for _ in range(TELLING_PER_SCENE):
        question = telling_question(scene, rng, quota)
        if question is not None:
            by_text[question.text] = question
    records: list[Record] = []
    for qa_id, question in enumerate(by_text.values(), 10 * number):
        others = rng.sample(question.others, NUM_OPTIONS - 1)
        wrong = [f"{other}." for other in others]
        records.append(
            {
                "qa_id": qa_id,
                "image_id": number,
                "question": question.text,
                "answer": f"{question.answer}.",
                "multiple_choices": sorted(wrong),
                "type": question.kind,
            }
        )
    return records


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    for kind in ("pointing", "telling"):
        lists = {"images": column(pieces, kind)}
        if kind == "pointing":
            lists["boxes"] = column(pieces, "boxes")
        write_document(root / f"dataset_v7w_{kind}.json", {"dataset": f"v7w_{kind}"}, lists)


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    question = telling_question(scene, rng, Quota())
    texts = [text for text, _ in pointing_questions(scene, rng)]
    if question is not None:
        texts += [question.text, f"{question.answer}."]
    return texts


FORMAT = Format(
    streams=streams(0.15),
    draw=_draw,
    write=_write,
    texts=_texts,
    needs=("visual_genome",),
)
