"""VCR: four answers (Q -> A), four rationales (QA -> R), and both right (Q -> AR).

    "The answer is (B)." with label 1 -> right

As rowanz/r2c `models/eval_q2ar.py` @77813d9. The rationale is asked for with the true answer in the question.
https://visualcommonsense.com
"""

import csv
import io
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from vista.data import Prediction, Reference
from vista.metrics.evaluator import CorpusEvaluator, percent

MODES = ("q_a", "qa_r")
# Where answers are hidden: the mode -> the answer that is shown when its rationale is asked for.
HIDDEN_MODES = {"q_a": None} | {f"qa_r_a{k}": k for k in range(4)}


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


def leaderboard(results: Iterable[tuple[str, str, Sequence[float]]]) -> str:
    """The file that the leaderboard takes for the test split, whose answers are hidden.

    Its columns are stated in rowanz/r2c `models/README.md`, "Submitting to the leaderboard": `annot_id`, `answer_0` to
    `answer_3`, `rationale_conditioned_on_a0_0` to `rationale_conditioned_on_a3_3`.

    Args:
        results: (question, mode, probabilities of the four options) per generation, the mode being one of
            `HIDDEN_MODES`. What is missing of a question is filled by equal probabilities.

    Returns:
        CSV with one row a question, in order of first occurrence.
    """
    names = ["answer", *(f"rationale_conditioned_on_a{k}" for k in range(4))]
    header = ["annot_id"]
    for name in names:
        header += [f"{name}_{k}" for k in range(4)]
    questions: dict[str, dict[str, Sequence[float]]] = defaultdict(dict)
    for question, mode, probabilities in results:
        questions[question][mode] = probabilities
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    for question, modes in questions.items():
        columns = [modes.get(mode, (0.25,) * 4) for mode in HIDDEN_MODES]
        table.writerow([question, *(f"{p:.6g}" for p in chain.from_iterable(columns))])
    return text.getvalue()


class VCRMetric(CorpusEvaluator):
    """Accuracy of answers, of rationales and of both. Prediction: `choice`, an index; None is wrong.

    Reference: `{"annot_id": str, "mode": "q_a" | "qa_r", "label": int}`, two records per question. Keys: `q_a`, `qa_r`,
    `q_ar`.
    """

    def __init__(self) -> None:
        right = [f"right_{mode}" for mode in MODES]
        counts = [f"n_{mode}" for mode in MODES]
        super().__init__(*right, *counts)

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """Whether one letter is right."""
        mode = ref["mode"]
        if mode not in MODES:
            raise ValueError(f"VCR's mode is one of {MODES}, not {mode!r}")
        choice = None if pred.malformed else pred.choice
        right = choice is not None and choice == ref["label"]
        self.records.append((str(ref["annot_id"]), mode, right))
        return {
            f"right_{mode}": right,
            f"n_{mode}": 1,
            "parse_failures": choice is None,
        }

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
