"""Captions: CIDEr, METEOR, ROUGE_L, BLEU and SPICE of `pycocoevalcap`, on the whole set at once.

    "a man rides a horse" against five human captions -> {"CIDEr": 128.4, ...} (library value x 100)

Serves `caption` (one prediction per image, all its captions as references) and `reg` (one per region, all its
expressions). CIDEr takes its word frequencies from the references of the evaluated set, so it is never a mean over
batches or processes: captions are gathered, scored once on the first process, and every process gets the result.
"""

import contextlib
import io
import re
import subprocess
import warnings
from collections.abc import Mapping, Sequence
from itertools import chain, islice, pairwise

import numpy as np
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge

from vista.data import InputError, Prediction, Reference
from vista.metrics.evaluator import CorpusEvaluator
from vista.metrics.ptb import java_options, java_problem, tokenize
from vista.metrics.spice import spice_problem, spice_score

METRICS = ("CIDEr", "METEOR", "ROUGE_L", "BLEU", "SPICE")
JAVA_METRICS = ("METEOR", "SPICE")
_KEYS = {"BLEU": ("BLEU_1", "BLEU_2", "BLEU_3", "BLEU_4")}
_MARKUP = re.compile(r"\[[\d\s,]*(?:\]|$)|<[bm]sep>")

Corpus = dict[int, list[str]]  # sample -> tokenised captions


def strip_markup(text: str) -> str:
    """A caption without boxes, masks and their separators: `"a dog [1, 2, 3, 4] runs"` -> `"a dog runs"`."""
    return " ".join(_MARKUP.sub(" ", text).split())


def caption_scores(
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[str] = METRICS,
    tokenizer: str = "auto",
    allow_download: bool = False,
) -> dict[str, float]:
    """Score a whole set of captions.

    Args:
        captions: one per sample, raw text; an empty one scores 0 and stays in the set.
        references: the human captions of each sample, at least one.
        metrics: names out of `METRICS`.
        tokenizer: `auto`, `java` or `python`, see `vista.metrics.ptb.tokenize`.
        allow_download: SPICE may fetch its jars.

    Returns:
        library values x 100 by key (BLEU has four); METEOR and SPICE are missing, with a warning, where they cannot
        run; all 0 for no captions.
    """
    metrics = [name for name in metrics if _can_run(name, allow_download)]
    if not captions:
        keys = chain.from_iterable(_KEYS.get(name, (name,)) for name in metrics)
        return dict.fromkeys(keys, 0.0)
    gts, res = _tokenized(captions, references, tokenizer)
    scores: dict[str, float] = {}
    for name in metrics:
        scores.update(_score(name, gts, res))
    return scores


def _tokenized(
    captions: Sequence[str], references: Sequence[Sequence[str]], tokenizer: str
) -> tuple[Corpus, Corpus]:
    """References and captions of each sample in words, in one call: Java takes a second to start."""
    words = iter(tokenize([*captions, *chain.from_iterable(references)], tokenizer))
    res = {i: [next(words)] for i in range(len(captions))}
    gts = {i: list(islice(words, len(refs))) for i, refs in enumerate(references)}
    return gts, res


def _can_run(name: str, allow_download: bool) -> bool:
    problem = None
    if name == "METEOR" and isinstance(java_problem(), FileNotFoundError):
        problem = "METEOR skipped: `java` is not on PATH"
    if name == "SPICE":
        problem = spice_problem(allow_download)
    if problem:
        warnings.warn(problem, stacklevel=2)
    return not problem


def _score(name: str, gts: Corpus, res: Corpus) -> dict[str, float]:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            values = _SCORERS[name](gts, res)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        if name not in JAVA_METRICS:
            raise
        warnings.warn(f"{name} skipped: its Java process failed ({error})", stacklevel=2)
        return {}
    keys = _KEYS.get(name, (name,))
    return {key: 100.0 * float(value) for key, value in zip(keys, values, strict=True)}


def _cider(gts: Corpus, res: Corpus) -> list[float]:
    # No word anywhere: the library has no document frequency to take the maximum of.
    if not any(chain.from_iterable(gts.values())):
        return [0.0]
    return [Cider().compute_score(gts, res)[0]]


