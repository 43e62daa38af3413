"""VQAv2: an answer against ten human answers, `two` being `2` and `the dog` being `dog`.

    4 of 10 people say "dog": "dog" -> 100; 3 -> 90; 2 -> 60; 1 -> 30; 0 -> 0

As GT-Vision-Lab/VQA `PythonEvaluationTools/vqaEvaluation/vqaEval.py` @a013f00: each person is left out in turn and the
answer needs three of the other nine. Two quirks are kept: with ten equal references nothing is normalised, and a mark
of punctuation is deleted or becomes a space depending on the whole string. https://visualqa.org/evaluation.html
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from vista.data import Prediction, Reference
from vista.metrics.contractions import CONTRACTIONS
from vista.metrics.evaluator import Evaluator, percent

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA_DIGIT = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBERS)}
_ARTICLES = frozenset(("a", "an", "the"))
ANSWER_TYPES = {"yes/no": "yes_no", "number": "number", "other": "other"}


def strip_spaces(text: str) -> str:
    """Newline and tab become a space; no spaces at the ends."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def normalize(text: str) -> str:
    """The official normal form of an answer: punctuation, then number words, articles and contractions.

    Args:
        text: an answer, e.g. `"The two dogs!"`.

    Returns:
        lower-case words joined by one space, e.g. `"2 dogs"`; may be empty.
    """
    words = []
    for word in strip_punctuation(text).lower().split():
        word = _DIGITS.get(word, word)
        if word not in _ARTICLES:
            words.append(CONTRACTIONS.get(word, word))
    return " ".join(words)


def strip_punctuation(text: str) -> str:
    """Delete marks or turn them into spaces, by their neighbours in the original text.

    A mark that stands beside a space anywhere in the text, or any mark in a text with a number like `1,000`, is deleted
    wherever it occurs; else it becomes a space. A full stop goes unless a digit follows.
    """
    out = text
    grouped = _DIGIT_COMMA_DIGIT.search(text) is not None
    for mark in _MARKS:
        beside_space = f"{mark} " in text or f" {mark}" in text
        replacement = "" if beside_space or grouped else " "
        out = out.replace(mark, replacement)
    return _PERIOD.sub("", out)


def soft_score(answer: str, references: Sequence[str]) -> float:
    """Mean over the references, each left out in turn, of min(1, matches among the others / 3).

    Args:
        answer: the predicted answer, compared as it is.
        references: the human answers, as they are.

    Returns:
        0..1; with ten references 0, 0.3, 0.6, 0.9 or 1.
    """
    matches = sum(reference == answer for reference in references)
    # Each person is left out in turn: how many of the others gave this answer.
    among_others = [matches - (reference == answer) for reference in references]
    scores = [min(1.0, others / 3) for others in among_others]
    return sum(scores) / len(references)


def vqa_accuracy(answer: str, references: Sequence[str]) -> float:
    """The official accuracy of one answer, 0..1; normalises only where the references differ."""
    answer = strip_spaces(answer)
    references = [strip_spaces(reference) for reference in references]
    # The official script leaves answers on which all ten agree as they are.
    if len(set(references)) > 1:
        answer = normalize(answer)
        references = [normalize(reference) for reference in references]
    return soft_score(answer, references)


def evalai_results(
    question_ids: Sequence[int],
    preds: Sequence[Prediction],
) -> list[dict[str, Any]]:
    """The rows of the result file for splits with hidden answers (test-dev, test-std).

    Args:
        question_ids: official ids.
        preds: parsed answers in the same order.

    Returns:
        `[{"question_id": int, "answer": str}, ...]`.
    """
    pairs = zip(question_ids, preds, strict=True)
    return [{"question_id": int(number), "answer": pred.answer} for number, pred in pairs]


class VQAMetric(Evaluator):
    """VQA accuracy. Reference: `{"answers": [10 str], "answer_type": str}`; prediction: `answer`.

    Keys: `accuracy`, `accuracy_yes_no`, `accuracy_number`, `accuracy_other`. A question without answers is not scored.
    """

    def __init__(self) -> None:
        kinds = ANSWER_TYPES.values()
        right = [f"right_{kind}" for kind in kinds]
        counts = [f"n_{kind}" for kind in kinds]
        super().__init__("right", *right, *counts)

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """The accuracy of one question, beside that of its answer type."""
        if not ref["answers"]:
            return {"n": 0, "parse_failures": 0}
        right = 0.0 if pred.malformed else vqa_accuracy(pred.answer, ref["answers"])
        added = {"right": right}
        kind = ANSWER_TYPES.get(ref.get("answer_type", ""))
        if kind:
            added[f"right_{kind}"] = right
            added[f"n_{kind}"] = 1
        return added

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """Means over all questions and over those of each answer type."""
        scores = {"accuracy": percent(total["right"], total["n"])}
        for kind in ANSWER_TYPES.values():
            scores[f"accuracy_{kind}"] = percent(total[f"right_{kind}"], total[f"n_{kind}"])
        return scores
