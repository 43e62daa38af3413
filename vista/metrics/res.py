"""RES: one mask for an expression.

    mIoU = mean of the IoUs; oIoU = sum of intersections / sum of unions; pr70 = share of expressions with IoU >= 0.7

As yz93/LAVT-RIS `test.py` @1da0af9. The paper's "mIoU" is this mIoU. `paper_style_mIoU` compares with the re-drawn
target polygon in place of the dataset's mask, so that the codec's own loss does not show.
"""

from collections.abc import Mapping

from vista.data import Prediction, Reference
from vista.metrics.evaluator import Evaluator, percent
from vista.metrics.overlap import mask_intersection_and_union, mask_iou, union_mask

THRESHOLDS = (50, 60, 70, 80, 90)


class RESMetric(Evaluator):
    """mIoU, oIoU and precisions. Prediction: `masks` (their union counts), bool (H, W) at the original size.

    Reference: `{"mask": bool (H, W), "target_mask": bool (H, W)}`, the latter being the serialised target drawn again;
    and `ignored`, bool (H, W), where some pixels count for nothing.
    Keys: `mIoU`, `oIoU`, `pr50`, `pr60`, `pr70`, `pr80`, `pr90`, `paper_style_mIoU`.

    Args:
        paper_style: also score against `target_mask`.
    """

    def __init__(self, paper_style: bool = True) -> None:
        super().__init__(
            "iou",
            "shared",
            "union",
            "paper_style",
            *(f"above_{x}" for x in THRESHOLDS),
        )
        self.paper_style = paper_style

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """IoU, intersection and union of one expression; a malformed answer is the empty mask."""
        # Parts written apart are one answer.
        mask = union_mask([] if pred.malformed else pred.masks, ref["mask"].shape)
        if ref.get("ignored") is not None:
            mask = mask & ~ref["ignored"]
        shared, union = mask_intersection_and_union(mask, ref["mask"])
        iou = shared / union if union else 0.0
        above = {f"above_{x}": float(iou >= x / 100) for x in THRESHOLDS}
        paper = mask_iou(mask, ref["target_mask"]) if self.paper_style else 0.0
        return {"iou": iou, "shared": shared, "union": union, "paper_style": paper} | above

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """Means over all expressions, and the ratio of sums."""
        n = total["n"]
        scores = {
            "mIoU": percent(total["iou"], n),
            "oIoU": percent(total["shared"], total["union"]),
        }
        scores |= {f"pr{x}": percent(total[f"above_{x}"], n) for x in THRESHOLDS}
        if self.paper_style:
            scores["paper_style_mIoU"] = percent(total["paper_style"], n)
        return scores
