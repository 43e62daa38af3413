"""For loader.py: milliseconds of each part of the work on one sample, in one process."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from benchmarks.generated_source import PICTURES
from datamodules.mixture import MixtureData
from vista.images import load_image
from vista.tokens.batch import collate

NUM_QUERIES = 32
SAMPLES_OF_A_SOURCE = 64
BATCHES = 5
Value = TypeVar("Value")


def milliseconds(call: Callable[[Value], object], values: Iterable[Value]) -> float:
    """Of one call: the median over all values."""
    times = []
    for value in values:
        start = time.perf_counter()
        call(value)
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


def decode(content: np.ndarray) -> np.ndarray:
    """The pixels of a JPEG's bytes, uint8 (H, W, 3)."""
    return cv2.imdecode(content, cv2.IMREAD_COLOR_RGB)


def decode_reduced(content: np.ndarray) -> np.ndarray:
    """The pixels at half size, uint8 (H / 2, W / 2, 3)."""
    return cv2.imdecode(content, cv2.IMREAD_REDUCED_COLOR_2)


def profile(data: MixtureData) -> dict[str, float]:
    """Milliseconds of each part of the work, in this process."""
    files = [data.root / f"pictures/{k}.jpg" for k in range(PICTURES)]
    contents = [np.fromfile(file, np.uint8) for file in files]
    images = [load_image(file) for file in files]
    parts = {
        "load_image": milliseconds(load_image, files),
        "decode": milliseconds(decode, contents),
        "decode_reduced": milliseconds(decode_reduced, contents),
        "transform": milliseconds(data.encoding.transform, images),
    }
    rng = np.random.default_rng(0)
    for source in data.train_sources:
        name, task = source.name, source.task
        step = len(source.annotations) // SAMPLES_OF_A_SOURCE
        annotations = [source.annotations[k] for k in range(0, len(source.annotations), step)]
        turns = [task.turns(annotation, rng) for annotation in annotations]
        pairs = list(zip(annotations, turns, strict=True))

        def turns_of(annotation, task=task):
            return task.turns(annotation, rng)

        def sample_of(pair, source=source):
            return data.encoding.sample(source, *pair)

        samples = [sample_of(pair) for pair in pairs]
        parts[f"{name}_annotation"] = milliseconds(
            source.annotations.__getitem__, range(SAMPLES_OF_A_SOURCE)
        )
        parts[f"{name}_turns"] = milliseconds(turns_of, annotations)
        parts[f"{name}_tokens"] = milliseconds(sample_of, pairs)
    picture = data.encoding.transform(images[0])
    pixels = {file: picture for sample in samples for file in sample.images}

    def collate_all(batch):
        return collate(batch, pixels, data.tokenizer, NUM_QUERIES)

    parts["collate_a_sample"] = milliseconds(collate_all, [samples] * BATCHES) / len(samples)
    return {name: round(value, 3) for name, value in parts.items()}


def difference_of_reduced(root: Path, side: int) -> float:
    """Mean difference in grey levels that decoding at half size makes in what the encoder sees."""
    differences = []
    for k in range(20):
        file = root / f"pictures/{k}.jpg"
        whole = _as_seen(file, cv2.IMREAD_COLOR, side)
        half = _as_seen(file, cv2.IMREAD_REDUCED_COLOR_2, side)
        differences.append(np.abs(whole - half).mean())
    return round(float(np.mean(differences)), 2)


def _as_seen(file: Path, flags: int, side: int) -> np.ndarray:
    """An image as the encoder sees it, float (side, side, 3)."""
    image = cv2.imread(str(file), flags)
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).astype(float)
