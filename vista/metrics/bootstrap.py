"""How sure a score is: a bootstrap that draws whole images, since questions about one image stand or fall together.

    own = SampledScore(task.evaluator(), task.headline)         add(prediction, reference, image) for every question
    own.interval()                                              (58.1, 62.3): 95 % of 10,000 draws of the images
    paired(own, other)                                          the same of the difference of two sets of answers

Every answer is scored once: what it adds to the sums of the evaluator is kept, and a draw adds up those of its images.
So a ratio of sums (oIoU, F1) is the ratio of the drawn totals. Where the score is a mean of values (CIDEr, ROUGE_L,
VCR's pairs of questions) the values are drawn; CIDEr's weights of words stay those of all captions, as in the score
itself. CoSeg's J is a mean over the drawn images of each class, then over classes. The interval is the percentile one
(Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13); the seed is fixed, so that it is the same again.
"""

import warnings
from collections.abc import Sequence
from copy import copy
from functools import cached_property
from itertools import chain
from math import isclose
from typing import NamedTuple

import numpy as np

from vista.data import Prediction, Reference
from vista.metrics.evaluator import CorpusEvaluator, Evaluator, in_this_process
from vista.metrics.per_sample import Parts, Record, from_records

DRAWS = 10_000
CELLS = 4_000_000  # counts that stand in memory at once
Interval = tuple[float, float]


class SampledScore:
    """One score of one set of answers, for any draw of the images."""

    def __init__(self, evaluator: Evaluator, metric: str) -> None:
        """Begin without samples.

        Args:
            evaluator: a fresh one of the task.
            metric: the key of the score among what it computes.
        """
        self.evaluator, self.metric = in_this_process(evaluator), metric
        self.evaluator.quick = True
        self.take_apart = from_records(evaluator, metric)
        self.images: list[str] = []  # of each sample
        self.sums: list[list[float]] = []
        self.records: list[list[Record]] = []

    def add(self, prediction: Prediction, reference: Reference, image: str) -> None:
        """Score one answer.

        Args:
            prediction: the parsed answer.
            reference: the truth.
            image: a name for what is drawn as a whole.
        """
        self.evaluator.reset()
        self.evaluator.update([prediction], [reference])
        self.images.append(image)
        self.sums.append([getattr(self.evaluator, f"sum_{n}").item() for n in self.evaluator.sums])
        if isinstance(self.evaluator, CorpusEvaluator):
            self.records.append(self.evaluator.gathered())

    @cached_property
    def parts(self) -> Parts:
        """The score taken apart."""
        if self.take_apart is not None and self.records:
            return self.take_apart(self.records, self.evaluator.tokenizer)
        return Parts(np.array(self.sums), self._from_sums)

    def _from_sums(self, totals: np.ndarray) -> np.ndarray:
        self.evaluator.reset()
        return np.array([self._computed(total) for total in totals.tolist()])

    def _computed(self, total: list[float]) -> float:
        sums = dict(zip(self.evaluator.sums, total, strict=True))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.evaluator.scores(sums)[self.metric]

    def only(self, chosen: Sequence[int]) -> "SampledScore":
        """The same score of some of its samples, by their places; its interval is that of their images."""
        part = copy(self)
        part.__dict__.pop("of_images", None)
        part.images = [self.images[index] for index in chosen]
        part.sums = [self.sums[index] for index in chosen]
        part.parts = Parts(self.parts.rows[list(chosen)], self.parts.combine)
        part.can_be_drawn = self.can_be_drawn and len(set(part.images)) > 1
        return part

    @cached_property
    def can_be_drawn(self) -> bool:
        """Whether there are several images, and the score is one of what single samples add to totals."""
        if len(set(self.images)) < 2:
            return False
        if self.take_apart is not None or not isinstance(self.evaluator, CorpusEvaluator):
            return True
        # The evaluator's other scores need its records; whether this one does is seen when it has none.
        self.evaluator.reset()
        self.evaluator.store(list(chain.from_iterable(self.records)))
        with_records = self._computed(self.parts.rows.sum(0).tolist())
        return isclose(with_records, self.score, rel_tol=1e-9, abs_tol=1e-9)

    @cached_property
    def of_images(self) -> np.ndarray:
        """What each image adds to the totals, float (images, K), in the order of their names."""
        names, index = np.unique(self.images, return_inverse=True)
        added = np.zeros((len(names), self.parts.rows.shape[1]))
        np.add.at(added, index, self.parts.rows)
        return added

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        """The score of each draw, float (D,).

        Args:
            counts: (D, images), how often each image is in each draw.
        """
        return self.parts.combine(counts @ self.of_images)

    @property
    def score(self) -> float:
        """The score of every image once."""
        return float(self(np.ones((1, len(self.of_images))))[0]) if self.images else 0.0

    def interval(self, draws: int = DRAWS) -> Interval | None:
        """Where 95 % of the draws lie; None where the score cannot be drawn."""
        return middle(resample([self], draws)[0]) if self.can_be_drawn else None

    @property
    def of_samples(self) -> np.ndarray:
        """The score of each sample by itself, float (N,)."""
        return self.parts.combine(self.parts.rows)

    @property
    def malformed(self) -> int:
        """Answers without the task's form."""
        column = self.evaluator.sums.index("parse_failures")
        return int(sum(row[column] for row in self.sums))


class Difference(NamedTuple):
    """Two sets of answers to the same questions.

    Attributes:
        value: the first score minus the second one.
        interval: of it; None where the scores cannot be drawn.
        changed: indices of the samples that are not scored alike.
    """

    value: float
    interval: Interval | None
    changed: list[int]


def paired(first: SampledScore, second: SampledScore, draws: int = DRAWS) -> Difference:
    """The difference of two scores of the same samples, in the same order, under the same draws of the images."""
    interval = None
    if first.can_be_drawn and second.can_be_drawn:
        scores = resample([first, second], draws)
        interval = middle(scores[0] - scores[1])
    changed = (first.parts.rows != second.parts.rows).any(axis=1)
    return Difference(first.score - second.score, interval, np.flatnonzero(changed).tolist())


def resample(scores: Sequence[SampledScore], draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Scores under the same draws with replacement, as many images in each as there are.

    Args:
        scores: of the same images.
        draws: how many.
        seed: of the draws.

    Returns:
        float (scores, draws).
    """
    size = len(scores[0].of_images)
    rng, found = np.random.default_rng(seed), []
    step = max(1, CELLS // size)
    for start in range(0, draws, step):
        counts = draw(rng, size, min(step, draws - start))
        found.append([score(counts) for score in scores])
    return np.concatenate(found, axis=1)


def draw(rng: np.random.Generator, size: int, draws: int) -> np.ndarray:
    """How often each of `size` things is in each draw of as many, float (draws, size)."""
    drawn = rng.integers(size, size=(draws, size))
    drawn += size * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=draws * size).reshape(draws, size).astype(float)


def middle(values: np.ndarray, percent: float = 95.0) -> Interval:
    """The middle `percent` of values."""
    low, high = np.nanpercentile(values, [(100 - percent) / 2, (100 + percent) / 2])
    return float(low), float(high)
