"""GREC: the boxes of all objects that an expression names, or none.

    two targets, both matched, no third box -> right; "the dragon" with no target and no box -> right

As henghuiding/gRefCOCO `mdetr/datasets/refexp.py` @41a8f00: pairs are matched by GIoU >= 0.5, although the paper writes
IoU. A sample counts only if its F1 is 1. https://henghuiding.github.io/GRES, arXiv:2308.16182.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from vista.data import Box, Prediction, Reference
from vista.metrics.evaluator import Evaluator, percent
from vista.metrics.overlap import box_giou

MATCH_GIOU = 0.5


def match_boxes(boxes: Sequence[Box], truth: Sequence[Box]) -> int:
    """Pairs of boxes, greedily by falling GIoU, each box in one pair at most.

    Args:
        boxes: predicted boxes, xyxy in pixels.
        truth: true boxes, likewise.

    Returns:
        number of pairs with GIoU >= 0.5.
    """
    if not boxes or not truth:
        return 0
    giou = np.empty((len(boxes), len(truth)))
    for row, column in np.ndindex(giou.shape):
        giou[row, column] = box_giou(boxes[row], truth[column])
    pairs = 0
    while giou.max() >= MATCH_GIOU:
        best_row, best_column = np.unravel_index(giou.argmax(), giou.shape)
        giou[best_row, :] = giou[:, best_column] = -np.inf  # both boxes are taken
        pairs += 1
    return pairs


def f1_score(boxes: Sequence[Box], truth: Sequence[Box]) -> float:
    """2TP / (2TP + FP + FN) = 2TP / (boxes + targets), 0..1, of one sample with targets."""
    return 2 * match_boxes(boxes, truth) / (len(boxes) + len(truth))


class GRECMetric(Evaluator):
    """Precision at F1 = 1 and no-target accuracy. Reference: `{"boxes": [xyxy, ...]}`, none for a no-target sample.

    Prediction: `boxes`, pixels; none and not malformed means "there is no target". Keys: `pr_f1`, `n_acc`, `t_acc`.
    """

    def __init__(self) -> None:
        super().__init__("right", "empty", "empty_right", "filled", "filled_found")

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """Whether all boxes of one sample are right; a malformed answer never is."""
        if not ref["boxes"]:
            right = not pred.malformed and not pred.boxes
            return {"right": right, "empty": 1, "empty_right": right}
        # A malformed answer claims neither that there is a target nor that there is none.
        found = not pred.malformed and bool(pred.boxes)
        right = found and f1_score(pred.boxes, ref["boxes"]) == 1
        return {"right": right, "filled": 1, "filled_found": found}

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """Shares of all samples, of those without and of those with targets."""
        return {
            "pr_f1": percent(total["right"], total["n"]),
            "n_acc": percent(total["empty_right"], total["empty"]),
            "t_acc": percent(total["filled_found"], total["filled"]),
        }
