"""Whenever a checkpoint is made, a run resumed from it sees the batches that the unbroken run would have seen."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader, Dataset

from datamodules.mixture import MixtureData
from datamodules.order import Groups, Order
from datamodules.settings import SampleOrder


class Keys(Dataset[torch.Tensor]):
    """The keys themselves."""

    def __getitems__(self, keys: list[Any]) -> torch.Tensor:
        return torch.tensor(keys)


class Data(LightningDataModule):
    """The mixture's order, position and loader without its samples: 24 samples, six batches in an epoch."""

    train_sources: tuple[Any, ...] = ()
    encoding = max_tokens = loss_on = None
    order = SampleOrder()
    batch_size, position, batches = 4, (0, 0), None
    train_dataloader = MixtureData.train_dataloader
    state_dict, load_state_dict = MixtureData.state_dict, MixtureData.load_state_dict

    def __init__(self, workers: int) -> None:
        super().__init__()
        self.workers = workers
        self.train_order = Order([Groups(np.arange(24), np.arange(0, 25, 2))], [1.0])

    def _loader(self, _: Any, batches: Any) -> DataLoader[Any]:
        return DataLoader(
            Keys(), batch_sampler=batches, num_workers=self.workers, collate_fn=lambda batch: batch
        )

    def val_dataloader(self) -> DataLoader[Any]:
        return DataLoader(torch.zeros(2, 1))  # type: ignore[arg-type]


class Seen(LightningModule):
    """Remembers its batches; asks for the number of steps, as the schedule of a real module does."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.seen = torch.nn.Parameter(torch.zeros(1)), []  # type: ignore[var-annotated]

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.seen.append(batch.tolist())
        return self.weight.sum()

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("score", 1.0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        assert self.trainer.estimated_stepping_batches > 0
        return torch.optim.SGD(self.parameters(), 0.1)


class SaveAlways(Callback):
    """A checkpoint in every hook in which Lightning makes one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _save(self, trainer: Trainer, hook: str) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.global_step:02d}-{hook}.ckpt")

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        self._save(trainer, "batch")

    def on_validation_end(self, trainer: Trainer, *_: Any) -> None:
        self._save(trainer, "validation")

    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        self._save(trainer, "epoch")


def fit(
    workers: int, settings: dict[str, Any], checkpoint: Path | None = None, *callbacks: Callback
) -> list[Any]:
    module = Seen()
    trainer = Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False, callbacks=[*callbacks],
        **settings,
    )  # fmt: skip
    trainer.fit(module, datamodule=Data(workers), ckpt_path=checkpoint, weights_only=True)
    return module.seen


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"val_check_interval": 0.5},
        {"limit_val_batches": 0},
        {"limit_train_batches": 4},
        {"check_val_every_n_epoch": 2},
    ],
    ids=str,
)
def test_a_resumed_run_sees_the_same_batches(tmp_path, settings):
    whole = fit(0, settings, None, SaveAlways(tmp_path))
    assert [batch[0][0] for batch in whole] == sorted(batch[0][0] for batch in whole) and whole[-1][
        0
    ][0] == 1
    checkpoints = sorted(tmp_path.glob("*.ckpt"))
    assert len(checkpoints) > len(whole)
    for checkpoint in checkpoints:
        step = int(checkpoint.name[:2])
        assert fit(0, settings, checkpoint) == whole[step:], checkpoint.name


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["04-batch", "06-batch", "06-validation", "06-epoch"])
def test_a_loader_process_that_reads_ahead_makes_no_difference(tmp_path, name):
    whole = fit(0, {}, None, SaveAlways(tmp_path))
    assert fit(1, {}, tmp_path / f"{name}.ckpt") == whole[int(name[:2]) :]
