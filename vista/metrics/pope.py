"""POPE: "Is there a dog in the image?", read from the raw text.

    "No, there is no dog." -> no; "There isn't" -> yes; "" -> yes; "NO" -> yes

As RUCAIBox/POPE `evaluate.py` @3df3ba1: what does not hold the word `No`, `no` or `not` in its first sentence is a yes.
https://github.com/RUCAIBox/POPE, arXiv:2305.10355.
"""

from collections.abc import Mapping
from typing import Any

from vista.data import Prediction
from vista.metrics.evaluator import Evaluator, percent

_NO_WORDS = frozenset(("No", "not", "no"))


def says_yes(text: str) -> bool:
    """The official reading of a text.

    Args:
        text: the generated text, untouched: neither stripped nor in lower case.

    Returns:
        False where the part before the first full stop, without commas, holds `No`, `not` or `no` between blanks.
    """
    words = text.split(".")[0].replace(",", "").split(" ")
    return _NO_WORDS.isdisjoint(words)


class POPEMetric(Evaluator):
    """Accuracy, precision, recall, F1 (yes is the positive class) and the share of yes.

    Reference: `{"label": "yes" | "no"}`; prediction: `text`, raw. A malformed one (an unreadable sample) is wrong.
    Ratios without a denominator are 0. Keys: `accuracy`, `precision`, `recall`, `f1`, `yes_ratio`.
    """

    def __init__(self) -> None:
        super().__init__("tp", "fp", "tn", "fn")

    def sample(self, pred: Prediction, ref: Mapping[str, Any]) -> dict[str, float]:
        """One cell of the confusion table."""
        label = ref["label"].lower() != "no"
        yes = not label if pred.malformed else says_yes(pred.text)
        return {("tp" if label else "fp") if yes else ("fn" if label else "tn"): 1}

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """The ratios of the confusion table."""
        tp, fp, fn, n = total["tp"], total["fp"], total["fn"], total["n"]
        return {
            "accuracy": percent(tp + total["tn"], n),
            "precision": percent(tp, tp + fp),
            "recall": percent(tp, tp + fn),
            "f1": percent(2 * tp, 2 * tp + fp + fn),
            "yes_ratio": percent(tp + fp, n),
        }
