"""Hateful Memes: is the meme hateful, yes or no?

    "Yes" with label 1 -> right; AUROC from P(yes) / (P(yes) + P(no)) at the first generated position

As facebookresearch/mmf `mmf/modules/metrics.py` @b0ffc7f. Some papers print AUROC in a column named accuracy: both are
logged. arXiv:2005.04790.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torchmetrics.functional.classification import binary_auroc

from vista.data import Prediction, Reference
from vista.metrics.evaluator import CorpusEvaluator, percent

_SCORE_OF = {True: 1.0, False: 0.0, None: 0.5}


def yes_share(scores: Mapping[str, float]) -> float | None:
    """P(yes) / (P(yes) + P(no)) from the probabilities `yes` and `no`; None where they are missing or no numbers."""
    yes = scores.get("yes", math.nan)
    no = scores.get("no", math.nan)
    if not (0 <= yes < math.inf and 0 <= no < math.inf):
        return None
    return yes / (yes + no) if yes + no else 0.5


def auroc(scores: Sequence[float], labels: Sequence[int]) -> float:
    """Area under the ROC curve, 0..100, ties counting one half; 0 with a warning where there is one class only."""
    if not labels:
        return 0.0
    preds = torch.tensor(scores, dtype=torch.float64)  # (N,)
    target = torch.tensor(labels, dtype=torch.long)  # (N,)
    return 100.0 * float(binary_auroc(preds, target))


class HatefulMemesMetric(CorpusEvaluator):
    """Accuracy and AUROC. Reference: `{"label": 0 | 1}`, 1 being hateful.

    Prediction: `decision` and, for `auroc`, `scores["yes"]` and `scores["no"]`, probabilities. Where no prediction has
    them the decision (1, 0, or 0.5 if there is none) gives `auroc_from_text`; where some have, the others count 0.5.
    Keys: `accuracy`, and `auroc` or `auroc_from_text`.
    """

    def __init__(self) -> None:
        super().__init__("right")

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """Whether the meme was judged right; an answer without a decision is wrong for either label."""
        decision = None if pred.malformed else pred.decision
        share = yes_share(pred.scores)
        # -1 stands for "no probabilities", so that records can be sorted.
        self.records.append(
            (int(ref["label"]), -1.0 if share is None else share, _SCORE_OF[decision])
        )
        return {
            "right": decision is not None and decision == bool(ref["label"]),
            "parse_failures": decision is None,
        }

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """The share of right decisions, and the ranking over the whole set."""
        records = self.gathered()
        labels = [label for label, _, _ in records]
        from_text = bool(records) and all(share < 0 for _, share, _ in records)
        if from_text:
            values = [text for _, _, text in records]
        else:
            values = [share if share >= 0 else 0.5 for _, share, _ in records]
        name = "auroc_from_text" if from_text else "auroc"
        return {"accuracy": percent(total["right"], total["n"]), name: auroc(values, labels)}
