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
from typing import NamedTuple

from datamodules.synthetic.drawing import draw_scene
from datamodules.synthetic.files import Record, save_image
from datamodules.synthetic.phrases import wording
from datamodules.synthetic.scene import Kind
from datamodules.synthetic.statements import (
    STATEMENT_KINDS,
    Statement,
    draw_contents,
    draw_statement,
)
from datamodules.synthetic.streams import generator

PAIRS_PER_SET = 4
DIRECTORIES = 100  # of the training images


class Pair(NamedTuple):
    """The left and the right image of a statement, which is true of them (label) or false, by what they hold."""

    statement: Statement
    label: bool
    contents: tuple[list[Kind], list[Kind]]


def num_sets(num_pairs: int) -> int:
    """The sets that hold so many pairs: at least one of each kind of statement."""
    return max(len(STATEMENT_KINDS), num_pairs // PAIRS_PER_SET)


def draw_set(seed: int, split: str, number: int) -> Iterator[Pair]:
    """The pairs of a set."""
    rng = wording(seed, f"nlvr2_{split}", number)
    statement = draw_statement(STATEMENT_KINDS[number % len(STATEMENT_KINDS)], rng)
    # Two of four pairs are true, in an order drawn by lot.
    labels = [True, False] * (PAIRS_PER_SET // 2)
    for label in rng.sample(labels, PAIRS_PER_SET):
        yield Pair(statement, label, draw_contents(statement, label, rng))


def image_folder(split: str, number: int) -> str:
    """Where the images of a set are, below the data root."""
    return f"nlvr2/images/train/{number % DIRECTORIES}" if split == "train" else f"nlvr2/{split}"


def write_set(
    root: Path,
    seed: int,
    split: str,
    number: int,
    image_size: int,
) -> list[Record]:
    """Draws the images of a set into their folder, and returns its records."""
    records = []
    folder = root / image_folder(split, number)
    for position, pair in enumerate(draw_set(seed, split, number)):
        name = f"{split}-{number}-{position}"
        for side, kinds in enumerate(pair.contents):
            image_index = 2 * (PAIRS_PER_SET * number + position) + side
            rng = generator(seed, f"nlvr2_{split}", image_index)
            save_image(folder / f"{name}-img{side}.png", draw_scene(rng, kinds, image_size).image)
        records.append(_record(split, number, name, pair))
    return records


def _record(
    split: str,
    number: int,
    name: str,
    pair: Pair,
) -> Record:
    """A line of the file; people's judgements all agree with the label."""
    label = str(pair.label)
    record = {
        "validation": {"0": label},
        "sentence": pair.statement.text,
        "left_url": f"https://example.org/{name}-img0.png",
        "writer": "0",
        "label": label,
        "right_url": f"https://example.org/{name}-img1.png",
        "synset": pair.statement.pattern.shape or "object",
        "query": f"group of objects{number}",
        "identifier": f"{name}-0",
    }
    if split == "train":
        return {**record, "directory": number % DIRECTORIES}
    return {**record, "extra_validations": {"1": label}}
