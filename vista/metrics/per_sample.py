"""Scores taken apart into what each sample adds to totals, where the evaluator's own sums are not enough.

    CIDEr of three captions    rows [[120, 1], [90, 1], [0, 1]]: the score of any of them is the ratio of their totals
    J of CoSeg                 two totals a class, J and a count of images: the mean over classes of their ratios

`vista.metrics.bootstrap` draws samples of these.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from vista.metrics.caption import CaptionMetric
from vista.metrics.coseg import CoSegMetric, ImageOverlap, precision_and_jaccard, safe_name
from vista.metrics.evaluator import CorpusEvaluator, Evaluator
from vista.metrics.llava import LLaVAMetric
from vista.metrics.ptb import tokenize
from vista.metrics.vcr import VCRMetric

Record = tuple[Any, ...]  # of a `CorpusEvaluator`
Records = Sequence[Sequence[Record]]  # those of each sample


class Parts(NamedTuple):
    """A score taken apart: what each sample adds to K totals (N, K), and how totals (D, K) become scores (D,)."""

    rows: np.ndarray
    combine: Callable[[np.ndarray], np.ndarray]


def ratio(totals: np.ndarray) -> np.ndarray:
    """Means over what was drawn, from sums and counts (D, 2); 0 where nothing was."""
    return totals[:, 0] / np.maximum(totals[:, 1], 1)


def _caption_parts(scorer: Callable[[], Any], records: Records, tokenizer: str) -> Parts:
    """A record of each sample, which ends with the caption and its reference or references."""
    captions = [record[-2] for (record,) in records]
    references = [_as_list(record[-1]) for (record,) in records]
    # One call of the tokenizer for all texts, since it may start another program.
    texts = iter(tokenize([*captions, *chain.from_iterable(references)], tokenizer))
    res = {i: [next(texts)] for i in range(len(captions))}
    gts = {i: list(islice(texts, len(own))) for i, own in enumerate(references)}
    if not any(chain.from_iterable(gts.values())):  # CIDEr has no document frequency then
        return Parts(np.array([[0.0, 1.0]] * len(captions)), ratio)
    _, values = scorer().compute_score(gts, res)
    # Two empty strings are equal to ROUGE; an empty caption earns nothing, as in `vista.metrics.caption`.
    is_caption = np.array([bool(caption) for (caption,) in res.values()])
    earned = 100 * np.where(is_caption, values, 0.0)
    return Parts(np.stack([earned, np.ones(len(captions))], axis=1), ratio)


def _as_list(references: str | Sequence[str]) -> list[str]:
    return [references] if isinstance(references, str) else list(references)


def _cider_parts(records: Records, tokenizer: str) -> Parts:
    return _caption_parts(Cider, records, tokenizer)


def _rouge_parts(records: Records, tokenizer: str) -> Parts:
    return _caption_parts(Rouge, records, tokenizer)


def _pair_parts(records: Records, _: str) -> Parts:
    """VCR: both halves of a question are asked about one image, so the pair may stand at either of them."""
    halves: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for index, ((question, _mode, right),) in enumerate(records):
        halves[question].append((index, right))
    rows = np.zeros((len(records), 2))
    for pair in halves.values():
        if len(pair) == 2:
            rows[pair[0][0]] = 100.0 * all(right for _, right in pair), 1.0
    return Parts(rows, ratio)


def _class_parts(records: Records, _: str) -> Parts:
    """CoSeg: J and a count of images for each class, two totals a class."""
    names = sorted({safe_name(name) for name, _ in chain.from_iterable(records)})
    column = {name: 2 * k for k, name in enumerate(names)}
    rows = np.zeros((len(records), 2 * len(names)))
    for row, of_group in zip(rows, records, strict=True):
        for name, overlap in of_group:
            place = column[safe_name(name)]
            row[place] += 100.0 * precision_and_jaccard(ImageOverlap(*overlap))[1]
            row[place + 1] += 1.0
    return Parts(rows, _mean_of_classes)


def _mean_of_classes(totals: np.ndarray) -> np.ndarray:
    values, counts = totals[:, ::2], totals[:, 1::2]  # (D, classes)
    drawn = counts > 0
    return (values / np.maximum(counts, 1)).sum(1) / np.maximum(drawn.sum(1), 1)


TakeApart = Callable[[Records, str], Parts]  # from records and the name of a tokenizer
FROM_RECORDS: dict[tuple[type[CorpusEvaluator], str], TakeApart] = {
    (CaptionMetric, "CIDEr"): _cider_parts,
    (CaptionMetric, "ROUGE_L"): _rouge_parts,
    (LLaVAMetric, "ROUGE_L"): _rouge_parts,
    (VCRMetric, "q_ar"): _pair_parts,
    (CoSegMetric, "J"): _class_parts,
}


def from_records(evaluator: Evaluator, metric: str) -> TakeApart | None:
    """What takes a score apart that needs an evaluator's records; None where there is nothing of the kind."""
    for (kind, name), take_apart in FROM_RECORDS.items():
        if isinstance(evaluator, kind) and metric == name:
            return take_apart
    return None
