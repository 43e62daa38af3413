"""The mask codec on real COCO masks: the scores and times that docs/codec.md reports, on a part of them."""

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from vista.codec.contour import encode
from vista.codec.polygon_fill import decode
from vista.codec.rings import find_rings
from vista.geometry import decode_segmentation

ROOT = os.environ.get("VISTA_REALDATA")
pytestmark = pytest.mark.skipif(not ROOT, reason="VISTA_REALDATA is not set: no real masks here")


@pytest.fixture(scope="module")
def masks() -> list[np.ndarray]:
    """Masks whose box covers at least 5 % of their image."""
    content = json.loads((Path(ROOT or "") / "masks" / "coco_instances.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    large: list[np.ndarray] = []
    for annotation in content["annotations"]:
        size = sizes[annotation["image_id"]]
        if (
            annotation["bbox"][2] * annotation["bbox"][3] >= 0.05 * size[0] * size[1]
            and not annotation["iscrowd"]
        ):
            large.append(decode_segmentation(annotation["segmentation"], size))
    return [mask for mask in large if mask.any()]


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return 100 * np.count_nonzero(one & other) / np.count_nonzero(one | other)


def scores(masks: list[np.ndarray], num_points: int, method: str, multipart: str) -> np.ndarray:
    values = []
    for mask in masks:
        sequences = encode(mask, num_points, method, multipart)
        assert all(
            s.shape == (num_points, 2) and s.min() >= 0 and s.max() < 1000 for s in sequences
        )
        values.append(iou(decode(sequences, mask.shape), mask))
    return np.array(values)


def test_one_part(masks: list[np.ndarray]) -> None:
    single = [mask for mask in masks[::2] if len(find_rings(mask)) == 1]
    uniform, literal, adaptive = (
        scores(single, 32, method, "largest").mean()
        for method in ("uniform", "literal", "adaptive")
    )
    assert adaptive >= 98.0
    assert literal < uniform < adaptive - 1.5
    assert scores(single[::16], 32, "adaptive+refine", "largest").mean() >= 99.0


def test_all_masks_in_one_sequence(masks: list[np.ndarray]) -> None:
    masks = masks[::12]
    several = np.array([len(find_rings(mask)) > 1 for mask in masks])
    fast, optimal = (scores(masks, 32, method, "bridge") for method in ("fast", "optimal"))
    assert fast.mean() >= 98.8
    assert optimal.mean() >= 99.1
    assert optimal[several].mean() >= 98.0
    assert optimal.min() > 85


def test_half_the_points_do_what_the_paper_does(masks: list[np.ndarray]) -> None:
    assert scores(masks[::20], 17, "optimal", "bridge").mean() >= 97.0
    assert scores(masks[::20], 16, "optimal", "bridge").mean() >= 96.7


def test_times(masks: list[np.ndarray]) -> None:
    """Far above what is measured on an idle machine, so that a busy one does not fail."""

    def median_us(function, items: list) -> float:
        function(*items[0])
        times = []
        for item in items:
            start = time.thread_time()
            function(*item)
            times.append(time.thread_time() - start)
        return 1e6 * float(np.median(times))

    masks = masks[::24]
    assert median_us(lambda mask: encode(mask, 32), [(m,) for m in masks]) < 2000
    assert median_us(decode, [(encode(m, 32), m.shape) for m in masks]) < 1000
    assert (
        median_us(lambda mask: encode(mask, 32, "optimal", "bridge"), [(m,) for m in masks])
        < 30_000
    )
