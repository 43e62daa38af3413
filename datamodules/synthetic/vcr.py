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

from datamodules.synthetic.chunks import Chunk, Pieces, column, of_stream
from datamodules.synthetic.files import Record, json_lines, save_image, write_lines
from datamodules.synthetic.format import Format
from datamodules.synthetic.outline import outlines
from datamodules.synthetic.phrases import wording
from datamodules.synthetic.quota import Quota
from datamodules.synthetic.scene import MAX_OBJECTS, Scene
from datamodules.synthetic.vcr_questions import Choice, Question, questions

STILLS_PER_MOVIE = 100
CLASS = "object"
PER_STILL = {"train": 8, "val": 2, "test": 2}  # questions at most


def tokens(text: str) -> list[str | list[int]]:
    """A text as VCR writes it: words, and a list of one number for each mention."""
    parts = re.findall(r"\[\d\]|\w+|[.,?]", text)
    return [[int(part[1])] if part[0] == "[" else part for part in parts]


def _original(text: str) -> str:
    """The text as people wrote it, who count from 1."""
    return re.sub(r"\[(\d)\]", lambda match: str(int(match[1]) + 1), text)


def _metadata(scene: Scene) -> Record:
    height, width = scene.image.shape[:2]
    boxes = []
    for item in scene.objects:
        boxes.append([float(value) for value in item.box] + [1.0])
    return {
        "boxes": boxes,
        "segms": [outlines(item.mask, holes=False) for item in scene.objects],
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


def _record(
    question: Question,
    split: str,
    number: int,
    movie: str,
    name: str,
) -> Record:
    choices = {**_choices("answer", question.answers), **_choices("rationale", question.reasons)}
    if split == "test":  # the labels are not public
        choices = {key: value for key, value in choices.items() if key.endswith("choices")}
    return {
        "movie": movie,
        "objects": [CLASS] * MAX_OBJECTS,
        "interesting_scores": [1],
        "answer_likelihood": "likely",
        "img_fn": f"{movie}/{name}@0.jpg",
        "metadata_fn": f"{movie}/{name}@0.json",
        "question": tokens(question.text),
        "question_orig": _original(question.text),
        **choices,
        "img_id": f"{split}-{number // PER_STILL[split]}",
        "question_number": number % PER_STILL[split],
        "annot_id": f"{split}-{number}",
        "match_fold": f"{split}-0",
        "match_index": number,
    }


def _draw(root: Path, chunk: Chunk) -> Pieces:
    split = chunk.stream.removeprefix("vcr_")
    records: list[Record] = []
    quota = Quota()
    for index, scene in chunk.scenes(lambda index: MAX_OBJECTS):
        movie = f"world_{split}_{index // STILLS_PER_MOVIE:04d}"
        name = f"{index:06d}"
        folder = root / "vcr1images" / movie
        folder.mkdir(parents=True, exist_ok=True)
        save_image(folder / f"{name}@0.jpg", scene.image)
        (folder / f"{name}@0.json").write_text(json_lines([_metadata(scene)]))
        rng = wording(chunk.seed, chunk.stream, index)
        asked = questions(scene, rng, quota, PER_STILL[split])
        for number, question in enumerate(asked, PER_STILL[split] * index):
            records.append(_record(question, split, number, movie, name))
    return Pieces.of(chunk, {"questions": records})


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    for split in ("train", "val", "test"):
        own = of_stream(pieces, f"vcr_{split}")
        write_lines(root / "vcr1annots" / f"{split}.jsonl", column(own, "questions"))


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    texts: list[str] = []
    for question in questions(scene, rng, Quota(), PER_STILL["val"]):
        texts += [question.text, *question.answers.texts, *question.reasons.texts]
    return [re.sub(r"\[\d\]", CLASS, text) for text in texts]


FORMAT = Format(
    streams={
        "vcr_train": ("num_train", 0.28),
        "vcr_val": ("num_test", 0.5),
        "vcr_test": ("num_test", 0.1),
    },
    draw=_draw,
    write=_write,
    texts=_texts,
    version=2,
)
