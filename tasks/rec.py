"""REC: the box of the object that an expression names.

    "the red circle on the left" -> "[104, 250, 396, 541]"

RefCOCO, RefCOCO+ (arXiv:1608.00272) and RefCOCOg (arXiv:1511.02283), https://github.com/lichengunc/refer.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from vista.data import Annotation, Box, Prediction, Reference, size_of
from vista.decoding.grammar import Grammar, Regions
from vista.metrics.evaluator import Evaluator
from vista.metrics.rec import RECMetric
from vista.task import Task


class REC(Task):
    """Expression to one box."""

    name = "rec"
    datasets = frozenset({"refcoco", "refcocop", "refcocog"})
    fields = frozenset({"expression", "boxes", "sizes"})
    headline = "pr50"
    rewarded = "mean_iou"
    baseline_name = "a random object's true box"

    def target(self, annotation: Annotation) -> str:
        """`[x0, y0, x1, y1]`; empty for an expression that fits nothing."""
        return self.codec.boxes_to_text(annotation.boxes[:1], size_of(annotation))

    def grammar(self, annotation: Annotation) -> Grammar:
        """One bracket of four numbers; none, too, where the data set has expressions that fit nothing."""
        none = may_be_none(annotation)
        return (Regions(numbers=4, none=none, num_bins=self.codec.num_bins),)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """The boxes of the text, xyxy in pixels; words without coordinates mean none where that is an answer."""
        boxes, malformed = self.codec.parse_boxes(text, size_of(annotation))
        one = len(boxes) == 1 or (not boxes and may_be_none(annotation))
        return Prediction(text=text, boxes=boxes, malformed=malformed or not one)

    def reference(self, annotation: Annotation) -> Reference:
        """The annotated box, or none."""
        return {"boxes": list(annotation.boxes)}

    def evaluator(self) -> Evaluator:
        """Share of boxes with IoU over one half."""
        return RECMetric()

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        """The true box of a random referred object of the same image."""
        rng = np.random.default_rng(0)
        boxes: dict[str, list[Box]] = defaultdict(list)  # of each image, in the order of the file
        for a in annotations:
            # Several expressions name one object.
            boxes[a.images[0]] += [box for box in a.boxes[:1] if box not in boxes[a.images[0]]]
        predictions = []
        for a in annotations:
            objects = boxes[a.images[0]]
            chosen = [objects[rng.integers(len(objects))]] if objects else []
            predictions.append(Prediction(boxes=chosen))
        return predictions


def may_be_none(annotation: Annotation) -> bool:
    """Whether an annotation is of a data set in which some expressions fit nothing, so that no box is an answer."""
    return bool(annotation.extra.get("may_be_none"))
