"""NLVR2 of the generated world: a statement about a pair of images, true or false (https://github.com/lil-lab/nlvr).

    nlvr2/{train,dev,test1}.json                                      JSON lines
    nlvr2/images/train/<directory>/train-<set>-<pair>-img{0,1}.png    left and right
    nlvr2/{dev,test1}/dev-<set>-<pair>-img{0,1}.png

    {"identifier": "dev-12-3-0", "sentence": "both images contain a red circle.", "label": "True", ...}

The identifier is split-set-pair-sentence. A set is four pairs of images, and each statement about it is true of two of
them and false of two, so each kind of statement is true of exactly half its pairs. A set of the training split has four
statements (`statement_sets.py`); one of the others has one, whose kinds take turns from set to set.
"""

from pathlib import Path
from typing import NamedTuple

from datamodules.synthetic.drawing import draw_scene
from datamodules.synthetic.files import Record, save_image
from datamodules.synthetic.phrases import wording
from datamodules.synthetic.statement_sets import draw_statements
from datamodules.synthetic.statements import (
    PAIRS,
    STATEMENT_KINDS,
    Contents,
    Statement,
    draw_contents,
    draw_statement,
)
from datamodules.synthetic.streams import generator

DIRECTORIES = 100  # of the training images


class PairSet(NamedTuple):
    """Four pairs of images, by what the left and the right one hold, and the statements about them."""

    statements: list[Statement]
    pairs: list[Contents]


def num_sets(num_pairs: int) -> int:
    """The sets that hold so many pairs: at least one of each kind of statement."""
    return max(len(STATEMENT_KINDS), num_pairs // PAIRS)


def draw_set(seed: int, split: str, number: int) -> PairSet:
    """The pairs of a set and what is said of them."""
    rng = wording(seed, f"nlvr2_{split}", number)
    if split == "train":
        return PairSet(*draw_statements(number, rng))
    statement = draw_statement(STATEMENT_KINDS[number % len(STATEMENT_KINDS)], rng)
    # Two of four pairs are true, in an order drawn by lot.
    labels = [True, False] * (PAIRS // 2)
    order = rng.sample(labels, PAIRS)
    return PairSet([statement], [draw_contents(statement, label, rng) for label in order])


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
    """Draws the images of a set into their folder, and returns its records, those of a pair together."""
    records = []
    folder = root / image_folder(split, number)
    drawn = draw_set(seed, split, number)
    for position, pair in enumerate(drawn.pairs):
        name = f"{split}-{number}-{position}"
        for side, kinds in enumerate(pair):
            image_index = 2 * (PAIRS * number + position) + side
            rng = generator(seed, f"nlvr2_{split}", image_index)
            save_image(folder / f"{name}-img{side}.png", draw_scene(rng, kinds, image_size).image)
        for sentence, statement in enumerate(drawn.statements):
            label = str(statement.holds(*pair))
            records.append(_record(split, number, name, sentence, statement, label))
    return records


def _record(
    split: str,
    number: int,
    name: str,
    sentence: int,
    statement: Statement,
    label: str,
) -> Record:
    """A line of the file; people's judgements all agree with the label."""
    record = {
        "validation": {"0": label},
        "sentence": statement.text,
        "left_url": f"https://example.org/{name}-img0.png",
        "writer": "0",
        "label": label,
        "right_url": f"https://example.org/{name}-img1.png",
        "synset": statement.pattern.shape or "object",
        "query": f"group of objects{number}",
        "identifier": f"{name}-{sentence}",
    }
    if split == "train":
        return {**record, "directory": number % DIRECTORIES}
    return {**record, "extra_validations": {"1": label}}
