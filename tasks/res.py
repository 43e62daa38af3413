"""RES: the mask of the object that an expression names, as N points of its contour.

    "the red circle on the left" -> "[104, 250, 131, 263, ..., 98, 301]"

The same data sets as REC.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from vista.data import Annotation, Box, Mask, Prediction, Reference, size_of
from vista.decoding.grammar import Grammar, Regions
from vista.geometry import decode_segmentation
from vista.metrics.evaluator import Evaluator
from vista.metrics.overlap import union_mask
from vista.metrics.res import RESMetric
from vista.task import Task


class RES(Task):
    """Expression to one mask."""

    name = "res"
    datasets = frozenset({"refcoco", "refcocop", "refcocog"})
    fields = frozenset({"expression", "segmentations", "sizes"})
    headline = "mIoU"
    baseline_name = "a random object's true mask"

    def target(self, annotation: Annotation) -> str:
        """`[x0, y0, ..., xN-1, yN-1]`."""
        return self.codec.mask_to_text(self._mask(annotation))

    def grammar(self, annotation: Annotation) -> Grammar:
        """One bracket of N points; one per part where parts are written apart."""
        separator = "<msep>" if self.codec.multipart == "separate" else ""
        return (Regions(2 * self.codec.num_points, separator, num_bins=self.codec.num_bins),)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """The masks of the text at the original size; a text without a mask is malformed."""
        masks, malformed = self.codec.parse_masks(text, size_of(annotation))
        return Prediction(text=text, masks=masks, malformed=malformed or not masks)

    def reference(self, annotation: Annotation) -> Reference:
        """The annotated mask, and what the codec makes of it for the paper-style score."""
        mask = self._mask(annotation)  # bool (H, W)
        redrawn, _ = self.codec.parse_masks(self.codec.mask_to_text(mask), mask.shape)
        ignored = annotation.extra.get("ignored")  # an RLE of ReasonSeg
        drawn = decode_segmentation(ignored, size_of(annotation)) if ignored else None
        return {"mask": mask, "target_mask": union_mask(redrawn, mask.shape), "ignored": drawn}

    def evaluator(self) -> Evaluator:
        """Overlap of masks at the original size."""
        return RESMetric()

    def baseline(self, annotations: Sequence[Annotation]) -> Iterable[Prediction]:
        """The true mask of a random referred object of the same image, one drawn after the other: masks are large."""
        rng = np.random.default_rng(0)
        objects: dict[str, dict[Box, int]] = defaultdict(dict)  # of each image, where each is first
        for index, a in enumerate(annotations):
            objects[a.images[0]].setdefault(a.boxes[0], index)
        for a in annotations:
            indices = list(objects[a.images[0]].values())
            chosen = annotations[indices[rng.integers(len(indices))]]
            yield Prediction(masks=[self._mask(chosen)])

    def _mask(self, annotation: Annotation) -> Mask:
        """The annotated mask, bool (H, W)."""
        return decode_segmentation(annotation.segmentations[0], size_of(annotation))
