"""A generated source of any size for loader.py: a reader, and JPEGs of 640 x 480, about as large as COCO's."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from datamodules.readers import Reader
from datamodules.readers.official import Official
from vista.data import Annotation

TASKS = ("caption", "rec", "reg", "res", "vqav2")
HOW, WHAT = ("red", "small", "left"), ("dog", "cup of coffee", "person in a blue shirt")
PICTURES = 200  # different ones
HEIGHT, WIDTH = 480, 640


class GeneratedReader(Reader):
    """As many annotations as `generated.json` says, fit for any of the tasks, whose names are the splits."""

    name = "generated"
    fields = frozenset(
        (
            "expression",
            "question",
            "answers",
            "captions",
            "boxes",
            "segmentations",
            "sizes",
            "label",
        )
    )
    splits = TASKS

    def _annotations(self) -> Iterator[Annotation]:
        numbers = Official(self, self.file("generated.json")).content
        num_annotations, num_images = numbers["annotations"], numbers["images"]
        rng = np.random.default_rng(TASKS.index(self.split))
        outlines = [outline(rng) for _ in range(1000)]
        for k in range(num_annotations // len(TASKS)):
            image = k * num_images * len(TASKS) // num_annotations
            points = outlines[k % 1000]
            x, y = points[::2], points[1::2]
            box = (min(x), min(y), max(x), max(y))
            words = f"the {HOW[k % 3]} {WHAT[k % 7 % 3]}"
            yield Annotation(
                id=str(k),
                images=(f"images/{image:012d}.jpg",),
                sizes=((HEIGHT, WIDTH),),
                expression=f"{words} {k % 50}",
                question=f"what is next to {words}?",
                answers=("yes", "a dog", "two", "on the table") * 2,
                captions=(f"{words} stands on a table beside a window", f"a picture of {words}"),
                boxes=(box,),
                segmentations=([points],) if self.split == "res" else (),
                label="a dog",
                extra={"question_id": k, "question_type": "what is", "answer_type": "other"},
                photos=((f"generated {image}",),),
            )


def outline(rng: np.random.Generator) -> list[float]:
    """A star-shaped polygon of 40 points, flat, in pixels."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x, y = rng.uniform(150, 490), rng.uniform(150, 330)
    size = rng.uniform(30, 90)
    walk = np.cumsum(rng.normal(size=40)) / 40**0.5
    radius = size * (1 + 0.3 * walk).clip(0.4, 1.6)
    points = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
    return [float(value) for value in points.clip(0, HEIGHT).round(2).ravel()]


def noise(rng: np.random.Generator) -> np.ndarray:
    """A picture of noise, uint8 (HEIGHT, WIDTH, 3)."""
    total = np.zeros((HEIGHT, WIDTH, 3))
    for scale in (1, 4, 16, 64):
        small = rng.normal(size=(HEIGHT // scale + 1, WIDTH // scale + 1, 3)) * scale**0.8
        total += cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return (128 + 4 * total).clip(0, 255).astype(np.uint8)


def write_data(root: Path, annotations: int, images: int) -> None:
    """Pictures of noise at all scales; every image is a hard link to one of them."""
    rng = np.random.default_rng(0)
    (root / "pictures").mkdir()
    (root / "images").mkdir()
    for k in range(PICTURES):
        path = str(root / f"pictures/{k}.jpg")
        cv2.imwrite(path, noise(rng), [cv2.IMWRITE_JPEG_QUALITY, 92])
    for k in range(images):
        os.link(root / f"pictures/{k % PICTURES}.jpg", root / f"images/{k:012d}.jpg")
    (root / "generated.json").write_text(json.dumps({"annotations": annotations, "images": images}))
