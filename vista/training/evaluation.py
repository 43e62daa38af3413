"""Evaluation inside a run: questions are answered, answers are scored, scores are logged.

`val/mean` chooses the best checkpoint: the mean over all sources of the headline score, in percent. A headline that is
no percentage enters as 100 s / (s + h), h being the task's `halfway`. CIDEr, which may reach 1000, has 200: so 16
points of it never count as much as 3 percent of each of three other tasks.
"""

from collections.abc import Iterable, Sequence

import torch
from lightning import LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric

from vista.data import Prediction
from vista.decoding.decoder import Decoder
from vista.metrics.evaluator import Evaluator
from vista.models.vistallm import VistaLLM
from vista.predictions import Record, from_record
from vista.task import Source, Task
from vista.tokens.batch_types import EvaluationBatch
from vista.training.sharding import gather, release


class EvaluationModule(LightningModule):
    """The half of `VistaModule` that asks and scores."""

    def __init__(self, model: VistaLLM, decoder: Decoder) -> None:
        """Keep the parts.

        Args:
            model: what answers.
            decoder: how answers are written.
        """
        super().__init__()
        self.model, self.decoder = model, decoder
        self.evaluators: dict[str, Metric] = {}
        self.tasks: dict[str, Task] = {}
        self.unscored: set[str] = set()
        # Answers of an unfinished test, by source and id.
        self.recorded: dict[str, dict[str, Record]] = {}

    def setup(self, stage: str) -> None:
        """Take the tasks of the sources, and which of them are scored."""
        sources = eval_sources(self.trainer)
        self.tasks = {source.name: source.task for source in sources}
        self.unscored = {source.name for source in sources if not source.scored}

    def answer(self, batch: EvaluationBatch, tasks: Iterable[Task]) -> list[Prediction]:
        """Parsed answers to a batch of questions.

        Args:
            batch: of an `EvaluationSet`; an annotation whose image is not readable gets an empty, malformed answer.
            tasks: of each question.
        """
        # An unreadable image is a grey one to the model; what it says of that is no answer.
        preds = self.decoder(self.model, batch, list(tasks), batch["annotations"])
        for index, readable in enumerate(batch["readable"]):
            if not readable:
                preds[index] = Prediction(malformed=True)
        return preds

    def _evaluate(self, batch: EvaluationBatch) -> list[Prediction]:
        source, annotations = batch["source"], batch["annotations"]
        task = self.tasks[source]
        recorded = self.recorded.get(source, {})
        # A batch that was answered in part only is asked again as a whole, as it was before.
        if all(a.id in recorded for a in annotations):
            preds = [from_record(task, a, recorded[a.id]) for a in annotations]
        else:
            preds = self.answer(batch, [task] * len(annotations))
        if source not in self.unscored:
            self.evaluators[source].update(preds, [task.reference(a) for a in annotations])
        return preds

    def validation_step(  # type: ignore[override]
        self, batch: EvaluationBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> list[Prediction]:
        """Answers of one batch, for callbacks."""
        return self._evaluate(batch)

    def test_step(  # type: ignore[override]
        self, batch: EvaluationBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> list[Prediction]:
        """Answers of one batch, for callbacks."""
        return self._evaluate(batch)

    def predict_step(
        self, batch: EvaluationBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> list[Prediction]:
        """Answers without a score."""
        task = self.tasks[batch["source"]]
        return self.answer(batch, [task] * len(batch["annotations"]))

    def on_validation_epoch_start(self) -> None:
        """Fresh evaluators of all sources on every process, also where one has no question of a source."""
        self.evaluators = {}
        for name, task in self.tasks.items():
            if name in self.unscored:
                continue
            evaluator = task.evaluator().to(self.device)
            if isinstance(evaluator, Evaluator):
                evaluator.quick = not self.trainer.testing
            self.evaluators[name] = evaluator
        if self.device_mesh is not None:
            gather(self.model)

    on_test_epoch_start = on_validation_epoch_start

    def on_validation_epoch_end(self) -> None:
        """Scores of all sources."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Scores of all sources."""
        self._log_scores("test")

    def _log_scores(self, stage: str) -> None:
        if self.device_mesh is not None:
            release(self.model)
        headlines = []
        for source, evaluator in self.evaluators.items():
            scores = {name: value.float() for name, value in evaluator.compute().items()}
            named = {f"{stage}/{source}/{name}": value for name, value in scores.items()}
            # The evaluators have counted over all processes, so these are the same numbers on each.
            self.log_dict(named, sync_dist=True)
            task = self.tasks[source]
            headlines.append(in_percent(scores[task.headline], task.halfway))
        if headlines:
            self.log(f"{stage}/mean", torch.stack(headlines).mean(), sync_dist=True)


def in_percent(score: Tensor, halfway: float | None) -> Tensor:
    """A headline score as it enters the mean: a percentage as it is, any other one by how far it is beyond halfway."""
    return score if halfway is None else 100 * score / (score + halfway)


def eval_sources(trainer: Trainer) -> Sequence[Source]:
    """What is scored, in the order of the loaders; nothing where the data module has no sources."""
    return getattr(trainer.datamodule, "eval_sources", [])  # type: ignore[attr-defined]
