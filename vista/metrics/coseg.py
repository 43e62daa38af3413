"""CoSeg: the common object in each image of a group.

    P = share of pixels labelled right; J = IoU of the object; per image, compared at the original size

Three means are in use and differ by up to a few points:
`P`, `J`: over images within a class, then over classes (the "Av." of per-class tables);
`P_image`, `J_image`: over all images (cj4L/SSNM-Coseg `tools.py` @e172652);
`P_pooled`, `J_pooled`: over the pixels of a class, then over classes (blankblankblank123/MCANet `libs/utils/metric.py`
@7726ed2).
"""

import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from vista.data import Mask, Prediction, Reference
from vista.metrics.evaluator import CorpusEvaluator
from vista.metrics.overlap import mask_intersection_and_union

EPSILON = 1e-10  # SSNM-Coseg's: makes J of two empty masks 0


class ImageOverlap(NamedTuple):
    """Pixels of one image: labelled right, all, in both masks, in either mask."""

    right: int
    pixels: int
    shared: int
    union: int


def image_overlap(pred: Mask, truth: Mask) -> ImageOverlap:
    """Count the pixels of two bool (H, W) masks.

    Raises:
        ValueError: the sizes differ.
    """
    shared, union = mask_intersection_and_union(pred, truth)
    return ImageOverlap(truth.size - (union - shared), truth.size, shared, union)


def precision_and_jaccard(image: ImageOverlap) -> tuple[float, float]:
    """P and J, each 0..1. Sums of counts give the pooled values."""
    return image.right / image.pixels, image.shared / (image.union + EPSILON)


def safe_name(name: str) -> str:
    """A class name as it may stand in a metric key: `009 Stonehenge` -> `009_Stonehenge`."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)


def coseg_scores(images: Iterable[tuple[str, ImageOverlap]]) -> dict[str, float]:
    """The three means and J by class.

    Args:
        images: (class, pixels) per image.

    Returns:
        percentages by key; 0 where there are no images.
    """
    classes: dict[str, list[ImageOverlap]] = defaultdict(list)
    for name, image in images:
        classes[safe_name(name)].append(image)
    per_class: dict[str, np.ndarray] = {}
    per_image: list[np.ndarray] = []
    pooled: list[tuple[float, float]] = []
    for name, overlaps in classes.items():
        of_class = np.array([precision_and_jaccard(overlap) for overlap in overlaps])  # (N, 2)
        per_class[name] = of_class.mean(axis=0)  # (2,)
        per_image.extend(of_class)
        pixels = np.sum(overlaps, axis=0)  # (4,)
        pooled.append(precision_and_jaccard(ImageOverlap(*pixels.tolist())))
    scores: dict[str, float] = {}
    means = {
        "": np.array(list(per_class.values())),  # (classes, 2)
        "_image": np.array(per_image),  # (images, 2)
        "_pooled": np.array(pooled),  # (classes, 2)
    }
    for suffix, values in means.items():
        precision, jaccard = 100.0 * values.mean(axis=0) if len(values) else (0.0, 0.0)
        scores |= {f"P{suffix}": float(precision), f"J{suffix}": float(jaccard)}
    for name, (_, jaccard) in per_class.items():
        scores[f"J_{name}"] = 100.0 * float(jaccard)
    return scores


class CoSegMetric(CorpusEvaluator):
    """P and J of a set. Prediction: `masks`, the k-th for the k-th image; missing ones are empty, extra ones ignored.

    Reference: `{"masks": [bool (H, W), ...], "class": str, "count": [bool, ...]}`; an image whose `count` is False only
    fills the group and is not scored. Records are kept since the classes are not known beforehand. Keys: `P`, `J`,
    `P_image`, `J_image`, `P_pooled`, `J_pooled`, `J_{class}`.
    """

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """Count the pixels of each image of one group."""
        masks = [] if pred.malformed else pred.masks
        for k, (truth, counts) in enumerate(zip(ref["masks"], ref["count"], strict=True)):
            if counts:
                mask = masks[k] if k < len(masks) else np.zeros_like(truth)
                self.records.append((ref["class"], image_overlap(mask, truth)))
        return {}

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """The means over the images of all processes."""
        images = [(name, ImageOverlap(*image)) for name, image in self.gathered()]
        empty = sum(not image.union for _, image in images)
        if empty:
            warnings.warn(
                f"{empty} CoSeg images have neither a true nor a predicted object: J is 0",
                stacklevel=2,
            )
        return coseg_scores(images)
