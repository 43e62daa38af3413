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
from typing import Any

from datamodules.synthetic.chunks import Chunk, Pieces, column
from datamodules.synthetic.files import json_lines, save_image, write_document
from datamodules.synthetic.format import Format
from datamodules.synthetic.phrases import wording
from datamodules.synthetic.questions import Quota
from datamodules.synthetic.scene import MAX_OBJECTS, Scene
from datamodules.synthetic.visual7w_questions import pointing, telling
from datamodules.synthetic.visual_genome import genome_scenes, streams, xywh

NUM_OPTIONS = 4
TELLING_PER_SCENE = 2
Record = dict[str, Any]


def _draw(root: Path, chunk: Chunk) -> Pieces:
    records: dict[str, list[Any]] = defaultdict(list)
    quota = Quota()
    (root / "images").mkdir(parents=True, exist_ok=True)
    for number, scene in genome_scenes(chunk):
        rng = wording(chunk.seed, f"visual7w {chunk.stream}", number)
        name = f"v7w_{number}.jpg"
        save_image(root / "images" / name, scene.image)
        image = {
            "image_id": number,
            "filename": name,
            "split": chunk.stream.removeprefix("visual_genome_"),
        }
        order = rng.sample(range(len(scene.objects)), len(scene.objects))
        records["boxes"] += [
            {"box_id": 10 * number + k, "name": scene.objects[i].kind.shape, "image_id": number}
            | xywh(scene.objects[i].box)
            for k, i in enumerate(order)
        ]
        which = _pointing(scene, number, order, rng) if len(scene.objects) == MAX_OBJECTS else []
        for kind, pairs in (("pointing", which), ("telling", _telling(scene, number, rng, quota))):
            if pairs:
                records[kind].append({**image, "qa_pairs": pairs})
    return Pieces(chunk.stream, {name: json_lines(lines) for name, lines in records.items()})


def _pointing(scene: Scene, number: int, order: list[int], rng: random.Random) -> list[Record]:
    ids = [10 * number + order.index(i) for i in range(NUM_OPTIONS)]
    return [
        _pair(number, k, "which", text, ids[i], [option for option in ids if option != ids[i]])
        for k, (text, i) in enumerate(pointing(scene, rng))
    ]


def _telling(scene: Scene, number: int, rng: random.Random, quota: Quota) -> list[Record]:
    asked = {}
    for _ in range(TELLING_PER_SCENE):
        question = telling(scene, rng, quota)
        if question is not None:
            asked[question.text] = question
    return [
        _pair(
            number,
            k,
            q.kind,
            text,
            f"{q.answer}.",
            [f"{o}." for o in rng.sample(q.others, NUM_OPTIONS - 1)],
        )
        for k, (text, q) in enumerate(asked.items())
    ]


def _pair(
    number: int, position: int, kind: str, question: str, answer: Any, wrong: list[Any]
) -> Record:
    return {
        "qa_id": 10 * number + position,
        "image_id": number,
        "question": question,
        "answer": answer,
        "multiple_choices": sorted(wrong),
        "type": kind,
    }


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    for kind, lists in (("pointing", {"boxes": column(pieces, "boxes")}), ("telling", {})):
        path = root / f"dataset_v7w_{kind}.json"
        write_document(path, {"dataset": f"v7w_{kind}"}, {"images": column(pieces, kind), **lists})


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    told = telling(scene, rng, Quota())
    return [text for text, _ in pointing(scene, rng)] + (
        [told.text, f"{told.answer}."] if told else []
    )


FORMAT = Format(
    streams=streams(0.15), draw=_draw, write=_write, texts=_texts, needs=("visual_genome",)
)