def _rouge(gts: Corpus, res: Corpus) -> list[float]:
    _, per_sample = Rouge().compute_score(gts, res)
    # Two empty strings are equal to the library; an empty caption earns nothing here.
    earned = [score if res[i][0] else 0.0 for i, score in zip(gts, per_sample, strict=True)]
    return [float(np.mean(earned))]


def _bleu(gts: Corpus, res: Corpus) -> list[float]:
    if not any(chain.from_iterable(res.values())):
        return [0.0] * 4
    return list(Bleu(4).compute_score(gts, res, verbose=0)[0])


def _meteor(gts: Corpus, res: Corpus) -> list[float]:
    gts = {i: _without_bars(refs) for i, refs in gts.items()}
    with java_options():
        scorer = Meteor()
    try:
        return [scorer.compute_score(gts, res)[0]]
    finally:
        # Where Java died the library still holds its lock, and its destructor would wait for it for ever.
        if scorer.lock.locked():
            scorer.lock.release()
        scorer.meteor_p.kill()
        scorer.meteor_p.wait()
        for pipe in (scorer.meteor_p.stdin, scorer.meteor_p.stdout, scorer.meteor_p.stderr):
            with contextlib.suppress(OSError):
                pipe.close()


def _without_bars(captions: Sequence[str]) -> list[str]:
    """Captions without `|||`, which separates the fields of what METEOR's process reads."""
    return [caption.replace("|||", "") for caption in captions]


def _spice(gts: Corpus, res: Corpus) -> list[float]:
    return [spice_score(gts, res)]


_SCORERS = {"CIDEr": _cider, "METEOR": _meteor, "ROUGE_L": _rouge, "BLEU": _bleu, "SPICE": _spice}


def without_java(metrics: Sequence[str], tokenizer: str, quick: bool) -> tuple[Sequence[str], str]:
    """Metrics and tokenizer that need no Java where `quick`, else as given."""
    if not quick:
        return metrics, tokenizer
    return [name for name in metrics if name not in JAVA_METRICS], "python"


class CaptionMetric(CorpusEvaluator):
    """Caption scores of a set. Reference: `{"id": str, "captions": [str, ...]}`; prediction: `answer`.

    Keys: `CIDEr`, `METEOR`, `ROUGE_L`, `BLEU_1` .. `BLEU_4`, `SPICE`, as far as asked for and able to run.

    Args:
        metrics: names out of CIDEr, METEOR, ROUGE_L, BLEU, SPICE. METEOR takes seconds and 2 GB of Java.
        tokenizer: `auto`, `java` or `python`; `auto` falls back to Python, with a warning, without Java.
        allow_download: SPICE may fetch CoreNLP (about 0.4 GB).
    """

    def __init__(
        self,
        metrics: Sequence[str] = METRICS,
        tokenizer: str = "auto",
        allow_download: bool = False,
    ) -> None:
        super().__init__()
        if unknown := set(metrics) - set(METRICS):
            raise InputError(
                f"no such caption metrics: {sorted(unknown)}; there are {', '.join(METRICS)}"
            )
        self.metrics = tuple(metrics)
        self.tokenizer = tokenizer
        self.allow_download = allow_download

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """Keep the caption and its references; an error where there are no references."""
        captions = tuple(ref["captions"])
        if not captions:
            raise InputError(f"sample {ref['id']} has no reference captions")
        caption = "" if pred.malformed else strip_markup(pred.answer)
        self.records.append((str(ref["id"]), caption, captions))
        return {}

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """Score the captions of all processes on the first one."""
        records = self.gathered()
        ids = [record[0] for record in records]
        if len(set(ids)) < len(ids):
            twice = next(a for a, b in pairwise(ids) if a == b)  # the records are sorted by id
            raise InputError(f"sample {twice} has more than one caption")
        captions = [caption for _, caption, _ in records]
        references = [captions_of_image for _, _, captions_of_image in records]
        metrics, tokenizer = without_java(self.metrics, self.tokenizer, self.quick)
        return self.on_first(
            lambda: caption_scores(captions, references, metrics, tokenizer, self.allow_download)
        )
