"""LLaVA-Instruct: a conversation about an image.

    "What are the colors of the bus?" -> "The bus is white and red."  "Is it parked?" -> "No, it is ..."

https://llava-vl.github.io, arXiv:2304.08485. All answers are learned; the last one is asked for in evaluation.
"""

from collections.abc import Sequence

import numpy as np

from vista.data import Annotation, Prediction, Reference, Turns, neutralise
from vista.decoding.grammar import Grammar, Text
from vista.metrics.llava import LLaVAMetric
from vista.task import Task


class LLaVA(Task):
    """Questions to free answers, in several turns."""

    name = "llava"
    datasets = frozenset({"llava_instruct"})
    fields = frozenset({"question", "answers"})
    headline = "ROUGE_L"
    baseline_name = "-"

    def turns(self, annotation: Annotation, rng: np.random.Generator | None = None) -> Turns:
        """All turns; a template stands around the first question."""
        prompts = self.prompt(annotation, rng), *_later_questions(annotation)
        return tuple(zip(prompts, annotation.answers, strict=True))

    def question(self, annotation: Annotation, template: int = 0) -> Turns:
        """All turns but the last answer."""
        prompts = self.fill(self.templates[template], annotation), *_later_questions(annotation)
        return tuple(zip(prompts, (*annotation.answers[:-1], ""), strict=True))

    def target(self, annotation: Annotation) -> str:
        """The last answer."""
        return annotation.answers[-1]

    def grammar(self, annotation: Annotation) -> Grammar:
        """Any words."""
        return (Text(),)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """The text is the answer."""
        return Prediction(text=text, answer=" ".join(text.split()))

    def reference(self, annotation: Annotation) -> Reference:
        """The last answer."""
        return {"answer": annotation.answers[-1]}

    def evaluator(self) -> LLaVAMetric:
        """ROUGE_L."""
        return LLaVAMetric()

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        """Empty answers."""
        return [Prediction() for _ in annotations]


def _later_questions(annotation: Annotation) -> list[str]:
    return [neutralise(question) for question, _ in annotation.extra.get("turns", ())[1:]]
