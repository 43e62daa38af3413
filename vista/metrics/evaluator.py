"""What all evaluators share: sums that travel between processes, records that travel between processes.

`Evaluator` keeps sums (float64, added over processes) and divides once, in `compute`. `CorpusEvaluator` also keeps
records, for scores that need the whole set at once (CIDEr, AUROC, consistency). Every evaluator takes
`update(preds: list[Prediction], target: list[dict])` and returns a flat dict of scalar tensors, percentages 0-100, with
`n` (samples) and `parse_failures` (answers without the task's form) beside the scores.

Samples repeated to even out the processes must be dropped before `update`.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric

from vista.data import Prediction, Reference

T = TypeVar("T")
M = TypeVar("M", bound=Metric)


def percent(part: float, whole: float) -> float:
    """100 * part / whole, and 0 where the whole is 0."""
    return 100.0 * part / whole if whole else 0.0


class Evaluator(Metric):
    """Sums over samples and ratios of sums.

    A subclass gives `sample`, what one sample adds to each sum, and `scores`, the ratios.

    Attributes:
        quick: leave out scores that start another program (Java), as while training; may be set until `compute`.
        tokenizer: what cuts captions into words, of evaluators that compare words: `auto`, `java` or `python`, see
            `vista.metrics.ptb.tokenize`; may be set until `compute`.

    Args:
        sums: names of the sums beside `n` and `parse_failures`.
    """

    full_state_update = False
    quick: bool = False
    tokenizer: str = "auto"

    def __init__(self, *sums: str) -> None:
        super().__init__(distributed_available_fn=_distributed)
        # float64: float32 would lose single samples and pixels beyond 16 million.
        self.sums = ("n", "parse_failures", *sums)
        for name in self.sums:
            self.add_state(
                f"sum_{name}", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum"
            )

    def sample(self, pred: Prediction, ref: Reference) -> Mapping[str, float]:
        """What one sample adds to each sum; may override its `n` (1) and `parse_failures` (1 if malformed)."""
        raise NotImplementedError

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """The scores from the sums over all samples of all processes."""
        raise NotImplementedError

    def update(self, preds: Sequence[Prediction], target: Sequence[Reference]) -> None:
        """Add samples.

        Args:
            preds: parsed answers, B of them.
            target: their references, as the evaluator's class says.

        Raises:
            ValueError: the two lists differ in length, or a reference is unusable.
        """
        added: defaultdict[str, float] = defaultdict(float)
        for pred, ref in zip(preds, target, strict=True):
            usual = {"n": 1, "parse_failures": float(pred.malformed)}
            increments = {**usual, **self.sample(pred, ref)}
            for name, value in increments.items():
                added[name] += value
        # Summed here first: one addition on the device for each batch, not for each sample.
        for name, value in added.items():
            getattr(self, f"sum_{name}").add_(value)

    def compute(self) -> dict[str, Tensor]:
        """The scores, `n` and `parse_failures`, as float64 scalars; all 0 with a warning where there is no sample."""
        total = {name: getattr(self, f"sum_{name}").item() for name in self.sums}
        if not total["n"]:
            warnings.warn(
                f"{type(self).__name__} has seen no samples: every score is 0", stacklevel=2
            )
        counts = {"n": total["n"], "parse_failures": total["parse_failures"]}
        scores = {}
        for name, value in (self.scores(total) | counts).items():
            scores[name] = torch.tensor(value, dtype=torch.float64, device=self.device)
        return scores


class CorpusEvaluator(Evaluator):
    """An evaluator that also keeps one record per sample (any picklable tuple), for scores of the whole set."""

    def __init__(self, *sums: str) -> None:
        super().__init__(*sums)
        self.records: list[tuple[Any, ...]] = []

    def reset(self) -> None:
        """Forget all samples."""
        super().reset()
        self.records = []

    def gathered(self) -> list[tuple[Any, ...]]:
        """The records of all processes, sorted, so that no score depends on their order; the same on every process."""
        if not self.distributed_available_fn():
            return sorted(self.records)
        parts: list[Any] = [None] * dist.get_world_size(self.process_group)
        dist.all_gather_object(parts, self.records, group=self.process_group)
        return sorted(chain.from_iterable(parts))

    def on_first(self, function: Callable[[], T]) -> T:
        """Call a function on the first process only and give every process its result, or its exception."""
        if not self.distributed_available_fn():
            return function()
        outcome: list[Any] = [None, None]
        if dist.get_rank(self.process_group) == 0:
            try:
                outcome[0] = function()
            # Whatever it is, it is sent on: the other processes wait for the outcome.
            except Exception as error:
                outcome[1] = error
        source = dist.get_global_rank(self.process_group, 0) if self.process_group else 0
        dist.broadcast_object_list(outcome, src=source, group=self.process_group)
        if outcome[1] is not None:
            raise outcome[1]
        return outcome[0]


def in_this_process(metric: M) -> M:
    """Let a metric count what this process gives it only: the others count something else, or nothing."""
    metric.distributed_available_fn = lambda: False
    return metric


def _distributed() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
