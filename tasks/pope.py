"""POPE: is there such an object in the image? Half of the objects are made up.

    "Is there a bird in the image?" -> "Yes"

https://github.com/RUCAIBox/POPE, arXiv:2305.10355. Never trained on.
"""

from collections.abc import Sequence

from vista.answers import says_yes
from vista.data import Annotation, Prediction, Reference
from vista.decoding.grammar import Choice, Grammar
from vista.metrics.pope import POPEMetric
from vista.task import Task


class POPE(Task):
    """Question to yes or no."""

    name = "pope"
    datasets = frozenset({"pope"})
    fields = frozenset({"question", "label"})
    headline = "f1"
    rewarded = "accuracy"
    baseline_name = "all yes"

    def target(self, annotation: Annotation) -> str:
        """`Yes` or `No`."""
        return annotation.label.capitalize()

    def grammar(self, annotation: Annotation) -> Grammar:
        """Yes or no, in small letters too: a model that is never trained on POPE knows them from VQAv2 as these."""
        return (Choice(("Yes", "No", "yes", "no")),)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """What does not say no is a yes, as in the official script."""
        decision = says_yes(text)
        return Prediction(text=text, answer="yes" if decision else "no", decision=decision)

    def reference(self, annotation: Annotation) -> Reference:
        """Yes or no."""
        return {"label": annotation.label}

    def evaluator(self) -> POPEMetric:
        """F1 of yes, accuracy, and the share of yes."""
        return POPEMetric()

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        """Always yes."""
        return [self.parse("Yes", annotation) for annotation in annotations]
