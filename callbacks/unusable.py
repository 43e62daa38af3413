"""Samples that cannot be used: every image that cannot be read is named once, the samples are counted."""

import warnings
from typing import Any

from lightning import Callback, LightningModule, Trainer


class Unusable(Callback):
    """Warns in the main process, where a warning is seen once, and logs `data/unusable_samples`."""

    def __init__(self) -> None:
        """Start with none."""
        self.named: set[str] = set()
        self.samples = 0  # not learned from since training began, on this process

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Name and count."""
        self._name(batch)
        self.samples += batch["unusable"]
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and trainer.global_step % every == 0:
            pl_module.log(
                "data/unusable_samples", float(self.samples), sync_dist=True, reduce_fx="sum"
            )

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Name; such a question is counted among those that were not parsed."""
        self._name(batch)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """The same for `test`."""
        self._name(batch)

    def _name(self, batch: dict[str, Any]) -> None:
        for problem in batch["problems"]:
            if problem not in self.named:
                self.named.add(problem)
                warnings.warn(problem, stacklevel=2)
