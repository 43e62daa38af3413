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
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.synthetic.chunks import Chunk, Pieces, column
from datamodules.synthetic.files import json_lines, save_image, write_lines
from datamodules.synthetic.format import Format, of_stream
from datamodules.synthetic.lettering import write_text
from datamodules.synthetic.phrases import count, wording
from datamodules.synthetic.questions import VALUES, Quota
from datamodules.synthetic.scene import REFERENCE_SIZE, Kind, Scene

MOCKERY = (("nobody likes", "the {}"), ("go away", "ugly {}"), ("we all hate", "this {}"))
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
    for line, y in zip(lines, (band / 2, band * 1.5 + side), strict=True):
        write_text(image, line, (side / 2, y), HEIGHT * scale, (255, 255, 255))
    return image


def mocked(scene: Scene, rng: random.Random, quota: Quota) -> dict[int, Kind]:
    """For each label what is mocked: something that is there, and something that is not."""
    kinds = [item.kind for item in scene.objects]
    every = [Kind("", color, shape) for color in VALUES["color"] for shape in VALUES["shape"]]
    there = [kind for kind in every if count(kind, kinds)]
    absent = [kind for kind in every if not count(kind, kinds)]
    found = {}
    for label, options in zip(LABELS, (there, absent), strict=True):
        order = quota.order(str(label), {" ".join(kind): 1.0 for kind in options}, rng)
        quota.note(str(label), order[0])
        found[label] = next(kind for kind in options if " ".join(kind) == order[0])
    return found


def _lines(kind: Kind, words: tuple[str, str]) -> tuple[str, str]:
    return words[0], words[1].format(f"{kind.color} {kind.shape}")


def _draw(root: Path, chunk: Chunk) -> Pieces:
    (root / "img").mkdir(parents=True, exist_ok=True)
    records: list[dict[str, Any]] = []
    quota = Quota()
    split = chunk.stream.removeprefix("hateful_memes_")
    for index, scene in chunk.scenes():
        rng = wording(chunk.seed, chunk.stream, index)
        words = rng.choice(MOCKERY)
        for k, (label, kind) in enumerate(
            rng.sample(list(mocked(scene, rng, quota).items()), len(LABELS))
        ):
            name = f"{FIRST_ID[split] + len(LABELS) * index + k:05d}"
            lines = _lines(kind, words)
            save_image(root / "img" / f"{name}.png", meme(scene, lines))
            records.append(
                {"id": name, "img": f"img/{name}.png", "label": label, "text": " ".join(lines)}
            )
    return Pieces(chunk.stream, {"memes": json_lines(records)})


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    for split in FIRST_ID:
        write_lines(
            root / f"{split}.jsonl", column(of_stream(pieces, f"hateful_memes_{split}"), "memes")
        )


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    kinds = mocked(scene, rng, Quota()).values()
    return [" ".join(_lines(kind, words)) for words in MOCKERY for kind in kinds]


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
)
