"""Hateful Memes: is an image with words on it hateful?

    "The image says: love the way you smell today. Is it hateful?" -> "No"

https://hatefulmemeschallenge.com, arXiv:2005.04790. Never trained on.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from vista.answers import first_word_decision
from vista.data import Annotation, Prediction, Reference
from vista.decoding.grammar import Choice, Grammar
from vista.metrics.hateful_memes import HatefulMemesMetric
from vista.task import Task, commonest

ANSWERS = ("No", "Yes")
YES_WORDS, NO_WORDS = frozenset(("yes", "true", "hateful")), frozenset(("no", "not", "false"))


class HatefulMemes(Task):
    """Meme and its words to yes or no."""

    name = "hateful_memes"
    datasets = frozenset({"hateful_memes"})
    fields = frozenset({"expression", "label"})
    headline = "accuracy"
    baseline_name = "majority"
    score_words: ClassVar[Mapping[str, str]] = {"yes": "Yes", "no": "No"}

    def target(self, annotation: Annotation) -> str:
        """`Yes` or `No`."""
        return ANSWERS[int(annotation.label)]

    def grammar(self, annotation: Annotation) -> Grammar:
        """Yes or no."""
        return (Choice(ANSWERS),)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """The first word that decides."""
        decision = first_word_decision(text, YES_WORDS, NO_WORDS)
        answer = "" if decision is None else ANSWERS[decision]
        return Prediction(text=text, answer=answer, decision=decision, malformed=decision is None)

    def reference(self, annotation: Annotation) -> Reference:
        """1 for hateful, 0 for not."""
        return {"label": int(annotation.label)}

    def evaluator(self) -> HatefulMemesMetric:
        """Accuracy and AUROC."""
        return HatefulMemesMetric()

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        """The commoner label."""
        label = commonest(self.target(a) for a in annotations)
        return [self.parse(label, annotation) for annotation in annotations]
