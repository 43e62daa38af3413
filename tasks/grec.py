"""GREC: the boxes of all objects that an expression names, or none.

    "both dogs" -> "[104, 250, 396, 541] <bsep> [577, 231, 802, 560]"; "the dragon" -> ""

gRefCOCO, https://github.com/henghuiding/gRefCOCO, arXiv:2308.16182.
"""

from collections.abc import Sequence

from tasks.rec import REC
from vista.data import Annotation, Prediction, Reference, size_of
from vista.decoding.grammar import Grammar, Regions
from vista.metrics.evaluator import Evaluator
from vista.metrics.grec import GRECMetric, f1_score


class GREC(REC):
    """Expression to any number of boxes."""

    name = "grec"
    datasets = frozenset({"grefcoco"})
    headline = "pr_f1"
    baseline_name = "always none"
    any_number = True

    def target(self, annotation: Annotation) -> str:
        """Boxes joined by ` <bsep> `; none: empty."""
        return self.codec.boxes_to_text(annotation.boxes, size_of(annotation))

    def grammar(self, annotation: Annotation) -> Grammar:
        """Any number of boxes."""
        return (Regions(numbers=4, separator="<bsep>", none=True, num_bins=self.codec.num_bins),)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """The boxes of the text, xyxy in pixels; words without coordinates mean that there is none."""
        boxes, malformed = self.codec.parse_boxes(text, size_of(annotation))
        return Prediction(text=text, boxes=boxes, malformed=malformed)

    def reference(self, annotation: Annotation) -> Reference:
        """The annotated boxes."""
        return {"boxes": list(annotation.boxes)}

    def reward(self, prediction: Prediction, reference: Reference) -> float:
        """F1 of the boxes; "none" is right or wrong."""
        boxes, truth = prediction.boxes, reference["boxes"]
        if prediction.malformed:
            return 0.0
        return f1_score(boxes, truth) if boxes and truth else float(not boxes and not truth)

    def evaluator(self) -> Evaluator:
        """Share of expressions whose boxes are all right."""
        return GRECMetric()

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        """No box at all."""
        return [Prediction() for _ in annotations]
