"""The generated world's NLVR2: labels by a second reading of the statements, balance, and what one image tells."""

import json
import re
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from datamodules.synthetic.nlvr2 import draw_set
from datamodules.synthetic.scene import Kind
from datamodules.synthetic.statements import STATEMENT_KINDS, one_image_bound
from datamodules.synthetic.world import write_world

SEED = 5


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "world"
    write_world(root, seed=SEED, num_train=300, num_val=40, num_test=120, num_workers=1)
    return root


def holds(sentence: str, left: list[Kind], right: list[Kind]) -> bool:
    words = re.search(
        r"(?:contains?|more) (?:the same number of |an? )?(.+?)(?: in the (left|right) .*)?\.",
        sentence,
    )
    wanted = [word.removesuffix("s") for word in words[1].split() if word != "objects"]
    counts = [sum(set(wanted) <= set(kind) for kind in side) for side in (left, right)]
    if sentence.startswith("there are more"):
        return counts[0] > counts[1] if words[2] == "left" else counts[1] > counts[0]
    if sentence.startswith("the two"):
        return counts[0] == counts[1]
    if sentence.startswith("the"):
        return counts["right" in sentence.split()] > 0
    return (counts[0] > 0) + (counts[1] > 0) == (2 if sentence.startswith("both") else 1)


@pytest.mark.parametrize(("split", "number"), [("train", 72), ("dev", 24), ("test1", 72)])
def test_nlvr2_labels_are_right_and_balanced(world: Path, split: str, number: int) -> None:
    records = [
        json.loads(line) for line in (world / "nlvr2" / f"{split}.json").read_text().splitlines()
    ]
    assert len(records) == number
    own = {"directory"} if split == "train" else {"extra_validations"}
    common = {
        "identifier",
        "sentence",
        "label",
        "left_url",
        "right_url",
        "writer",
        "validation",
        "synset",
        "query",
    }
    labels: dict[str, list[str]] = defaultdict(list)
    pairs = {}
    for record in records:
        assert set(record) == common | own
        name, group = re.fullmatch(rf"({split}-(\d+)-\d)-0", record["identifier"]).groups()
        folder = (
            f"nlvr2/images/train/{record['directory']}" if split == "train" else f"nlvr2/{split}"
        )
        assert all((world / folder / f"{name}-img{side}.png").is_file() for side in (0, 1))
        labels[group].append(record["label"])
        pairs[name] = record["sentence"], record["label"]
    assert all(sorted(found) == ["False", "False", "True", "True"] for found in labels.values())
    for group in labels:
        for pair, (_, label, (left, right)) in enumerate(draw_set(SEED, split, int(group))):
            sentence, written = pairs[f"{split}-{group}-{pair}"]
            assert holds(sentence, left, right) == label == (written == "True"), sentence
            assert 1 <= len(left) <= 3 and 1 <= len(right) <= 3


def test_nlvr2_images_show_what_is_said(world: Path) -> None:
    for record in [
        json.loads(line) for line in (world / "nlvr2/dev.json").read_text().splitlines()
    ]:
        match = re.fullmatch(r"the (left|right) image contains an? (\w+) \w+\.", record["sentence"])
        if match and record["label"] == "True":
            name = record["identifier"].removesuffix("-0")
            image = cv2.imread(str(world / f"nlvr2/dev/{name}-img{match[1] == 'right':d}.png"))[
                ..., ::-1
            ].astype(int)
            rgb = {"red": (214, 38, 40), "green": (40, 160, 56), "blue": (42, 76, 218)}
            rgb |= {"yellow": (238, 218, 48), "purple": (148, 56, 186), "orange": (244, 136, 28)}
            assert (np.abs(image - rgb[match[2]]).max(-1) < 18).sum() > 40


def test_one_image_is_not_enough() -> None:
    bound = one_image_bound(num_pairs=2000)
    assert list(bound) == [*STATEMENT_KINDS, "mean"]
    for kind, expected in {
        "side": 0.75,
        "both": 0.75,
        "one": 0.5,
        "more": 0.667,
        "same": 0.5,
        "mean": 0.633,
    }.items():
        assert abs(bound[kind] - expected) < 0.04
