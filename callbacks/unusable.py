"""Samples that cannot be used: every image that cannot be read is named once, the samples are counted."""

import warnings
from collections.abc import Sequence

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.types import STEP_OUTPUT

from vista.tokens.batch_types import EvaluationBatch, TrainingBatch


class Unusable(Callback):
    """Warns in the main process, where a warning is seen once, and logs `data/unusable_samples`."""

    def __init__(self) -> None:
        """Start with none."""
        self.named: set[str] = set()
        self.samples = 0  # not learned from since training began, on this process

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: TrainingBatch,
        batch_idx: int,
    ) -> None:
        """Name and count."""
        self._name(batch["problems"])
        self.samples += batch["unusable"]
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and trainer.global_step % every == 0:
            pl_module.log(
                "data/unusable_samples",
                float(self.samples),
                sync_dist=True,
                reduce_fx="sum",
            )

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: EvaluationBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Name; such a question is counted among the malformed ones."""
        self._name(batch["problems"])

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: EvaluationBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """The same for `test`."""
        self._name(batch["problems"])

    def _name(self, problems: Sequence[str]) -> None:
        for problem in problems:
            if problem not in self.named:
                self.named.add(problem)
                warnings.warn(problem, stacklevel=2)
