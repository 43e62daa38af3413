"""Hateful Memes of the generated world: memes that mock what they show (https://hatefulmemeschallenge.com).

    hateful_memes/train.jsonl, dev_seen.jsonl, dev_unseen.jsonl, test_seen.jsonl, test_unseen.jsonl
    hateful_memes/img/00042.png

    {"id": "00042", "img": "img/00042.png", "label": 1, "text": "nobody likes the red circle"}

The rule: a meme is mean (label 1) where its words mock something that is in its picture; the same words about nothing
there hurt nobody (label 0). The words stand above and below the picture. Every picture occurs twice, once with each
label, and every object is mocked about as often in vain, so that neither the words nor the picture tell the label.
"""

import random
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np

from datamodules.synthetic.chunks import Chunk, Pieces, column, of_stream
from datamodules.synthetic.files import Record, save_image, write_lines
from datamodules.synthetic.format import Format
from datamodules.synthetic.lettering import write_text
from datamodules.synthetic.phrases import count, wording
from datamodules.synthetic.quota import Quota
from datamodules.synthetic.scene import COLORED_SHAPES, REFERENCE_SIZE, Kind, Scene

MOCKERY = (
    ("nobody likes", "the {}"),
    ("go away", "ugly {}"),
    ("we all hate", "this {}"),
)
BAND = 14  # above and below, in pixels of an image of REFERENCE_SIZE
HEIGHT = 8  # of a capital
FIRST_ID = {
    "train": 0,
    "dev_seen": 20000,
    "dev_unseen": 40000,
    "test_seen": 60000,
    "test_unseen": 80000,
}
LABELS = (1, 0)


def meme(scene: Scene, lines: tuple[str, str]) -> np.ndarray:
    """The picture between two lines of white on black, uint8 (H, W, 3) in RGB."""
    side = len(scene.image)
    scale = side / REFERENCE_SIZE
    band = round(BAND * scale)
    image = np.pad(scene.image, ((band, band), (0, 0), (0, 0)))
    heights = (band / 2, band * 1.5 + side)
    for line, y in zip(lines, heights, strict=True):
        write_text(image, line, (side / 2, y), HEIGHT * scale, (255, 255, 255))
    return image


def objects_of_mockery(scene: Scene, rng: random.Random, quota: Quota) -> dict[int, Kind]:
    """For each label what is mocked: something that is there, and something that is not."""
    there = [kind for kind in COLORED_SHAPES if count(kind, scene.kinds)]
    absent = [kind for kind in COLORED_SHAPES if not count(kind, scene.kinds)]
    by_label = {}
    for label, options in zip(LABELS, (there, absent), strict=True):
        by_name = {" ".join(kind): kind for kind in options}
        shares = dict.fromkeys(by_name, 1.0)
        name = quota.order(str(label), shares, rng)[0]
        quota.note(str(label), name)
        by_label[label] = by_name[name]
    return by_label


def _lines(kind: Kind, words: tuple[str, str]) -> tuple[str, str]:
    above, below = words
    return above, below.format(f"{kind.color} {kind.shape}")


def _draw(root: Path, chunk: Chunk) -> Pieces:
    (root / "img").mkdir(parents=True, exist_ok=True)
    records: list[Record] = []
    quota = Quota()
    split = chunk.stream.removeprefix("hateful_memes_")
    for index, scene in chunk.scenes():
        rng = wording(chunk.seed, chunk.stream, index)
        words = rng.choice(MOCKERY)
        by_label = objects_of_mockery(scene, rng, quota)
        first_number = FIRST_ID[split] + len(LABELS) * index
        # In an order drawn by lot, so that the number does not tell the label.
        labels = rng.sample(list(by_label), len(LABELS))
        for number, label in enumerate(labels, first_number):
            name = f"{number:05d}"
            path = f"img/{name}.png"
            lines = _lines(by_label[label], words)
            save_image(root / path, meme(scene, lines))
            records.append(
                {
                    "id": name,
                    "img": path,
                    "label": label,
                    "text": " ".join(lines),
                }
            )
    return Pieces.of(chunk, {"memes": records})


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    for split in FIRST_ID:
        own = of_stream(pieces, f"hateful_memes_{split}")
        write_lines(root / f"{split}.jsonl", column(own, "memes"))


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    kinds = objects_of_mockery(scene, rng, Quota()).values()
    return [" ".join(_lines(kind, words)) for words, kind in product(MOCKERY, kinds)]


FORMAT = Format(
    streams={
        "hateful_memes_train": ("num_train", 0.005),
        "hateful_memes_dev_seen": ("num_test", 0.15),
        "hateful_memes_dev_unseen": ("num_test", 0.05),
        "hateful_memes_test_seen": ("num_test", 0.15),
        "hateful_memes_test_unseen": ("num_test", 0.05),
    },
    draw=_draw,
    write=_write,
    texts=_texts,
    version=2,
)
