"""PointingQA: questions about a point (PQA) or a box (BQA), answered in a word or a number.

    "How many of these cats are there?" -> "two" equals the annotated "2"

LookTwice-QA asks each question at three granularities: about any object, the superclass, the object. The benchmark
scores its classifiers by exact class; answers are compared after VQA's normalisation, on both sides.
https://github.com/princetonvisualai/pointingqa, arXiv:2011.13681.
"""

from collections.abc import Mapping

from vista.data import Prediction, Reference
from vista.metrics.evaluator import Evaluator, percent
from vista.metrics.vqa import normalize, strip_spaces

GRANULARITIES = {
    "general_question": "any",
    "super_question": "superclass",
    "obj_question": "object",
}


def same_answer(answer: str, truth: str) -> bool:
    """Equality after VQA's normalisation; an empty answer equals nothing."""
    words = normalize(strip_spaces(answer))
    return bool(words) and words == normalize(strip_spaces(truth))


class PointingQAMetric(Evaluator):
    """Accuracy, whole and by granularity. Reference: `{"answer": str, "granularity": str}`; prediction: `answer`.

    The granularity is `any`, `superclass` or `object`, or the field of the question in the official file; other values
    count in `accuracy` alone. Keys: `accuracy_any`, `accuracy_superclass`, `accuracy_object`, `accuracy`.

    Args:
        granularities: those that get a key; none for LocalQA.
    """

    def __init__(self, granularities: tuple[str, ...] = tuple(GRANULARITIES.values())) -> None:
        right = [f"right_{name}" for name in granularities]
        counts = [f"n_{name}" for name in granularities]
        super().__init__("right", *right, *counts)
        self.granularities = tuple(granularities)

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """Whether one answer is right; an empty one is a parse failure."""
        empty = pred.malformed or not pred.answer.strip()
        right = not empty and same_answer(pred.answer, str(ref["answer"]))
        added: dict[str, float] = {"right": right, "parse_failures": empty}
        granularity = ref.get("granularity", "")
        name = GRANULARITIES.get(granularity, granularity)
        if name in self.granularities:
            added[f"right_{name}"] = right
            added[f"n_{name}"] = 1
        return added

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """Shares by granularity and of all."""
        scores = {}
        for name in self.granularities:
            scores[f"accuracy_{name}"] = percent(total[f"right_{name}"], total[f"n_{name}"])
        scores["accuracy"] = percent(total["right"], total["n"])
        return scores
