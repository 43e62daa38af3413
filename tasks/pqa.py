"""PQA: a question about the object at a point.

    "Look at [250, 396]. How many of these are there?" -> "The answer is 4."

LookTwice-QA and LocalQA, https://github.com/princetonvisualai/pointingqa, arXiv:2011.13681. In training the object is
given by a point, a box or a mask.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from vista.answers import extract_answer
from vista.codec.regions import Kind, region_text
from vista.data import Annotation, Prediction, Reference
from vista.decoding.grammar import Grammar, Literal, Text
from vista.metrics.counting import PointingQAMetric
from vista.task import Task, commonest


class PQA(Task):
    """Question and point to a word or a number."""

    name = "pqa"
    datasets = frozenset({"looktwice", "localqa"})
    fields = frozenset({"question", "boxes", "sizes", "label"})
    headline = "accuracy_any"
    rewarded = "accuracy"
    baseline_name = "majority"
    max_new_tokens = 32
    kind: ClassVar[Kind] = "point"

    def values(
        self, annotation: Annotation, rng: np.random.Generator | None = None
    ) -> dict[str, str]:
        """The object."""
        return {"objs": region_text(annotation, self.codec, self.kind, rng)}

    def target(self, annotation: Annotation) -> str:
        """`The answer is 4.`."""
        return f"The answer is {annotation.label}."

    def grammar(self, annotation: Annotation) -> Grammar:
        """A sentence that ends in any words."""
        return Literal("The answer is"), Text()

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """What follows `The answer is`, else the whole text."""
        return Prediction(text=text, answer=extract_answer(text))

    def reference(self, annotation: Annotation) -> Reference:
        """The answer and how general the question is."""
        return {"answer": annotation.label, "granularity": annotation.extra.get("granularity", "")}

    def evaluator(self) -> PointingQAMetric:
        """Accuracy by granularity."""
        return PointingQAMetric()

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        """The commonest answer."""
        label = commonest(a.label for a in annotations)
        return [Prediction(answer=label) for _ in annotations]
