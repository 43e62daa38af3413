"""A generated source of any size for loader.py: a reader, and JPEGs of 640 x 480, about as large as COCO's."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from datamodules.readers import Reader
from vista.data import Annotation

TASKS = ("caption", "rec", "reg", "res", "vqav2")
HOW, WHAT = ("red", "small", "left"), ("dog", "cup of coffee", "person in a blue shirt")
PICTURES = 200  # different ones
HEIGHT, WIDTH = 480, 640


class GeneratedReader(Reader):
    """As many annotations as `generated.json` says, fit for any of the tasks, whose names are the splits."""

    name = "generated"
    fields = frozenset(
        {
            "expression",
            "question",
            "answers",
            "captions",
            "boxes",
            "segmentations",
            "sizes",
            "label",
        }
    )
    splits = TASKS

    def _annotations(self) -> Iterator[Annotation]:
        said = self.json("generated.json")
        rng = np.random.default_rng(TASKS.index(self.split))
        outlines = [outline(rng) for _ in range(1000)]
        for k in range(said["annotations"] // len(TASKS)):
            points = outlines[k % 1000]
            box = (min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2]))
            words = f"the {HOW[k % 3]} {WHAT[k % 7 % 3]}"
            yield Annotation(
                id=str(k),
                images=(
                    f"images/{k * said['images'] * len(TASKS) // said['annotations']:012d}.jpg",
                ),
                sizes=((HEIGHT, WIDTH),),
                expression=f"{words} {k % 50}",
                question=f"what is next to {words}?",
                answers=("yes", "a dog", "two", "on the table") * 2,
                captions=(f"{words} stands on a table beside a window", f"a picture of {words}"),
                boxes=(box,),
                segmentations=([points],) if self.split == "res" else (),
                label="a dog",
                extra={"question_id": k, "question_type": "what is", "answer_type": "other"},
            )


def outline(rng: np.random.Generator) -> list[float]:
    """A star-shaped polygon of 40 points, flat, in pixels."""
    angle, x, y = (
        np.linspace(0, 2 * np.pi, 40, endpoint=False),
        rng.uniform(150, 490),
        rng.uniform(150, 330),
    )
    radius = rng.uniform(30, 90) * (1 + 0.3 * np.cumsum(rng.normal(size=40)) / 40**0.5).clip(
        0.4, 1.6
    )
    points = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
    return [float(value) for value in points.clip(0, HEIGHT).round(2).ravel()]


def write_data(root: Path, annotations: int, images: int) -> None:
    """Pictures of noise at all scales; every image is a hard link to one of them."""
    rng = np.random.default_rng(0)
    (root / "pictures").mkdir()
    (root / "images").mkdir()
    for k in range(PICTURES):
        scales = [
            rng.normal(size=(HEIGHT // s + 1, WIDTH // s + 1, 3)) * s**0.8 for s in (1, 4, 16, 64)
        ]
        noise = sum(
            cv2.resize(scale, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for scale in scales
        )
        picture = (128 + 4 * np.asarray(noise)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(root / f"pictures/{k}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
    for k in range(images):
        os.link(root / f"pictures/{k % PICTURES}.jpg", root / f"images/{k:012d}.jpg")
    (root / "generated.json").write_text(json.dumps({"annotations": annotations, "images": images}))
