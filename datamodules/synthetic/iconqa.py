"""IconQA of the generated world: icons in two rows, and a choice among four texts (https://iconqa.github.io).

    iconqa/iconqa_data/problems.json, pid_splits.json, pid2skills.json
    iconqa/iconqa_data/iconqa/<split>/choose_txt/<pid>/image.png

    {"16000000": {"question": "what comes next?", "choices": ["red circle", "blue ring", ...], "answer": 1,
                  "ques_type": "choose_txt", "grade": "grade1", "label": "A1"}}

    how many circles are there?     four numbers; counting
    what comes next?                two or three icons in turns, then a question mark; pattern
    which one is different?         five equal icons and one of another color, shape or both; comparing

The choices are such that none of them looks more likely than another.
"""

import json
import random
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.synthetic.chunks import Chunk, Pieces, of_stream, record_lines
from datamodules.synthetic.coco import image_id
from datamodules.synthetic.drawing import paint
from datamodules.synthetic.files import Record, save_image, write_object
from datamodules.synthetic.format import Format
from datamodules.synthetic.lettering import write_text
from datamodules.synthetic.phrases import noun, wording
from datamodules.synthetic.scene import (
    COLORED_SHAPES,
    COLORS,
    REFERENCE_SIZE,
    VALUES,
    Kind,
    Scene,
    SceneObject,
)
from datamodules.synthetic.streams import generator

SPLITS = ("train", "val", "test")
ROWS = 2
COLUMNS = 3
NUM_ICONS = ROWS * COLUMNS
NUM_CHOICES = 4
RADIUS = 10  # of an icon, in pixels of an image of REFERENCE_SIZE


class Problem(NamedTuple):
    """A problem; `icons` has a kind per cell, row after row, None for the question mark."""

    skill: str
    question: str
    icons: list[Kind | None]
    choices: list[str]
    answer: int


def problem(number: int, rng: random.Random) -> Problem:
    """A problem; the skills take turns."""
    return _SKILLS[number % len(_SKILLS)](rng)


def _problem(
    skill: str,
    question: str,
    icons: Sequence[Kind | None],
    right: str,
    wrong: Sequence[str],
    rng: random.Random,
) -> Problem:
    choices = rng.sample([right, *wrong], NUM_CHOICES)
    return Problem(skill, question, list(icons), choices, choices.index(right))


def _counting(rng: random.Random) -> Problem:
    number = rng.randint(1, NUM_ICONS)
    shape, *others = rng.sample(VALUES["shape"], len(VALUES["shape"]))
    # Only the shape counts, so colors are free and the other icons never have that shape.
    shapes = [shape] * number + rng.choices(others, k=NUM_ICONS - number)
    icons = [Kind("", rng.choice(VALUES["color"]), name) for name in rng.sample(shapes, NUM_ICONS)]
    numbers = [str(n) for n in range(1, NUM_ICONS + 1) if n != number]
    wrong = rng.sample(numbers, NUM_CHOICES - 1)
    return _problem("counting", f"how many {shape}s are there?", icons, str(number), wrong, rng)


def _pattern(rng: random.Random) -> Problem:
    kinds = rng.sample(COLORED_SHAPES, NUM_CHOICES)
    period = rng.choice((2, 3))
    icons = [kinds[i % period] for i in range(NUM_ICONS - 1)]
    right = kinds[(NUM_ICONS - 1) % period]
    wrong = [noun(kind) for kind in kinds if kind != right]
    return _problem("pattern", "what comes next?", [*icons, None], noun(right), wrong, rng)


def _comparing(rng: random.Random) -> Problem:
    colors = rng.sample(VALUES["color"], 2)
    shapes = rng.sample(VALUES["shape"], 2)
    # All choices are mixed of two colors and two shapes, so that none stands out among them.
    kinds = [Kind("", color, shape) for color, shape in product(colors, shapes)]
    usual, other = rng.sample(kinds, 2)
    icons = rng.sample([usual] * (NUM_ICONS - 1) + [other], NUM_ICONS)
    wrong = [noun(kind) for kind in kinds if kind != other]
    return _problem("comparing", "which one is different?", icons, noun(other), wrong, rng)


_SKILLS = (_counting, _pattern, _comparing)


def picture(icons: Sequence[Kind | None], rng: np.random.Generator, image_size: int) -> np.ndarray:
    """The icons on a light ground, uint8 (H, W, 3) in RGB."""
    scale = image_size / REFERENCE_SIZE
    image = np.full((image_size, image_size, 3), rng.uniform(215, 235), np.float32)
    question_marks = []
    for position, kind in enumerate(icons):
        row, column = divmod(position, COLUMNS)
        x = image_size * (column + 0.5) / COLUMNS
        y = image_size * (row + 0.5) / ROWS
        if kind is None:
            question_marks.append((x, y))
            continue
        icon = SceneObject(kind, x, y, RADIUS * scale, None, np.zeros((0, 0), bool))
        paint(image, icon, np.array(COLORS[kind.color]) + rng.uniform(-12, 12, 3))
    # Letters come last: OpenCV writes them into images of bytes.
    image_of_bytes = image.astype(np.uint8)
    for middle in question_marks:
        write_text(image_of_bytes, "?", middle, 1.4 * RADIUS * scale, (0, 0, 0))
    return image_of_bytes


def _draw(root: Path, chunk: Chunk) -> Pieces:
    split = chunk.stream.removeprefix("iconqa_")
    records: dict[str, list[object]] = {
        "pids": [],
        "problems": [],
        "skills": [],
    }
    for index in range(chunk.start, chunk.stop):
        pid = image_id(chunk.stream, index)
        one = problem(index, wording(chunk.seed, chunk.stream, index))
        folder = root / "iconqa_data" / "iconqa" / split / "choose_txt" / str(pid)
        folder.mkdir(parents=True, exist_ok=True)
        image = picture(one.icons, generator(chunk.seed, chunk.stream, index), chunk.image_size)
        save_image(folder / "image.png", image)
        records["pids"].append(pid)
        records["problems"].append(_record(one))
        records["skills"].append([one.skill])
    return Pieces.of(chunk, records)


def _record(one: Problem) -> Record:
    return {
        "question": one.question,
        "choices": one.choices,
        "answer": one.answer,
        "ques_type": "choose_txt",
        "grade": "grade1",
        "label": "A1",
    }


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    folder = root / "iconqa_data"
    pids = record_lines(pieces, "pids")
    problems = zip(pids, record_lines(pieces, "problems"), strict=True)
    write_object(folder / "problems.json", problems)
    skills = zip(pids, record_lines(pieces, "skills"), strict=True)
    write_object(folder / "pid2skills.json", skills)
    splits = []
    for split in SPLITS:
        own = record_lines(of_stream(pieces, f"iconqa_{split}"), "pids")
        splits.append((f"choose_txt_{split}", json.dumps(own)))
    write_object(folder / "pid_splits.json", splits)


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    texts = []
    for number in range(len(_SKILLS)):
        one = problem(number, rng)
        texts += [one.question, *one.choices]
    return texts


FORMAT = Format(
    streams={
        "iconqa_train": ("num_train", 0.005),
        "iconqa_val": ("num_val", 0.2),
        "iconqa_test": ("num_test", 0.6),
    },
    draw=_draw,
    write=_write,
    texts=_texts,
    version=2,
)
