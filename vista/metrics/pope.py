"""POPE: "Is there a dog in the image?", yes or no.

    10 of 20 with a dog and 5 of 20 without one are answered by yes -> precision 66.7, recall 50, F1 57.1

As RUCAIBox/POPE `evaluate.py` @3df3ba1; how it reads a text is `vista.answers.says_yes`.
https://github.com/RUCAIBox/POPE, arXiv:2305.10355.
"""

from collections.abc import Mapping

from vista.data import Prediction, Reference
from vista.metrics.evaluator import Evaluator, percent

# (the answer is yes, the label is yes) -> a cell of the confusion table
CELLS = {
    (True, True): "tp",
    (True, False): "fp",
    (False, True): "fn",
    (False, False): "tn",
}


class POPEMetric(Evaluator):
    """Accuracy, precision, recall, F1 (yes is the positive class) and the share of yes.

    Reference: `{"label": "yes" | "no"}`; prediction: `decision`. One without it, or a malformed one, is wrong. Ratios
    without a denominator are 0. Keys: `accuracy`, `precision`, `recall`, `f1`, `yes_ratio`.
    """

    def __init__(self) -> None:
        super().__init__("tp", "fp", "tn", "fn")

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """One cell of the confusion table."""
        label = ref["label"].lower() != "no"
        undecided = pred.malformed or pred.decision is None
        yes = not label if undecided else bool(pred.decision)
        return {CELLS[yes, label]: 1, "parse_failures": undecided}

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """The ratios of the confusion table."""
        tp = total["tp"]
        fp = total["fp"]
        fn = total["fn"]
        n = total["n"]
        return {
            "accuracy": percent(tp + total["tn"], n),
            "precision": percent(tp, tp + fp),
            "recall": percent(tp, tp + fn),
            "f1": percent(2 * tp, 2 * tp + fp + fn),
            "yes_ratio": percent(tp + fp, n),
        }
