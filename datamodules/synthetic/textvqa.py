"""TextVQA of the generated world: what is written on an object (https://textvqa.org).

    textvqa/TextVQA_0.5.1_train.json, ..._val.json, ..._test.json       the test split has no answers
    textvqa/train_images/<16 hex digits>.jpg                            of train and val
    textvqa/test_images/<16 hex digits>.jpg

    {"question_id": 34602, "question": "what number is on the red circle?", "image_id": "0000000000f42400",
     "answers": ["47", ...], "image_width": 96, "image_height": 96, "set_name": "val", ...}

Two or three large objects bear a number or a short word each; the question names one by what it looks like, so that
reading one of them is not enough. All ten people agree.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.synthetic.chunks import Chunk, Pieces, column, of_stream
from datamodules.synthetic.coco import image_id
from datamodules.synthetic.drawing import draw_kinds, draw_scene
from datamodules.synthetic.files import Record, save_image, write_document
from datamodules.synthetic.format import Format
from datamodules.synthetic.lettering import write_text
from datamodules.synthetic.phrases import noun, shortest_names, wording
from datamodules.synthetic.scene import REFERENCE_SIZE, Scene, SceneObject
from datamodules.synthetic.streams import generator

WORDS = (
    "ant",
    "bus",
    "cat",
    "dog",
    "egg",
    "fox",
    "hat",
    "ink",
    "key",
    "map",
    "owl",
    "pen",
    "sun",
    "tea",
    "van",
    "zoo",
)
PER_SCENE = 2
NUM_ANSWERS = 10
HEIGHT = 8  # of a capital, in pixels of an image of REFERENCE_SIZE
BLACK = (0, 0, 0)
WHITE = (255, 255, 255)
FIRST_ID = {
    "train": 0,
    "val": 34602,
    "test": 39602,
}


class Reading(NamedTuple):
    """A question and what is written on the object that it is about; `kind` is "number" or "word"."""

    kind: str
    text: str
    answer: str


def inscribe(scene: Scene, rng: random.Random) -> list[str]:
    """Writes a number or a word on each object, all different; returns them in the order of the objects."""
    numbers = rng.sample(range(10, 100), len(scene.objects))
    words = rng.sample(WORDS, len(scene.objects))
    texts = []
    for item, number, word in zip(scene.objects, numbers, words, strict=True):
        # There is no room for a word in a ring.
        use_number = item.kind.shape == "ring" or rng.random() < 0.5
        texts.append(str(number) if use_number else word)
        _write_on(scene.image, item, texts[-1])
    return texts


def _write_on(image: np.ndarray, item: SceneObject, text: str) -> None:
    """Black on what is light there, else white."""
    height = HEIGHT * len(image) / REFERENCE_SIZE
    y = item.y
    if item.kind.shape == "ring":
        height *= 0.8
    elif item.kind.shape == "triangle":
        y += 0.4 * item.radius
    brightness = image[int(y), int(item.x)] @ np.array([0.3, 0.6, 0.1])
    rgb = BLACK if brightness > 128 else WHITE
    write_text(image, text, (item.x, y), height, rgb)


def readings(scene: Scene, texts: Sequence[str], rng: random.Random) -> list[Reading]:
    """Up to `PER_SCENE` questions, about different objects."""
    found = []
    for item, text in zip(scene.objects, texts, strict=True):
        kind = "number" if text.isdigit() else "word"
        names = shortest_names(scene, item)
        if names:
            question = f"what {kind} is on the {noun(rng.choice(names))}?"
            found.append(Reading(kind, question, text))
    return rng.sample(found, min(PER_SCENE, len(found)))


def _draw(root: Path, chunk: Chunk) -> Pieces:
    split = chunk.stream.removeprefix("textvqa_")
    folder = root / ("test_images" if split == "test" else "train_images")
    folder.mkdir(parents=True, exist_ok=True)
    records: list[Record] = []
    for index in range(chunk.start, chunk.stop):
        rng = generator(chunk.seed, chunk.stream, index)
        words = wording(chunk.seed, chunk.stream, index)
        # Small objects have no room for letters.
        kinds = [kind._replace(size="large") for kind in draw_kinds(rng, words.choice((2, 3)))]
        scene = draw_scene(rng, kinds, chunk.image_size)
        texts = inscribe(scene, words)
        name = f"{image_id(chunk.stream, index):016x}"
        save_image(folder / f"{name}.jpg", scene.image)
        for k, reading in enumerate(readings(scene, texts, words)):
            number = FIRST_ID[split] + PER_SCENE * index + k
            records.append(_record(scene, reading, split, number, name))
    return Pieces.of(chunk, {"data": records})


def _record(
    scene: Scene,
    reading: Reading,
    split: str,
    number: int,
    name: str,
) -> Record:
    height, width = scene.image.shape[:2]
    record: Record = {
        "question_id": number,
        "image_id": name,
        "question": reading.text,
        "question_tokens": reading.text.removesuffix("?").split(),
        "image_classes": sorted({item.kind.shape for item in scene.objects}),
        "flickr_original_url": "",
        "flickr_300k_url": "",
        "image_width": width,
        "image_height": height,
        "set_name": split,
    }
    if split != "test":
        record["answers"] = [reading.answer] * NUM_ANSWERS
    return record


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    for split in FIRST_ID:
        head = {
            "dataset_type": split,
            "dataset_name": "textvqa",
            "dataset_version": "0.5.1",
        }
        data = column(of_stream(pieces, f"textvqa_{split}"), "data")
        write_document(root / f"TextVQA_0.5.1_{split}.json", head, {"data": data})


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    large = replace(scene, image=scene.image.copy())
    texts = []
    for reading in readings(large, inscribe(large, rng), rng):
        texts += [reading.text, reading.answer]
    return texts + rng.sample(WORDS, 4)


FORMAT = Format(
    streams={
        "textvqa_train": ("num_train", 0.01),
        "textvqa_val": ("num_test", 0.5),
        "textvqa_test": ("num_test", 0.1),
    },
    draw=_draw,
    write=_write,
    texts=_texts,
)
