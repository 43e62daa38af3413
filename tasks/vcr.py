"""VCR: which of four answers is right, and which of four reasons for it?

    "Why is person [104, 250, 396, 541] smiling? (A) ... (D) ..." -> "The answer is (B)."

Every question is asked twice: for the answer, and, with the true answer shown, for the reason; where the true answer is
hidden, for the reason of each of the four. Persons and things are written as their class name and box.
https://visualcommonsense.com, arXiv:1811.10830.
"""

import re
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import replace

import numpy as np

from vista.answers import extract_letter
from vista.data import Annotation, Prediction, Reference, size_of
from vista.decoding.grammar import Choice, Grammar
from vista.metrics.vcr import HIDDEN_MODES, MODES, VCRMetric, leaderboard
from vista.task import Task, letter_options

ANSWERS = tuple(f"The answer is ({letter})." for letter in "ABCD")
_MENTION = re.compile(r"<(\d+)>")


class VCR(Task):
    """Question to one of four options."""

    name = "vcr"
    datasets = frozenset({"vcr"})
    fields = frozenset({"question", "boxes", "sizes", "label"})
    answer_fields = frozenset({"label"})
    headline = "q_ar"
    baseline_name = "chance, 1/16"

    def regroup(self, annotations: Sequence[Annotation]) -> list[Annotation]:
        """Every question twice, `extra["mode"]` being `q_a` and `qa_r`; with a hidden answer five times."""
        # The id must differ: answers in files are found by it.
        asked: list[Annotation] = []
        for a in annotations:
            for mode in MODES if a.label else HIDDEN_MODES:
                asked.append(replace(a, id=f"{a.id}_{mode}", extra=a.extra | {"mode": mode}))
        return asked

    def values(
        self, annotation: Annotation, rng: np.random.Generator | None = None
    ) -> dict[str, str]:
        """The question, with an answer, the true one if it is known, where the reason is asked for; four options."""
        if "marked" not in annotation.extra:
            return {}  # a person typed question and options
        marked = annotation.extra["marked"]
        question, options = marked["question"], marked["answer_choices"]
        mode = annotation.extra["mode"]
        if mode != "q_a":
            given = HIDDEN_MODES.get(mode, annotation.extra.get("answer_label"))
            question += f" The answer is: {options[given]} Why?"
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

    def with_hidden_answers(self) -> "VCR":
        """The leaderboard takes the probabilities of all options."""
        task = copy(self)
        task.score_words = dict(zip(ANSWERS, ANSWERS, strict=True))  # type: ignore[misc]
        return task

    def submission(self, answers: Iterable[tuple[Annotation, Prediction]]) -> tuple[str, str]:
        """The leaderboard's table of probabilities."""
        rows = []
        for annotation, prediction in answers:
            extra = annotation.extra
            rows.append((extra["annot_id"], extra["mode"], _probabilities(prediction)))
        return ".csv", leaderboard(rows)

    def evaluator(self) -> VCRMetric:
        """Accuracy of answers, of reasons and of both."""
        return VCRMetric()

    def reward(self, prediction: Prediction, reference: Reference) -> float:
        """1 for the right letter: of one half of a question."""
        return float(not prediction.malformed and prediction.choice == reference["label"])

    def baseline(self, annotations: Sequence[Annotation]) -> list[Prediction]:
        """A random option."""
        choices = np.random.default_rng(0).integers(len(ANSWERS), size=len(annotations))
        return [Prediction(choice=choice) for choice in choices.tolist()]


def _probabilities(prediction: Prediction) -> list[float]:
    """Of the four options: the model's, else all for the chosen one, else (an unreadable image) alike."""
    if all(answer in prediction.scores for answer in ANSWERS):
        return [prediction.scores[answer] for answer in ANSWERS]
    if prediction.choice is None:
        return [1 / len(ANSWERS)] * len(ANSWERS)
    return [float(k == prediction.choice) for k in range(len(ANSWERS))]
