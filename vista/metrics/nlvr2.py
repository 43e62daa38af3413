"""NLVR2: is the statement about two images true?

    `That is True.` -> True; accuracy over statements with their images, consistency over statements

As lil-lab/nlvr `nlvr2/eval/metrics.py` @1892484. A statement is shown with several image pairs; it is consistent where
all of them are right. Identifier: `split-set-pair-sentence`. https://lil.nlp.cornell.edu/nlvr/
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from vista.data import Prediction, Reference
from vista.metrics.evaluator import CorpusEvaluator, percent


def statement_of(identifier: str) -> str:
    """The identifier without its pair: `dev-850-2-1` -> `dev-850--1`."""
    parts = identifier.split("-")
    return "-".join([*parts[:2], "", *parts[3:]])


def consistency(results: Iterable[tuple[str, bool]]) -> float:
    """Share of statements with only right answers.

    Args:
        results: (statement, right) per example.

    Returns:
        0..100; 0 where there are none.
    """
    consistent: dict[str, bool] = defaultdict(lambda: True)
    for statement, right in results:
        consistent[statement] &= right
    return percent(sum(consistent.values()), len(consistent))


class NLVR2Metric(CorpusEvaluator):
    """Accuracy and consistency. Reference: `{"label": "True" | "False", "identifier": str}`.

    Prediction: `decision`. Keys: `accuracy`, `consistency`.
    """

    def __init__(self) -> None:
        super().__init__("right")

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """Whether the statement was judged right; an answer without a decision is wrong."""
        decision = None if pred.malformed else pred.decision
        right = decision is not None and str(decision).lower() == ref["label"].lower()
        self.records.append((statement_of(ref["identifier"]), right))
        return {"right": float(right), "parse_failures": float(decision is None)}

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """Means over examples and over statements."""
        return {
            "accuracy": percent(total["right"], total["n"]),
            "consistency": consistency(self.gathered()),
        }
