"""The README's first picture: the first images of some splits, none picked, with the answers of `test`.

    python main.py test --ckpt_path weights --data.scoring.max_test 256
    python -m benchmarks.first_picture --run runs/weights

A row a split: of its first N images (or groups of images), in the order in which they were asked about, the first
question about each.
"""

import argparse
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from datamodules.commands.configured import Setup, read_setup
from datamodules.commands.score import read_scored
from vista.app.unnamed import read_unnamed
from vista.data import InputError, Prediction
from vista.draw import BLACK, GREY, MARGIN, draw_answer, pad, save_png, text_strip
from vista.images import load_image
from vista.predictions import Record, from_record, read_records

SPLITS = ("rec_refcoco_val=4", "res_refcoco_val=4", "gres_val=4", "coseg_pascal=1", "nlvr2_dev=2")
WIDTH = 840  # pixels: as wide as a README is shown, so that letters keep their size
LARGEST, GAP = 272, 8  # side of an image, and what is between two of them
MARK = re.compile("<image>|Image [0-9]+:")  # of an image in a prompt

Question = tuple[list[np.ndarray], Prediction, str]  # images, the answer, what was asked


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of what was tested")
    parser.add_argument("--out", type=Path, default=Path("docs/images/demo.png"), help="to write")
    parser.add_argument("--splits", nargs="*", default=SPLITS, help="SPLIT=N: a row of N questions")
    given = parser.parse_args()
    setup = read_setup([], None, [], read_unnamed(given.run / "config.yaml"))
    rows = []
    for split in given.splits:
        name, _, count = split.partition("=")
        rows.append(draw_row(first_questions(setup, given.run, name, int(count))))
    save_png(given.out, np.vstack(rows))
    print(f"{given.out}: {' '.join(given.splits)}")


def first_questions(setup: Setup, run: Path, name: str, count: int) -> list[Question]:
    """The first answers of a split, with what they answer."""
    file = run / "predictions" / f"{name}.jsonl"
    if not file.is_file():
        raise InputError(f"there is no {file}; its task was not tested")
    source = read_scored(setup, name)
    annotations = {annotation.id: annotation for annotation in source.annotations}
    first: dict[tuple[str, ...], Record] = {}
    for record in read_records(file):
        first.setdefault(tuple(annotations[record["id"]].images), record)
    found = []
    for record in islice(first.values(), count):
        annotation = annotations[record["id"]]
        images = [load_image(source.root / path) for path in annotation.images]
        prompt = " ".join(MARK.sub(" ", record["prompt"]).split())
        answer = from_record(source.task, annotation, record)
        found.append((images, answer, f"{source.task.name}: {prompt}"))
    return found


def draw_row(questions: Sequence[Question]) -> np.ndarray:
    """Questions side by side, their images as large as fits; uint8 (H, 840, 3), RGB."""
    count = sum(len(images) for images, _, _ in questions)
    side = min(LARGEST, WIDTH // count - GAP)
    cells = [draw_cell(*question, side) for question in questions]
    height = max(len(cell) for cell in cells)
    row = np.hstack([pad(cell, height, cell.shape[1]) for cell in cells])
    return pad(row, height + GAP, WIDTH)


def draw_cell(
    images: Sequence[np.ndarray], answer: Prediction, prompt: str, side: int
) -> np.ndarray:
    """The images with the regions of the answer, and below them what was asked and what was said in words."""
    pictures = []
    for k, image in enumerate(images):
        masks = answer.masks[k : k + 1] if len(images) > 1 else answer.masks
        boxes = answer.boxes if k == 0 else []
        drawn = draw_answer(image, Prediction(masks=masks, boxes=boxes), "")[: -2 * MARGIN]
        scale = side / max(drawn.shape[:2])
        small = cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pictures.append(pad(small, side, side + GAP))
    row = np.hstack(pictures)
    words = "" if answer.masks or answer.boxes else answer.text
    texts = ((prompt, GREY), (words, BLACK))
    return np.vstack((row, text_strip(texts, row.shape[1])))


if __name__ == "__main__":
    main()
