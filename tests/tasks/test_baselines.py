"""Baselines cost what a batch of answers costs, however long the split, and answer what they always have."""

import weakref
from collections import Counter

import numpy as np
import pytest

from datamodules.source import LoadedSource
from tasks import Task, caption
from tests.task_sources import annotations
from vista.app.report import BATCH, score_row
from vista.codec.codec import Codec
from vista.data import Annotation, Prediction
from vista.geometry import decode_segmentation


def square(image: int, place: int) -> Annotation:
    """An expression for the square at one of nine places of an image of 12 x 12, twice in its group of two."""
    x, y = 4.0 * (place % 3), 4.0 * (place // 3)
    box = (x, y, x + 4, y + 4)
    outline = [x, y, x + 4, y, x + 4, y + 4, x, y + 4]
    images, sizes = (f"{image}.jpg", f"{image}b.jpg"), ((12, 12), (12, 12))
    return Annotation(
        f"{image}-{place}", images, sizes, "it", boxes=(box,), segmentations=([outline], [outline]),
        extra={"class": "square", "count": [True, True]},
    )  # fmt: skip


@pytest.mark.parametrize("name", ["res", "coseg"])
def test_masks_of_a_baseline_are_not_kept(name, tmp_path, monkeypatch):
    task, alive, most = Task.known[name](Codec(num_points=4)), [0], [0]
    squares = [square(image, place) for image in range(80) for place in (0, 4, 8)]
    source, given = LoadedSource("s", task, tmp_path, squares), task.baseline

    def count(change: int) -> None:
        alive[0] += change
        most[0] = max(most[0], alive[0])

    def counted(sample):
        for prediction in given(sample):
            count(1)
            weakref.finalize(prediction.masks[0], count, -1)
            yield prediction

    monkeypatch.setattr(task, "baseline", counted)
    scores = {f"test/s/{key}": 0.0 for key in (task.headline, "n", "parse_failures")}
    row = score_row(source, "test", scores)
    assert row is not None and row["baseline"] is not None and row["baseline"] > 0
    assert most[0] <= 2 * BATCH < len(squares), "a batch, and the one before until it is replaced"


def test_the_mask_of_a_random_object_is_the_one_that_it_was():
    task = Task.known["res"](Codec())
    sample = annotations("res", "refcoco", "val", True)
    by_image: dict[str, dict[tuple[float, ...], Annotation]] = {}
    for a in sample:
        by_image.setdefault(a.images[0], {}).setdefault(a.boxes[0], a)
    rng = np.random.default_rng(0)
    for a, prediction in zip(sample, task.baseline(sample), strict=True):
        objects = list(by_image[a.images[0]].values())
        chosen = objects[rng.integers(len(objects))]
        mask = decode_segmentation(chosen.segmentations[0], chosen.sizes[0])
        assert len(prediction.masks) == 1 and np.array_equal(prediction.masks[0], mask)


def captioned(number: int, text: str) -> Annotation:
    return Annotation(str(number), (f"{number}.jpg",), captions=(text, f"{text} again"))


@pytest.fixture
def scored(monkeypatch) -> Counter:
    """How many images each candidate for the constant caption is scored on."""
    seen: Counter = Counter()

    class Counted(caption.CaptionMetric):
        def update(self, preds, target):
            seen.update(p.answer for p in preds)
            super().update(preds, target)

    monkeypatch.setattr(caption, "CaptionMetric", Counted)
    return seen


def test_the_constant_caption_is_chosen_on_a_few_hundred_images(scored):
    task = Task.known["caption"](Codec())
    # The first images are unlike the rest, and so would be a choice among neighbours.
    texts = ["a cat on a mat", "two dogs at the door", "a red bus in the rain"]
    sample = [captioned(k, texts[k % 3] if k < 20 else texts[1 + k // 800]) for k in range(1000)]
    preds = list(task.baseline(sample))
    assert preds == [Prediction(text=texts[1], answer=texts[1])] * 1000
    assert scored.keys() == set(texts) and max(scored.values()) <= 300


def test_of_a_small_split_every_image_counts(scored):
    task = Task.known["reg"](Codec())
    sample = [captioned(k, f"the {'red' if k % 2 else 'blue'} one {k % 3}") for k in range(60)]
    preds = list(task.baseline(sample))
    assert len(preds) == 60 and len({pred.answer for pred in preds}) == 1
    assert set(scored.values()) == {60} and len(scored) == 6
