"""Paired bootstrap of a task's own score: two sets of answers to the same questions under the same draws of questions.

    first, second = Headline(task), Headline(task)            add(prediction, reference) for every question
    counts = draw(len(first), draws=1000)                     how often a draw holds each question
    interval(first(counts) - second(counts))                  95 % of the differences lie in it

Every answer is scored once: what it adds to the sums of the evaluator is kept, and a draw adds up those of its
questions. Where the score is a mean of values (captions, VCR's pairs of questions) the values are drawn; CIDEr's
weights of words are those of all questions asked, as they are in the score itself.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import Any

import numpy as np
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from tasks import Task
from vista.data import Prediction
from vista.metrics.evaluator import CorpusEvaluator, in_this_process
from vista.metrics.ptb import tokenize

Record = tuple[Any, ...]


class Headline:
    """The headline metric of one set of answers, for any draw of the questions."""

    def __init__(self, task: Task) -> None:
        """Take the task's evaluator."""
        self.evaluator: Any = in_this_process(task.evaluator())
        self.metric = task.headline
        self.sums: list[list[float]] = []
        self.records: list[list[Record]] = []

    def add(self, prediction: Prediction, reference: Mapping[str, Any]) -> None:
        """Score one answer."""
        self.evaluator.reset()
        self.evaluator.update([prediction], [reference])
        sums = [getattr(self.evaluator, f"sum_{name}").item() for name in self.evaluator.sums]
        self.sums.append(sums)
        is_corpus = isinstance(self.evaluator, CorpusEvaluator)
        self.records.append(self.evaluator.gathered() if is_corpus else [])

    @cached_property
    def values(self) -> np.ndarray | None:
        """Float (U,), 0..100, of the units whose mean is the score; None where it is no such mean."""
        if self.metric not in VALUES:
            return None
        records = list(chain.from_iterable(self.records))
        return VALUES[self.metric](records, getattr(self.evaluator, "tokenizer", ""))

    def __len__(self) -> int:
        """Number of units to draw from: questions, or VCR's pairs of them."""
        return len(self.sums if self.values is None else self.values)

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        """The score of each draw, float (D,).

        Args:
            counts: int (D, U), how often each unit is in each draw.
        """
        if self.values is not None:
            return counts @ self.values / counts.sum(1)
        totals = counts @ np.array(self.sums)  # (D, sums)
        draws = zip(totals.tolist(), counts.tolist(), strict=True)
        return np.array([self._score(total, count) for total, count in draws])

    def _score(self, total: list[float], counts: list[int]) -> float:
        """The score of one draw, from its sums and how often each question is in it."""
        records: list[Record] = []
        # The records of other metrics are for other scores, some of them slow.
        if self.metric in FROM_RECORDS:
            for own, count in zip(self.records, counts, strict=True):
                records += own * count
            self.evaluator.reset()
            self.evaluator.store(records)
        sums = dict(zip(self.evaluator.sums, total, strict=True))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(self.evaluator.scores(sums)[self.metric])

    @property
    def malformed(self) -> int:
        """Answers without the task's form."""
        column = self.evaluator.sums.index("parse_failures")
        return int(sum(row[column] for row in self.sums))


def _caption_values(
    scorer: Callable[[], Any], records: Sequence[Record], tokenizer: str
) -> np.ndarray:
    """Values of captions; a record ends with the caption and its reference or references."""
    captions = [record[-2] for record in records]
    references = [_as_list(record[-1]) for record in records]
    # One call of the tokenizer for all texts, since it may start another program.
    texts = iter(tokenize([*captions, *chain.from_iterable(references)], tokenizer))
    res = {i: [next(texts)] for i in range(len(captions))}
    gts = {i: list(islice(texts, len(own))) for i, own in enumerate(references)}
    _, values = scorer().compute_score(gts, res)
    # Two empty strings are equal to ROUGE; an empty caption earns nothing, as in `vista.metrics.caption`.
    is_caption = np.array([bool(caption) for (caption,) in res.values()])
    return 100 * np.where(is_caption, values, 0.0)


def _as_list(references: str | Sequence[str]) -> list[str]:
    return [references] if isinstance(references, str) else list(references)


def _pair_values(records: Sequence[Record], _: str) -> np.ndarray:
    """100 for a question of VCR with a right answer and a right rationale."""
    questions: dict[str, list[bool]] = defaultdict(list)
    for question, _mode, right in records:
        questions[question].append(right)
    return np.array([100.0 * all(rights) for rights in questions.values() if len(rights) == 2])


VALUES: dict[str, Callable[[Sequence[Record], str], np.ndarray]] = {
    "CIDEr": lambda records, tokenizer: _caption_values(Cider, records, tokenizer),
    "ROUGE_L": lambda records, tokenizer: _caption_values(Rouge, records, tokenizer),
    "q_ar": _pair_values,
}
FROM_RECORDS = ("J",)  # a mean over the images of a class, then over classes


def draw(units: int, draws: int, seed: int = 0) -> np.ndarray:
    """Draws with replacement, as many units in each as there are: how often each is drawn, int (draws, units)."""
    return np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=draws)


def interval(values: np.ndarray, percent: float = 95.0) -> tuple[float, float]:
    """The middle `percent` of values."""
    low, high = np.percentile(values, [(100 - percent) / 2, (100 + percent) / 2])
    return float(low), float(high)
