"""TextVQA: a question whose answer must be read in the image.

    "What is the brand of this camera?" -> "dakota"

https://textvqa.org, arXiv:1904.08920. Never trained on.
"""

from collections.abc import Sequence

from tasks.vqav2 import VQAv2
from vista.data import Annotation, Prediction, Reference
from vista.metrics.textvqa import TextVQAMetric
from vista.task import commonest


class TextVQA(VQAv2):
    """Question to the most frequent answer."""

    name = "textvqa"
    datasets = frozenset({"textvqa"})
    baseline_name = "majority"

    def reference(self, annotation: Annotation) -> Reference:
        """Ten answers."""
        return {"answers": list(annotation.answers)}

    def evaluator(self) -> TextVQAMetric:
        """The soft accuracy of TextVQA."""
        return TextVQAMetric()

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        """The commonest answer."""
        label = commonest(a.label for a in annotations)
        return [Prediction(answer=label) for _ in annotations]
