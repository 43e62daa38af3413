"""NLVR2 of the generated world: a statement about a pair of images, true or false (https://github.com/lil-lab/nlvr).

    nlvr2/{train,dev,test1}.json                                      JSON lines
    nlvr2/images/train/<directory>/train-<set>-<pair>-img{0,1}.png    left and right
    nlvr2/{dev,test1}/dev-<set>-<pair>-img{0,1}.png

    {"identifier": "dev-12-3-0", "sentence": "both images contain a red circle.", "label": "True", ...}

The identifier is split-set-pair-sentence. A set is one statement about four pairs of images, true of two and false of
two, so each kind of statement is true of exactly half its pairs. The kinds take turns from set to set.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datamodules.synthetic.files import save_image
from datamodules.synthetic.phrases import wording
from datamodules.synthetic.scene import Kind, draw_scene, generator
from datamodules.synthetic.statements import (
    STATEMENT_KINDS,
    Statement,
    draw_contents,
    draw_statement,
)

PAIRS_PER_SET = 4
DIRECTORIES = 100  # of the training images


def num_sets(num_pairs: int) -> int:
    """The sets that hold so many pairs: at least one of each kind of statement."""
    return max(len(STATEMENT_KINDS), num_pairs // PAIRS_PER_SET)


def draw_set(
    seed: int, split: str, number: int
) -> Iterator[tuple[Statement, bool, tuple[list[Kind], list[Kind]]]]:
    """The statement of a set with, for each of its pairs, the label and the objects of both images."""
    rng = wording(seed, f"nlvr2_{split}", number)
    statement = draw_statement(STATEMENT_KINDS[number % len(STATEMENT_KINDS)], rng)
    for label in rng.sample([True, False] * (PAIRS_PER_SET // 2), PAIRS_PER_SET):
        yield statement, label, draw_contents(statement, label, rng)


def image_folder(split: str, number: int) -> str:
    """Where the images of a set are, below the data root."""
    return f"nlvr2/images/train/{number % DIRECTORIES}" if split == "train" else f"nlvr2/{split}"


def write_set(
    root: Path, seed: int, split: str, number: int, image_size: int
) -> list[dict[str, Any]]:
    """Draws the images of a set into their folder, and returns its records."""
    records = []
    folder = root / image_folder(split, number)
    for pair, (statement, label, contents) in enumerate(draw_set(seed, split, number)):
        name = f"{split}-{number}-{pair}"
        for side, kinds in enumerate(contents):
            rng = generator(seed, f"nlvr2_{split}", 2 * (PAIRS_PER_SET * number + pair) + side)
            save_image(folder / f"{name}-img{side}.png", draw_scene(rng, kinds, image_size).image)
        records.append(_record(split, number, name, statement, label))
    return records


def _record(
    split: str, number: int, name: str, statement: Statement, label: bool
) -> dict[str, Any]:
    """A line of the file; people's judgements all agree with the label."""
    record = {
        "validation": {"0": str(label)},
        "sentence": statement.text,
        "left_url": f"https://example.org/{name}-img0.png",
        "writer": "0",
        "label": str(label),
        "right_url": f"https://example.org/{name}-img1.png",
        "synset": statement.pattern.shape or "object",
        "query": f"group of objects{number}",
        "identifier": f"{name}-0",
    }
    if split == "train":
        return {**record, "directory": number % DIRECTORIES}
    return {**record, "extra_validations": {"1": str(label)}}
