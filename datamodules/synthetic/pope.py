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
from datamodules.synthetic.chunks import Chunk, Pieces, record_lines
from datamodules.synthetic.files import Record, json_lines, write_lines
from datamodules.synthetic.format import Format
from datamodules.synthetic.phrases import with_article
from datamodules.synthetic.quota import Quota
from datamodules.synthetic.scene import Scene

SETTINGS = ("random", "popular", "adversarial")
PER_LABEL = 3  # questions with "yes", and with "no", about an image
NUM_IMAGES = 500
Images = list[tuple[str, list[str]]]


def categories_in(scene: Scene) -> list[str]:
    """The names of the categories in a scene, sorted."""
    return sorted({f"{kind.color} {kind.shape}" for kind in scene.kinds})


def questions(setting: str, images: Images, rng: random.Random) -> list[Record]:
    """The lines of one file.

    Args:
        setting: how the absent categories are drawn.
        images: (file name, categories) of each.
        rng: chooses among equals.
    """
    occurrences: Counter[str] = Counter()
    pairs: Counter[tuple[str, str]] = Counter()
    for _, there in images:
        occurrences.update(there)
        pairs.update(permutations(there, 2))
    records: list[Record] = []
    quota = Quota()
    for image, there in images:
        absent = [name for name in coco.CATEGORY_NAMES if name not in there and occurrences[name]]
        if setting == "adversarial":
            absent = _likely_half(absent, there, pairs)
        shares = {name: occurrences[name] for name in absent}
        if setting == "random":
            shares = dict.fromkeys(absent, 1)
        wrong = quota.order("absent", shares, rng)[:PER_LABEL]
        # Where fewer categories are absent, fewer pairs are asked about: yes and no stay as many.
        right = rng.sample(there, PER_LABEL)
        for present_name, absent_name in zip(right, wrong, strict=False):
            for name, label in ((present_name, "yes"), (absent_name, "no")):
                number = len(records) + 1
                records.append(_record(number, image, name, label))
            quota.note("absent", absent_name)
    return records


def _likely_half(
    absent: Sequence[str],
    there: Sequence[str],
    pairs: Counter[tuple[str, str]],
) -> list[str]:
    """The half of the absent categories that most often occur together with what is there."""
    by_frequency = []
    for name in absent:
        frequency = sum(pairs[name, other] for other in there)
        by_frequency.append((frequency, name))
    by_frequency.sort(reverse=True)
    half = len(by_frequency) // 2
    return [name for _, name in by_frequency[:half]]


def _record(
    number: int,
    image: str,
    name: str,
    label: str,
) -> Record:
    return {
        "question_id": number,
        "image": image,
        "text": _question(name),
        "label": label,
    }


def _question(name: str) -> str:
    return f"is there {with_article(name)} in the image?"


def _draw(root: Path, chunk: Chunk) -> Pieces:
    """The images are those of COCO, which are there."""
    images = []
    for index, scene in chunk.scenes():
        there = categories_in(scene)
        if len(there) >= PER_LABEL:
            number = coco.image_id(chunk.stream, index)
            file_name = f"COCO_val2014_{number:012d}.jpg"
            images.append((file_name, there))
    return Pieces.of(chunk, {"images": images})


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    images = [json.loads(line) for line in record_lines(pieces, "images")]
    for setting in SETTINGS:
        rng = random.Random(setting)
        records = questions(setting, images[:NUM_IMAGES], rng)
        write_lines(root / f"coco_pope_{setting}.json", [json_lines(records)])


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    return [_question(name) for name in categories_in(scene)]


FORMAT = Format(streams={"test": ("num_test", 1.0)}, draw=_draw, write=_write, texts=_texts)
