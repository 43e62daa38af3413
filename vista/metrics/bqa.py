"""BQA: a question about a box, answered in words (PointingQA), or by one of four boxes (Visual7W).

"The answer is 4." equals the annotated "4"; "[120, 40, 300, 410]" is nearest to the right candidate
"""

from collections.abc import Mapping

from vista.data import Prediction, Reference
from vista.metrics.counting import PointingQAMetric
from vista.metrics.visual7w import Visual7WMetric


class BQAMetric(PointingQAMetric):
    """Accuracy. References and predictions are those of `PointingQAMetric`, or, with candidates, of `Visual7WMetric`.

    Keys: those of `PointingQAMetric`, or `accuracy` alone where no question was of a known granularity.
    """

    def __init__(self) -> None:
        super().__init__()
        self.visual7w = Visual7WMetric()

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """Whether one answer or choice is right."""
        return self.visual7w.sample(pred, ref) if "boxes" in ref else super().sample(pred, ref)

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """Shares of all, and by granularity where there are any."""
        scores = super().scores(total)
        granular = any(total[f"n_{name}"] for name in self.granularities)
        return scores if granular or not total["n"] else {"accuracy": scores["accuracy"]}
