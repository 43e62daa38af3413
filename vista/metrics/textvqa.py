"""TextVQA: VQA's soft score, with prediction and references always normalised.

    "NOKIA'S" -> "nokia 's"; 3 of 10 people say so -> 90

As facebookresearch/mmf `mmf/utils/m4c_evaluators.py` @b0ffc7f (`TextVQAAccuracyEvaluator`). https://textvqa.org
"""

from collections.abc import Mapping, Sequence

from vista.data import InputError, Prediction, Reference
from vista.metrics.evaluator import Evaluator, percent
from vista.metrics.vqa import normalize, soft_score, strip_spaces

REFERENCES = 10


def normalize_text(text: str) -> str:
    """The normal form of a TextVQA answer: a first pass over `,`, `?` and `'s`, then VQA's."""
    marked = text.lower().replace(",", "").replace("?", "").replace("'s", " 's")
    return normalize(strip_spaces(marked))


def textvqa_accuracy(answer: str, references: Sequence[str]) -> float:
    """The soft score of one answer against ten references, 0..1.

    Raises:
        InputError: there are not exactly ten references.
    """
    if len(references) != REFERENCES:
        raise InputError(f"a TextVQA question has {REFERENCES} answers, not {len(references)}")
    normal_references = [normalize_text(reference) for reference in references]
    return soft_score(normalize_text(answer), normal_references)


class TextVQAMetric(Evaluator):
    """Soft accuracy. Reference: `{"answers": [10 str]}`; prediction: `answer`. Keys: `accuracy`."""

    def __init__(self) -> None:
        super().__init__("right")

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """The soft score of one question."""
        score = textvqa_accuracy(pred.answer, ref["answers"])
        return {"right": 0.0 if pred.malformed else score}

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """The mean over all questions."""
        return {"accuracy": percent(total["right"], total["n"])}
