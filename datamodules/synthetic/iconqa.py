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

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datamodules.synthetic.chunks import Chunk, Pieces, each
from datamodules.synthetic.coco import image_id
from datamodules.synthetic.files import json_lines, save_image, write_object
from datamodules.synthetic.format import Format, of_stream
from datamodules.synthetic.lettering import write_text
from datamodules.synthetic.phrases import noun, wording
from datamodules.synthetic.questions import VALUES
from datamodules.synthetic.scene import (
    COLORS,
    REFERENCE_SIZE,
    Kind,
    Scene,
    SceneObject,
    generator,
    paint,
)

SPLITS = ("train", "val", "test")
ROWS, COLUMNS = 2, 3
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
    return (_counting, _pattern, _comparing)[number % 3](rng)


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


def _kinds(number: int, rng: random.Random) -> list[Kind]:
    """Different kinds of icon."""
    kinds = [Kind("", color, shape) for color in VALUES["color"] for shape in VALUES["shape"]]
    return rng.sample(kinds, number)


def _counting(rng: random.Random) -> Problem:
    number = rng.randint(1, NUM_ICONS)
    shape, *others = rng.sample(VALUES["shape"], len(VALUES["shape"]))
    shapes = [shape] * number + rng.choices(others, k=NUM_ICONS - number)
    icons = [Kind("", rng.choice(VALUES["color"]), name) for name in rng.sample(shapes, NUM_ICONS)]
    numbers = [str(n) for n in range(1, NUM_ICONS + 1) if n != number]
    wrong = rng.sample(numbers, NUM_CHOICES - 1)
    return _problem("counting", f"how many {shape}s are there?", icons, str(number), wrong, rng)


def _pattern(rng: random.Random) -> Problem:
    kinds, period = _kinds(NUM_CHOICES, rng), rng.choice((2, 3))
    icons = [kinds[i % period] for i in range(NUM_ICONS - 1)]
    right = kinds[(NUM_ICONS - 1) % period]
    wrong = [noun(kind) for kind in kinds if kind != right]
    return _problem("pattern", "what comes next?", [*icons, None], noun(right), wrong, rng)


def _comparing(rng: random.Random) -> Problem:
    colors, shapes = rng.sample(VALUES["color"], 2), rng.sample(VALUES["shape"], 2)
    kinds = [Kind("", color, shape) for color in colors for shape in shapes]
    usual, other = rng.sample(kinds, 2)
    icons = rng.sample([usual] * (NUM_ICONS - 1) + [other], NUM_ICONS)
    wrong = [noun(kind) for kind in kinds if kind != other]
    return _problem("comparing", "which one is different?", icons, noun(other), wrong, rng)


def picture(icons: Sequence[Kind | None], rng: np.random.Generator, image_size: int) -> np.ndarray:
    """The icons on a light ground, uint8 (H, W, 3) in RGB."""
    scale = image_size / REFERENCE_SIZE
    image = np.full((image_size, image_size, 3), rng.uniform(215, 235), np.float32)
    marks = []
    for position, kind in enumerate(icons):
        row, place = divmod(position, COLUMNS)
        x, y = image_size * (place + 0.5) / COLUMNS, image_size * (row + 0.5) / ROWS
        if kind is None:
            marks.append((x, y))
        else:
            icon = SceneObject(kind, x, y, RADIUS * scale, None, np.zeros((0, 0), bool))
            paint(image, icon, np.array(COLORS[kind.color]) + rng.uniform(-12, 12, 3))
    drawn = image.astype(np.uint8)
    for middle in marks:
        write_text(drawn, "?", middle, 1.4 * RADIUS * scale, (0, 0, 0))
    return drawn


def _draw(root: Path, chunk: Chunk) -> Pieces:
    split = chunk.stream.removeprefix("iconqa_")
    records: dict[str, list[Any]] = {"pids": [], "problems": [], "skills": []}
    for index in range(chunk.start, chunk.stop):
        pid = image_id(chunk.stream, index)
        drawn = problem(index, wording(chunk.seed, chunk.stream, index))
        folder = root / "iconqa_data" / "iconqa" / split / "choose_txt" / str(pid)
        folder.mkdir(parents=True, exist_ok=True)
        image = picture(drawn.icons, generator(chunk.seed, chunk.stream, index), chunk.image_size)
        save_image(folder / "image.png", image)
        about = {"question": drawn.question, "choices": drawn.choices, "answer": drawn.answer}
        records["pids"].append(pid)
        records["problems"].append(
            {**about, "ques_type": "choose_txt", "grade": "grade1", "label": "A1"}
        )
        records["skills"].append([drawn.skill])
    return Pieces(chunk.stream, {name: json_lines(lines) for name, lines in records.items()})


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    folder = root / "iconqa_data"
    pids, problems, skills = (each(pieces, name) for name in ("pids", "problems", "skills"))
    write_object(folder / "problems.json", zip(pids, problems, strict=True))
    write_object(folder / "pid2skills.json", zip(pids, skills, strict=True))
    splits = {
        split: [f'"{pid}"' for pid in each(of_stream(pieces, f"iconqa_{split}"), "pids")]
        for split in SPLITS
    }
    lists = ((f"choose_txt_{split}", f"[{', '.join(found)}]") for split, found in splits.items())
    write_object(folder / "pid_splits.json", lists)


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    return [
        text
        for number in range(3)
        for p in [problem(number, rng)]
        for text in (p.question, *p.choices)
    ]


FORMAT = Format(
    streams={
        "iconqa_train": ("num_train", 0.005),
        "iconqa_val": ("num_val", 0.2),
        "iconqa_test": ("num_test", 0.6),
    },
    draw=_draw,
    write=_write,
    texts=_texts,
)
