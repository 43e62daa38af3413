"""What all evaluators share: sums that travel between processes, records that travel between processes.

`Evaluator` keeps sums (float64, added over processes) and divides once, in `compute`. `CorpusEvaluator` also keeps
records, for scores that need the whole set at once (CIDEr, AUROC, consistency). Every evaluator takes
`update(preds: list[Prediction], target: list[dict])` and returns a flat dict of scalar tensors, percentages 0-100, with
`n` (samples) and `parse_failures` (answers without the task's form) beside the scores.

    scores = metric(preds, target)      of these samples alone; they are added to all others
    metric.merge_state(other)           adds the samples of another evaluator of the same class

Samples repeated to even out the processes must be dropped before `update`.
"""

import io
import pickle
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric

from vista.data import Prediction, Reference
from vista.first_process import on_first

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
        # Not cached: the library does not forget what it computed when another's samples are merged in.
        super().__init__(distributed_available_fn=_distributed, compute_with_cache=False)
        # float64: float32 would lose single samples and pixels beyond 16 million.
        self.sums = ("n", "parse_failures", *sums)
        for name in self.sums:
            self.add_state(
                f"sum_{name}",
                torch.zeros((), dtype=torch.float64),
                dist_reduce_fx="sum",
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
            for name, value in self._increments(pred, ref).items():
                added[name] += value
        # Summed here first: one addition on the device for each batch, not for each sample.
        for name, value in added.items():
            getattr(self, f"sum_{name}").add_(value)

    def _increments(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        usual = {"n": 1, "parse_failures": float(pred.malformed)}
        return {**usual, **self.sample(pred, ref)}

    def alone(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """The scores of one sample by itself, which is added to nothing."""
        zeros = dict.fromkeys(self.sums, 0.0)
        return self.scores(zeros | self._increments(pred, ref))

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
    """An evaluator that also keeps records (any picklable tuples), for scores of the whole set.

    They are kept as bytes, in a state of torchmetrics: so they go wherever the sums go, between processes, into
    `forward`, `merge_state` and a `MetricCollection`.

    Attributes:
        records: those of the samples that are being added; `sample` appends to it.
        stored: of each call of `update` the pickled records, uint8 (bytes,).
    """

    stored: list[Tensor] | Tensor  # one tensor while the states of all processes are together

    def __init__(self, *sums: str) -> None:
        super().__init__(*sums)
        self.records: list[tuple[Any, ...]] = []
        self.add_state("stored", [], dist_reduce_fx="cat")

    def update(self, preds: Sequence[Prediction], target: Sequence[Reference]) -> None:
        """Add samples; see `Evaluator.update`."""
        self.records = []
        super().update(preds, target)
        self.store(self.records)
        self.records = []

    def alone(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """See `Evaluator.alone`; what was added before is forgotten."""
        return _afresh(self, pred, ref)

    def store(self, records: Sequence[tuple[Any, ...]]) -> None:
        """Keep records beside those that there are."""
        data = torch.frombuffer(bytearray(pickle.dumps(list(records))), dtype=torch.uint8)
        assert isinstance(self.stored, list)
        self.stored.append(data.to(self.device))

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Put the states of all processes together, as `compute` does."""
        # One without samples has no bytes; what the library would send in their place is no bytes at all, but a float.
        if not len(self.stored):
            self.stored = [torch.empty(0, dtype=torch.uint8, device=self.device)]
        super().sync(*args, **kwargs)

    def gathered(self) -> list[tuple[Any, ...]]:
        """All records, sorted, so that no score depends on their order; in `compute` those of all processes."""
        parts = [self.stored] if isinstance(self.stored, Tensor) else self.stored
        data = io.BytesIO(b"".join(part.cpu().numpy().tobytes() for part in parts))
        records: list[tuple[Any, ...]] = []
        while data.tell() < len(data.getbuffer()):
            records += pickle.load(data)
        return sorted(records)

    def on_first(self, function: Callable[[], T]) -> T:
        """Call a function on the first process only and give every process its result, or its exception.

        Where the processes are not together, as in `forward`, each calls it for itself.
        """
        return on_first(function, self.process_group) if self._is_synced else function()


def scores_alone(metric: Metric, pred: Prediction, ref: Reference) -> dict[str, float]:
    """The scores of one sample by itself; what the metric was given before may be forgotten."""
    if isinstance(metric, Evaluator):
        return metric.alone(pred, ref)
    return _afresh(metric, pred, ref)


def _afresh(metric: Metric, pred: Prediction, ref: Reference) -> dict[str, float]:
    metric.reset()
    metric.update([pred], [ref])
    return {name: float(value) for name, value in metric.compute().items()}


def in_this_process(metric: M) -> M:
    """Let a metric count what this process gives it only: the others count something else, or nothing."""
    metric.distributed_available_fn = lambda: False
    return metric


def _distributed() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
