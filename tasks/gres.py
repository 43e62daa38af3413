"""GRES: the masks of all objects that an expression names, or none.

    "both dogs" -> "[104, 250, ..., 98, 301] <msep> [577, 231, ..., 560, 240]"; "the dragon" -> ""

gRefCOCO, https://github.com/henghuiding/gRefCOCO, arXiv:2306.00968.
"""

from collections.abc import Sequence

from tasks.res import RES
from vista.data import Annotation, Mask, Prediction, Reference, size_of
from vista.decoding.grammar import Grammar, Regions
from vista.geometry import decode_segmentation
from vista.metrics.evaluator import Evaluator
from vista.metrics.gres import GRESMetric


class GRES(RES):
    """Expression to any number of masks."""

    name = "gres"
    datasets = frozenset({"grefcoco"})
    headline = "gIoU"
    baseline_name = "always none"
    any_number = True
    max_new_tokens = 1536  # eight masks of 32 points

    def target(self, annotation: Annotation) -> str:
        """Masks joined by ` <msep> `; none: empty."""
        # Sorted: a set of masks has no order of its own, and one that is not fixed cannot be learned.
        return self.codec.masks_to_text(self._masks(annotation), sort=True)

    def grammar(self, annotation: Annotation) -> Grammar:
        """Any number of masks."""
        numbers = 2 * self.codec.num_points
        return (Regions(numbers, separator="<msep>", none=True, num_bins=self.codec.num_bins),)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """The masks of the text at the original size; words without coordinates mean that there is none."""
        masks, malformed = self.codec.parse_masks(text, size_of(annotation))
        return Prediction(text=text, masks=masks, malformed=malformed)

    def reference(self, annotation: Annotation) -> Reference:
        """The annotated masks, and what the codec makes of them for the paper-style score."""
        redrawn = self.codec.parse_masks(self.target(annotation), size_of(annotation))[0]
        return {"masks": self._masks(annotation), "target_masks": redrawn}

    def evaluator(self) -> Evaluator:
        """Overlap of the union of masks, and how often "none" is right."""
        return GRESMetric()

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        """No mask at all."""
        return [Prediction() for _ in annotations]

    def _masks(self, annotation: Annotation) -> list[Mask]:
        return [
            decode_segmentation(segmentation, size_of(annotation))
            for segmentation in annotation.segmentations
        ]
