"""VCR: four answers (Q -> A), four rationales (QA -> R), and both right (Q -> AR).

    "The answer is (B)." with label 1 -> right

As rowanz/r2c `models/eval_q2ar.py` @77813d9. The rationale is asked for with the true answer in the question.
https://visualcommonsense.com
"""

import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping

from vista.data import Prediction, Reference
from vista.metrics.evaluator import CorpusEvaluator, percent

MODES = ("q_a", "qa_r")


def joint_accuracy(results: Iterable[tuple[str, str, bool]]) -> tuple[float, int]:
    """Share of questions with a right answer and a right rationale.

    Args:
        results: (question, mode, right) per generation, the mode being `q_a` or `qa_r`.

    Returns:
        0..100, and the number of questions that lack one of the two and are left out.
    """
    questions: dict[str, dict[str, bool]] = defaultdict(dict)
    for question, mode, right in results:
        questions[question][mode] = right
    # A question whose other half was not asked, as in a part of the file, is left out.
    whole = [all(modes.values()) for modes in questions.values() if len(modes) == len(MODES)]
    return percent(sum(whole), len(whole)), len(questions) - len(whole)


class VCRMetric(CorpusEvaluator):
    """Accuracy of answers, of rationales and of both. Prediction: `choice`, an index; None is wrong.

    Reference: `{"annot_id": str, "mode": "q_a" | "qa_r", "label": int}`, two records per question. Keys: `q_a`, `qa_r`,
    `q_ar`.
    """

    def __init__(self) -> None:
        super().__init__(*(f"right_{mode}" for mode in MODES), *(f"n_{mode}" for mode in MODES))

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """Whether one letter is right."""
        mode = ref["mode"]
        if mode not in MODES:
            raise ValueError(f"VCR's mode is one of {MODES}, not {mode!r}")
        choice = None if pred.malformed else pred.choice
        right = choice is not None and choice == ref["label"]
        self.records.append((str(ref["annot_id"]), mode, right))
        return {f"right_{mode}": right, f"n_{mode}": 1, "parse_failures": choice is None}

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """Shares of the answers, of the rationales and of the questions."""
        joint, halves = joint_accuracy(self.gathered())
        if halves:
            warnings.warn(
                f"{halves} VCR questions have only one of answer and rationale: not in q_ar",
                stacklevel=2,
            )
        single = {mode: percent(total[f"right_{mode}"], total[f"n_{mode}"]) for mode in MODES}
        return single | {"q_ar": joint}
