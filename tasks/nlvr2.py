"""NLVR2: is a statement true of two images?

    "The left image contains a red circle." -> "That is True."

https://lil.nlp.cornell.edu/nlvr, arXiv:1811.00491.
"""

from collections.abc import Sequence

from vista.answers import first_word_decision
from vista.data import Annotation, Prediction, Reference
from vista.decoding.grammar import Choice, Grammar
from vista.metrics.nlvr2 import NLVR2Metric
from vista.task import Task, commonest

TRUE_WORDS, FALSE_WORDS = frozenset(("true", "yes")), frozenset(("false", "no"))


class NLVR2(Task):
    """Two images and a statement to true or false."""

    name = "nlvr2"
    datasets = frozenset({"nlvr2"})
    fields = frozenset({"expression", "label"})
    headline = "accuracy"
    baseline_name = "majority"
    multi_image = True

    def target(self, annotation: Annotation) -> str:
        """`That is True.` or `That is False.`."""
        return f"That is {annotation.label}."

    def grammar(self, annotation: Annotation) -> Grammar:
        """One of the two sentences."""
        return (Choice(("That is True.", "That is False.")),)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """The first word that decides."""
        # Other words than the grammar's count too: answers of other models are scored as well.
        decision = first_word_decision(text, TRUE_WORDS, FALSE_WORDS)
        answer = "" if decision is None else str(decision)
        return Prediction(text=text, answer=answer, decision=decision, malformed=decision is None)

    def reference(self, annotation: Annotation) -> Reference:
        """Label and identifier."""
        return {"label": annotation.label, "identifier": annotation.extra["identifier"]}

    def evaluator(self) -> NLVR2Metric:
        """Accuracy and consistency."""
        return NLVR2Metric()

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        """The commoner label."""
        label = commonest(a.label for a in annotations)
        return [self.parse(label, annotation) for annotation in annotations]
