"""VCR: which of four answers is right, and which of four reasons for it?

    "Why is person [104, 250, 396, 541] smiling? (A) ... (D) ..." -> "The answer is (B)."

Every question is asked twice: for the answer, and, with the true answer shown, for the reason. Persons and things are
written as their class name and box. https://visualcommonsense.com, arXiv:1811.10830.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from vista.answers import extract_letter
from vista.data import Annotation, Prediction, Reference, size_of
from vista.decoding.grammar import Choice, Grammar
from vista.metrics.vcr import MODES, VCRMetric
from vista.task import Task, letter_options

ANSWERS = tuple(f"The answer is ({letter})." for letter in "ABCD")
_MENTION = re.compile(r"<(\d+)>")


class VCR(Task):
    """Question to one of four options."""

    name = "vcr"
    datasets = frozenset({"vcr"})
    fields = frozenset({"question", "boxes", "sizes", "label"})
    headline = "q_ar"
    baseline_name = "chance, 1/16"

    def regroup(self, annotations: Sequence[Annotation]) -> list[Annotation]:
        """Every question twice, `extra["mode"]` being `q_a` and `qa_r`."""
        # The id must differ: answers in files are found by it.
        asked_twice = []
        for a, mode in product(annotations, MODES):
            asked_twice.append(replace(a, id=f"{a.id}_{mode}", extra=a.extra | {"mode": mode}))
        return asked_twice

    def values(
        self, annotation: Annotation, rng: np.random.Generator | None = None
    ) -> dict[str, str]:
        """The question, with the true answer where the reason is asked for; and four options."""
        if "marked" not in annotation.extra:
            return {}  # a person typed question and options
        marked = annotation.extra["marked"]
        question, options = marked["question"], marked["answer_choices"]
        if annotation.extra["mode"] == "qa_r":
            question += f" The answer is: {options[annotation.extra['answer_label']]} Why?"
            options = marked["rationale_choices"]
        values = {"question": question, "options": letter_options(options)}
        return {mark: self._name(text, annotation) for mark, text in values.items()}

    def _name(self, text: str, annotation: Annotation) -> str:
        """A text with `<k>` replaced by the class name and the box of object k."""
        size, objects = size_of(annotation), annotation.extra["objects"]
        named = {}  # 0 -> "person [104, 250, 396, 541]"
        for k, (name, box) in enumerate(zip(objects, annotation.boxes, strict=True)):
            named[k] = f"{name} {self.codec.box_to_text(box, size)}"
        return _MENTION.sub(lambda mention: named.get(int(mention[1]), mention[0]), text)

    def target(self, annotation: Annotation) -> str:
        """`The answer is (B).`."""
        return ANSWERS[self._label(annotation)]

    def _label(self, annotation: Annotation) -> int:
        key = "answer_label" if annotation.extra["mode"] == "q_a" else "rationale_label"
        return int(annotation.extra[key])

    def grammar(self, annotation: Annotation) -> Grammar:
        """One of the four sentences."""
        return (Choice(ANSWERS),)

    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """The letter."""
        choice = extract_letter(text, len(ANSWERS))
        return Prediction(text=text, choice=choice, malformed=choice is None)

    def reference(self, annotation: Annotation) -> Reference:
        """Question, mode and right option."""
        extra = annotation.extra
        return {
            "annot_id": extra["annot_id"],
            "mode": extra["mode"],
            "label": self._label(annotation),
        }

    def evaluator(self) -> VCRMetric:
        """Accuracy of answers, of reasons and of both."""
        return VCRMetric()

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        """A random option."""
        choices = np.random.default_rng(0).integers(len(ANSWERS), size=len(annotations))
        return [Prediction(choice=choice) for choice in choices.tolist()]
