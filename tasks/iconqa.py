"""IconQA: a question of primary school about a diagram, with some choices.

    "Is the number of fish even or odd? (A) even (B) odd" -> "odd"

https://iconqa.github.io, arXiv:2110.13214; choose_txt is what is reported. Never trained on.
"""

from collections.abc import Sequence

import numpy as np

from vista.answers import extract_answer
from vista.data import Annotation, InputError, Prediction, Reference, neutralise
from vista.decoding.grammar import Choice, Grammar, Text
from vista.metrics.iconqa import IconQAMetric, choose_option
from vista.task import Task, letter_options


class IconQA(Task):
    """Question and choices to one of them."""

    name = "iconqa"
    datasets = frozenset({"iconqa"})
    fields = frozenset({"question", "label"})
    headline = "accuracy"
    baseline_name = "1/choices"

    def regroup(self, annotations: Sequence[Annotation]) -> list[Annotation]:
        """The same; an error where there are no choices."""
        lacking = [a.id for a in annotations if not a.extra["choices"]]
        if lacking:
            raise InputError(f"task {self.name} needs choices, but problem {lacking[0]} has none")
        return list(annotations)

    def values(
        self, annotation: Annotation, rng: np.random.Generator | None = None
    ) -> dict[str, str]:
        """The choices with their letters."""
        return {"options": letter_options(self._choices(annotation))}

    def _choices(self, annotation: Annotation) -> list[str]:
        """Texts; the further images of choose_img are called by their number."""
        if len(annotation.images) > 1:
            return [f"image {k}" for k in range(2, len(annotation.images) + 1)]
        choices = annotation.extra.get("choices", ())
        return [neutralise(" ".join(choice.split())) for choice in choices]

    def target(self, annotation: Annotation) -> str:
        """The right choice."""
        return self._choices(annotation)[int(annotation.label)]

    def grammar(self, annotation: Annotation) -> Grammar:
        """One of the choices; any words where a person typed the question, who may have named them there."""
        choices = self._choices(annotation)
        if not choices:
            return (Text(),)
        return (Choice(tuple(choices)),)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """The choice that the text means."""
        choice = choose_option(text, self._choices(annotation))
        return Prediction(
            text=text, answer=extract_answer(text), choice=choice, malformed=choice is None
        )

    def reference(self, annotation: Annotation) -> Reference:
        """The right choice, and the skills that the problem needs."""
        return {"label": int(annotation.label), "skills": annotation.extra["skills"]}

    def evaluator(self) -> IconQAMetric:
        """Accuracy, by skill too."""
        return IconQAMetric()

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        """A random choice."""
        rng = np.random.default_rng(0)
        counts = [len(a.extra["choices"]) for a in annotations]
        return [Prediction(choice=int(rng.integers(count))) for count in counts]
