"""REC: one box for an expression, right where IoU > 0.5.

    predicted [0, 0, 10, 10], true [0, 0, 10, 5] -> IoU 0.5 -> wrong: the paper asks for "larger than 0.5"

Strict, as shikras/shikra `mllm/dataset/single_image_dataset/rec.py` @ff79a4c. SeqTR, PolyFormer and Ferret take >= 0.5,
MDETR's evaluator GIoU >= 0.5. https://github.com/lichengunc/refer

Where some expressions fit nothing (GroundingME), no box is right there, with an IoU of 1, as in
lirang04/GroundingME `evaluate.py`; `n_acc` is the share of them that is refused, as in GREC.
"""

from collections.abc import Mapping, Sequence

from vista.boxes import box_iou
from vista.data import Box, Prediction, Reference
from vista.metrics.evaluator import Evaluator, percent


def rec_iou(boxes: Sequence[Box], truth: Box) -> float:
    """IoU of the one predicted box (xyxy, pixels), 0..1; 0 unless there is exactly one."""
    if len(boxes) != 1:
        return 0.0
    return box_iou(boxes[0], truth)


class RECMetric(Evaluator):
    """Precision at 0.5 and mean IoU. Reference: `{"boxes": [xyxy]}`, none for an expression that fits nothing.

    Prediction: `boxes`, pixels; none and not malformed means "there is no such object". Keys: `pr50`, `mean_iou`, and
    `n_acc` where there are expressions that fit nothing.
    """

    def __init__(self) -> None:
        super().__init__("iou", "above_50", "empty", "empty_right")

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """The IoU of one expression."""
        if not ref["boxes"]:
            right = float(not pred.malformed and not pred.boxes)
            return {"iou": right, "above_50": right, "empty": 1, "empty_right": right}
        # More boxes than one are no answer to "which one": they earn nothing, whichever is right.
        iou = 0.0 if pred.malformed else rec_iou(pred.boxes, ref["boxes"][0])
        return {"iou": iou, "above_50": float(iou > 0.5)}

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """Means over all expressions."""
        n = total["n"]
        scores = {
            "pr50": percent(total["above_50"], n),
            "mean_iou": percent(total["iou"], n),
        }
        if total["empty"]:
            scores["n_acc"] = percent(total["empty_right"], total["empty"])
        return scores
