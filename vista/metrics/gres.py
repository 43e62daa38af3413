"""GRES: the masks of all objects that an expression names, or none; scored as one mask.

    no target, nothing predicted -> IoU 1 in gIoU, nothing in cIoU
    no target, something predicted -> IoU 0, the predicted area in cIoU's union

As henghuiding/ReLA `gres_model/evaluation/refer_evaluation.py` @3ca9551. gIoU is the mean over samples, cIoU the ratio
of sums. LISA's gIoU is another one: it decides "none" from the mask.
https://henghuiding.github.io/GRES (arXiv:2306.00968).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from vista.data import Mask, Prediction, Reference
from vista.metrics.evaluator import Evaluator, percent
from vista.metrics.overlap import mask_intersection_and_union, union_mask

THRESHOLDS = (70, 80, 90)


def gres_overlap(pred: Mask | None, truth: Mask | None) -> tuple[float, int, int]:
    """IoU, intersection and union of one sample, as ReLA counts them.

    Args:
        pred: bool (H, W), the union of the predicted masks; None for "there is no target".
        truth: bool (H, W), the union of the true masks; None for a no-target sample.

    Returns:
        IoU 0..1 and pixels.
    """
    if truth is None:
        return (1.0, 0, 0) if pred is None else (0.0, 0, int(np.count_nonzero(pred)))
    if pred is None:
        return 0.0, 0, int(np.count_nonzero(truth))
    shared, union = mask_intersection_and_union(pred, truth)
    return (shared / union if union else 0.0), shared, union


def _merge(masks: Sequence[Mask]) -> Mask | None:
    return union_mask(masks, masks[0].shape) if masks else None


class GRESMetric(Evaluator):
    """gIoU, cIoU, no-target accuracy and precisions. Prediction: `masks`, bool (H, W) at the original size.

    No mask and not malformed means "there is no target"; a polygon that draws no pixel is a mask. Reference:
    `{"masks": [bool (H, W), ...], "target_masks": [...]}`, none for a no-target sample; `target_masks` are the
    serialised target drawn again. As in the official code `n_acc` and `t_acc` are both 0 where the set holds no
    no-target sample. Keys: `gIoU`, `cIoU`, `n_acc`, `t_acc`, `pr70`, `pr80`, `pr90`, `paper_style_gIoU`.

    Args:
        min_pixels: a predicted union of fewer pixels counts as "there is no target".
        paper_style: also score against `target_masks`.
    """

    def __init__(self, min_pixels: int = 0, paper_style: bool = True) -> None:
        above = [f"above_{x}" for x in THRESHOLDS]
        super().__init__(
            "iou",
            "paper_style",
            "shared",
            "union",
            "empty",
            "empty_right",
            "filled",
            "filled_found",
            *above,
        )
        self.min_pixels, self.paper_style = min_pixels, paper_style

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """IoU, intersection and union of one sample; a malformed answer is neither a mask nor "no target"."""
        truth = _merge(ref["masks"])
        if pred.malformed:
            union = 0 if truth is None else int(np.count_nonzero(truth))
            return {"union": union, "empty": truth is None, "filled": truth is not None}
        mask = _merge(pred.masks)
        if mask is not None and np.count_nonzero(mask) < self.min_pixels:
            mask = None
        iou, shared, union = gres_overlap(mask, truth)
        added: dict[str, float] = {"iou": iou, "shared": shared, "union": union}
        if self.paper_style:
            # Whether there is a target is the dataset's word, even where the codec draws none of it again.
            redrawn = None if truth is None else union_mask(ref["target_masks"], truth.shape)
            added["paper_style"] = gres_overlap(mask, redrawn)[0]
        if truth is None:
            return added | {"empty": 1, "empty_right": mask is None}
        return (
            added
            | {"filled": 1, "filled_found": mask is not None}
            | {f"above_{x}": iou >= x / 100 for x in THRESHOLDS}
        )

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """Means over all samples, the ratio of sums, shares of samples without and with targets."""
        n, filled = total["n"], total["filled"]
        scores = {
            "gIoU": percent(total["iou"], n),
            "cIoU": percent(total["shared"], total["union"]),
            "n_acc": percent(total["empty_right"], total["empty"]),
            "t_acc": percent(total["filled_found"], filled) if total["empty"] else 0.0,
        }
        scores |= {f"pr{x}": percent(total[f"above_{x}"], filled) for x in THRESHOLDS}
        if self.paper_style:
            scores["paper_style_gIoU"] = percent(total["paper_style"], n)
        return scores
