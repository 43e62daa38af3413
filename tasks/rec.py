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
        """`[x0, y0, x1, y1]`."""
        return self.codec.box_to_text(annotation.boxes[0], size_of(annotation))

    def grammar(self, annotation: Annotation) -> Grammar:
        """One bracket of four numbers."""
        return (Regions(numbers=4, num_bins=self.codec.num_bins),)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """The boxes of the text, xyxy in pixels."""
        boxes, malformed = self.codec.parse_boxes(text, size_of(annotation))
        return Prediction(text=text, boxes=boxes, malformed=malformed or len(boxes) != 1)

    def reference(self, annotation: Annotation) -> Reference:
        """The annotated box."""
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
            if a.boxes[0] not in boxes[a.images[0]]:
                boxes[a.images[0]].append(a.boxes[0])
        predictions = []
        for a in annotations:
            objects = boxes[a.images[0]]
            predictions.append(Prediction(boxes=[objects[rng.integers(len(objects))]]))
        return predictions
