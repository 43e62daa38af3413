"""POPE of the generated world: questions for objects, of which half are not there (https://github.com/RUCAIBox/POPE).

    pope/coco_pope_random.json, coco_pope_popular.json, coco_pope_adversarial.json      JSON lines

    {"question_id": 1, "image": "COCO_val2014_000003000002.jpg", "text": "is there a red circle in the image?",
     "label": "yes"}

The images are those of COCO's val2017 with three categories or more. Three questions are about some that are there and
three, in turns with these, about some that are not:

    random          each category as often
    popular         a category as often as it occurs in the images
    adversarial     the same, but only those of the absent half that most often occur together with what is there

so that the name of a category tells nothing.
"""

import json
import random
from collections import Counter
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

from datamodules.synthetic import coco
from datamodules.synthetic.chunks import Chunk, Pieces, each
from datamodules.synthetic.files import json_lines, write_lines
from datamodules.synthetic.format import Format
from datamodules.synthetic.phrases import with_article
from datamodules.synthetic.questions import Quota
from datamodules.synthetic.scene import Scene

SETTINGS = ("random", "popular", "adversarial")
PER_LABEL = 3  # questions with "yes", and with "no", about an image
NUM_IMAGES = 500
NAMES = [str(category["name"]) for category in coco.CATEGORIES]
Images = list[tuple[str, list[str]]]


def present(scene: Scene) -> list[str]:
    """The categories in a scene."""
    return sorted({f"{item.kind.color} {item.kind.shape}" for item in scene.objects})


def questions(setting: str, images: Images, rng: random.Random) -> list[dict[str, object]]:
    """The lines of one file.

    Args:
        setting: how the absent categories are drawn.
        images: (file name, categories) of each.
        rng: chooses among equals.
    """
    occurring = Counter(name for _, there in images for name in there)
    together = Counter(pair for _, there in images for pair in permutations(there, 2))
    asked: list[dict[str, object]] = []
    quota = Quota()
    for image, there in images:
        absent = [name for name in NAMES if name not in there and occurring[name]]
        if setting == "adversarial":
            near = [(sum(together[name, other] for other in there), name) for name in absent]
            absent = [name for _, name in sorted(near, reverse=True)[: len(near) // 2]]
        shares = {name: 1 if setting == "random" else occurring[name] for name in absent}
        wrong = quota.order("absent", shares, rng)[:PER_LABEL]
        for pair in zip(rng.sample(there, PER_LABEL), wrong, strict=False):
            for name, label in zip(pair, ("yes", "no"), strict=True):
                text = f"is there {with_article(name)} in the image?"
                asked.append(
                    {"question_id": len(asked) + 1, "image": image, "text": text, "label": label}
                )
            quota.note("absent", pair[1])
    return asked


def _draw(root: Path, chunk: Chunk) -> Pieces:
    """The images are those of COCO, which are there."""
    images = []
    for index, scene in chunk.scenes():
        there = present(scene)
        if len(there) >= PER_LABEL:
            images.append((f"COCO_val2014_{coco.image_id(chunk.stream, index):012d}.jpg", there))
    return Pieces(chunk.stream, {"images": json_lines(images)})


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    images = [json.loads(line) for line in each(pieces, "images")][:NUM_IMAGES]
    for setting in SETTINGS:
        lines = questions(setting, images, random.Random(setting))
        write_lines(root / f"coco_pope_{setting}.json", [json_lines(lines)])


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    return [f"is there {with_article(name)} in the image?" for name in present(scene)]


FORMAT = Format(streams={"test": ("num_test", 1.0)}, draw=_draw, write=_write, texts=_texts)
