"""Visual7W pointing: which of four boxes answers the question?

    "Which item is red?" -> "[120, 40, 300, 410]": the candidate that it overlaps most

As yukezhu/visual7w-toolkit `evaluate.py` @2ba129b, mode `mc`: the share of questions with the right candidate. The
choice is read from a box, a letter or a point. https://ai.stanford.edu/~yukez/visual7w, arXiv:1511.03416.
"""

from collections.abc import Mapping, Sequence

from vista.answers import extract_letter
from vista.boxes import box_area, box_iou
from vista.data import Box, Prediction, Reference
from vista.metrics.evaluator import Evaluator, percent


def nearest_candidate(box: Box, candidates: Sequence[Box]) -> int | None:
    """The candidate with the highest IoU (xyxy, pixels), the first of equals; None where all IoUs are 0."""
    ious = [box_iou(box, candidate) for candidate in candidates]
    return ious.index(max(ious)) if max(ious, default=0.0) > 0 else None


def candidate_at(x: float, y: float, candidates: Sequence[Box]) -> int | None:
    """The candidate that holds a point (pixels), the smallest of several; None where none does."""
    holding = []
    for i, (x0, y0, x1, y1) in enumerate(candidates):
        if x0 <= x <= x1 and y0 <= y <= y1:
            holding.append(i)
    return min(holding, key=lambda i: box_area(candidates[i]), default=None)


def chosen_candidate(pred: Prediction, candidates: Sequence[Box]) -> int | None:
    """The candidate that an answer means.

    Args:
        pred: one box, or a point given as a box without extent; without boxes its `choice`, or a letter in its `text`.
        candidates: xyxy in pixels, in the order of the prompt.

    Returns:
        index of the candidate; None for a malformed answer, for several boxes and where nothing is named.
    """
    if pred.malformed or len(pred.boxes) > 1:
        return None
    if not pred.boxes:
        if pred.choice is not None:
            return pred.choice
        return extract_letter(pred.text, len(candidates))
    x0, y0, x1, y1 = pred.boxes[0]
    if (x0, y0) == (x1, y1):  # a point
        return candidate_at(x0, y0, candidates)
    return nearest_candidate(pred.boxes[0], candidates)


class Visual7WMetric(Evaluator):
    """Share of right candidates. Reference: `{"boxes": [4 xyxy], "label": int}`, in the order of the prompt.

    Prediction: `choice`, as `chosen_candidate` reads it, and `boxes`: one beside all candidates is wrong, yet well
    formed. Keys: `accuracy`.
    """

    def __init__(self) -> None:
        super().__init__("right")

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """Whether the right candidate was chosen; an answer without a choice is wrong."""
        choice = None if pred.malformed else pred.choice
        # One box beside all candidates is read well, it only chooses nothing.
        beside_all = len(pred.boxes) == 1 and not pred.malformed
        return {
            "right": choice is not None and choice == ref["label"],
            "parse_failures": choice is None and not beside_all,
        }

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """The share of all questions."""
        return {"accuracy": percent(total["right"], total["n"])}
