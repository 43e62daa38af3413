"""VCR of the generated world: four answers and four reasons (https://visualcommonsense.com).

    vcr/vcr1annots/train.jsonl, val.jsonl, test.jsonl           the test split has no labels
    vcr/vcr1images/<movie>/<clip>@0.jpg, <clip>@0.json          the still, and its objects' boxes and outlines

    {"annot_id": "train-14", "objects": ["object", "object", "object", "object"],
     "question": ["what", "color", "is", [0], "?"], "answer_label": 2,
     "answer_choices": [[[0], "is", "red", "."], ...], "rationale_label": 0,
     "rationale_choices": [["because", [0], "and", [2], "have", "the", "same", "color", "."], ...], ...}

All objects are named "object", as most of VCR's are "person". A ring's outline is its outer one.
"""

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datamodules.synthetic.chunks import Chunk, Pieces, column
from datamodules.synthetic.files import json_lines, save_image, write_lines
from datamodules.synthetic.format import Format, of_stream
from datamodules.synthetic.outline import outlines
from datamodules.synthetic.phrases import wording
from datamodules.synthetic.questions import Quota
from datamodules.synthetic.scene import MAX_OBJECTS, Scene
from datamodules.synthetic.vcr_questions import PER_SCENE, Choice, Question, questions

STILLS_PER_MOVIE = 100
CLASS = "object"
Record = dict[str, Any]


def tokens(text: str) -> list[str | list[int]]:
    """A text as VCR writes it: words, and a list of one number for each mention."""
    parts = re.findall(r"\[\d\]|\w+|[.,?]", text)
    return [[int(part[1])] if part[0] == "[" else part for part in parts]


def _original(text: str) -> str:
    """The text as people wrote it, who count from 1."""
    return re.sub(r"\[(\d)\]", lambda match: str(int(match[1]) + 1), text)


def _metadata(scene: Scene) -> Record:
    height, width = scene.image.shape[:2]
    borders = [outlines(item.mask, holes=False) for item in scene.objects]
    return {
        "boxes": [[*map(float, item.box), 1.0] for item in scene.objects],
        "segms": borders,
        "names": [CLASS] * len(scene.objects),
        "width": width,
        "height": height,
    }


def _choices(name: str, choice: Choice) -> Record:
    return {
        f"{name}_choices": [tokens(text) for text in choice.texts],
        f"{name}_label": choice.label,
        f"{name}_orig": _original(choice.texts[choice.label]),
        f"{name}_match_iter": sorted(range(len(choice.texts)), key=lambda i: i != choice.label),
        f"{name}_sources": [0] * len(choice.texts),
    }


def _record(question: Question, split: str, number: int, movie: str, name: str) -> Record:
    labelled = {**_choices("answer", question.answers), **_choices("rationale", question.reasons)}
    if split == "test":
        labelled = {key: value for key, value in labelled.items() if key.endswith("choices")}
    return {
        "movie": movie,
        "objects": [CLASS] * MAX_OBJECTS,
        "interesting_scores": [1],
        "answer_likelihood": "likely",
        "img_fn": f"{movie}/{name}@0.jpg",
        "metadata_fn": f"{movie}/{name}@0.json",
        "question": tokens(question.text),
        "question_orig": _original(question.text),
        **labelled,
        "img_id": f"{split}-{number // PER_SCENE}",
        "question_number": number % PER_SCENE,
        "annot_id": f"{split}-{number}",
        "match_fold": f"{split}-0",
        "match_index": number,
    }


def _draw(root: Path, chunk: Chunk) -> Pieces:
    split = chunk.stream.removeprefix("vcr_")
    records: list[Record] = []
    quota = Quota()
    for index, scene in chunk.scenes(lambda index: MAX_OBJECTS):
        movie, name = f"world_{split}_{index // STILLS_PER_MOVIE:04d}", f"{index:06d}"
        folder = root / "vcr1images" / movie
        folder.mkdir(parents=True, exist_ok=True)
        save_image(folder / f"{name}@0.jpg", scene.image)
        (folder / f"{name}@0.json").write_text(json_lines([_metadata(scene)]))
        asked = questions(scene, wording(chunk.seed, chunk.stream, index), quota)
        records += [
            _record(q, split, PER_SCENE * index + k, movie, name) for k, q in enumerate(asked)
        ]
    return Pieces(chunk.stream, {"questions": json_lines(records)})


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    for split in ("train", "val", "test"):
        write_lines(
            root / "vcr1annots" / f"{split}.jsonl",
            column(of_stream(pieces, f"vcr_{split}"), "questions"),
        )


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    asked = questions(scene, rng, Quota())
    texts = [text for q in asked for text in (q.text, *q.answers.texts, *q.reasons.texts)]
    return [re.sub(r"\[\d\]", CLASS, text) for text in texts]


FORMAT = Format(
    streams={
        "vcr_train": ("num_train", 0.15),
        "vcr_val": ("num_test", 0.5),
        "vcr_test": ("num_test", 0.1),
    },
    draw=_draw,
    write=_write,
    texts=_texts,
)
