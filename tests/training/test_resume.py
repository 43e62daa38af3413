"""Whenever a checkpoint is made, a run resumed from it sees the samples that the unbroken run would have seen.

Settings that were changed are used, or refused in one sentence.
"""

from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader, Dataset

from datamodules.groups import in_memory
from datamodules.mixture import MixtureData
from datamodules.order import SHUFFLE, Order
from datamodules.settings import SampleOrder
from vista.data import InputError
from vista.training.resume import await_validation, go_on, reopen_epoch, settings_of
from vista.training.schedule import warmup_cosine


class Keys(Dataset[torch.Tensor]):
    """The keys themselves."""

    def __getitems__(self, keys: list[Any]) -> torch.Tensor:
        return torch.tensor(keys)


class Data(LightningDataModule):
    """The mixture's order, position and loader without its samples: 24 samples, six batches in an epoch."""

    train_sources: tuple[Any, ...] = ()
    encoding = max_tokens = loss_per = None
    order = SampleOrder()
    resumed, batches, order_of = None, None, {}
    train_dataloader = MixtureData.train_dataloader
    state_dict, load_state_dict = MixtureData.state_dict, MixtureData.load_state_dict

    def __init__(self, workers: int, batch_size: int = 4) -> None:
        super().__init__()
        self.workers, self.batch_size = workers, batch_size
        self.train_order = Order([in_memory(iter([np.arange(24).reshape(12, 2)]))], [1.0])

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


class Scheduled(Seen):
    """As a real module: a schedule, and what a resumed one does."""

    def __init__(self, **settings: float) -> None:
        super().__init__()
        self.settings, self.rates = {"lr": 0.1, "weight_decay": 0.1, **settings}, list[float]()

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), **self.settings)
        num_steps = int(self.trainer.estimated_stepping_batches)
        scheduled = warmup_cosine(optimizer, num_steps, warmup_share=0.01)
        self.groups = settings_of(optimizer)
        return scheduled

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        reopen_epoch(checkpoint)
        await_validation(checkpoint)

    def on_train_start(self) -> None:
        resumed = self.trainer.datamodule.resumed  # type: ignore[attr-defined]
        if resumed is not None:
            go_on(self.trainer, resumed, self.groups)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        (group,) = optimizer.param_groups
        self.rates.append(group["lr"])


def fit(
    workers: int,
    settings: dict[str, Any],
    checkpoint: Path | None = None,
    *callbacks: Callback,
    module: Seen | None = None,
    batch_size: int = 4,
) -> list[Any]:
    module = module or Seen()
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False, callbacks=[*callbacks],
        **{"max_epochs": 2, **settings},
    )  # fmt: skip
    data = Data(workers, batch_size)
    trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    return module.seen


def samples(batches: list[Any]) -> list[Any]:
    return list(chain.from_iterable(batches))


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


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("release", ["no order", "no number of its shuffle", "another shuffle"])
def test_a_checkpoint_of_another_release_s_order_is_refused(tmp_path, release):
    """Its place is a place in that order; at an epoch's beginning, too, where samples of the epoch before may come."""
    fit(0, {}, None, SaveAlways(tmp_path))
    for name in ("04-batch", "06-epoch"):
        checkpoint = torch.load(tmp_path / f"{name}.ckpt", weights_only=True)
        state = checkpoint["Data"]
        assert state.pop("shuffle") == SHUFFLE
        if release == "no order":
            del state["order"]
        if release == "another shuffle":
            state["shuffle"] = SHUFFLE + 1
        torch.save(checkpoint, tmp_path / "old.ckpt")
        with pytest.raises(InputError, match="an order of samples that another release ") as error:
            fit(0, {}, tmp_path / "old.ckpt")
        assert "--model.init_from" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("batch_size", [2, 6, 8, 24])
@pytest.mark.parametrize("settings", [{}, {"limit_val_batches": 0}], ids=str)
def test_a_batch_of_another_size_goes_on_at_the_same_sample(tmp_path, batch_size, settings):
    whole = samples(fit(0, settings, None, SaveAlways(tmp_path), module=Scheduled()))
    refused = 0
    for checkpoint in sorted(tmp_path.glob("*.ckpt")):
        done = int(checkpoint.name[:2]) * 4
        module = Scheduled()
        resume = partial(fit, 0, settings, checkpoint, module=module, batch_size=batch_size)
        if done % 24 % batch_size:
            refused += 1
            with pytest.raises(InputError, match=rf"at sample {done % 24} of its epoch, where no "):
                resume()
            continue
        assert samples(resume()) == whole[done:], checkpoint.name
        # The schedule is as far as the samples are, and ends with the last one.
        steps, total = len(module.rates), 48 // batch_size
        assert steps == (48 - done) // batch_size
        assert module.rates == factors(total)[total - steps :]
    assert bool(refused) == (batch_size != 2)


def factors(steps: int) -> list[float]:
    """Learning rates of an unbroken run."""
    module = Scheduled()
    optimizer = torch.optim.AdamW(module.parameters(), 0.1)
    schedule = warmup_cosine(optimizer, steps, warmup_share=0.01)["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("workers", [0, 1])
def test_steps_of_several_batches_go_on_as_one_batch_of_their_size(tmp_path, workers):
    """And the other way round; between two steps a checkpoint stands before the first sample of the unfinished one."""
    each = {"accumulate_grad_batches": 2, "limit_val_batches": 0}
    whole = samples(fit(0, each, None, SaveAlways(tmp_path), module=Scheduled()))
    for name, done in (("01-batch", 8), ("03-epoch", 24), ("04-batch", 32)):
        checkpoint, module = tmp_path / f"{name}.ckpt", Scheduled()
        resumed = fit(workers, {}, checkpoint, module=module, batch_size=8)
        assert samples(resumed) == whole[done:] and module.rates == factors(6)[done // 8 :]
        assert samples(fit(workers, each, checkpoint, module=Scheduled())) == whole[done:]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_checkpoint_of_a_validation_within_a_step_stands_before_it(tmp_path):
    each = {"accumulate_grad_batches": 2, "val_check_interval": 1}
    whole = samples(fit(0, each, None, SaveAlways(tmp_path), module=Scheduled()))
    for step, done in ((1, 8), (2, 16), (3, 24), (4, 32), (5, 40)):
        checkpoint, module = tmp_path / f"{step:02d}-validation.ckpt", Scheduled()
        assert samples(fit(0, each, checkpoint, module=module)) == whole[done:]
        assert module.rates == factors(6)[step:] and module.trainer.global_step == 6


class Stop(Callback):
    """An error of a batch, before or after it is learned from."""

    def __init__(self, hook: str, batch: int, folder: Path) -> None:
        self.batch, self.folder = batch, folder
        setattr(self, hook, self._stop)

    def _stop(self, trainer: Trainer, *_: Any) -> None:
        if trainer.fit_loop.total_batch_idx == self.batch:
            raise ValueError("no more")

    def on_exception(self, trainer: Trainer, *_: Any) -> None:
        trainer.save_checkpoint(self.folder / "broken.ckpt")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("each", "hook", "batch", "done"),
    [
        (1, "on_before_backward", 5, 20),  # the last batch of the first epoch comes again
        (1, "on_before_backward", 8, 32),
        (2, "on_before_backward", 2, 8),
        (2, "on_before_backward", 3, 8),  # the second batch of a step: the first one comes again
        (2, "on_train_batch_end", 2, 8),
        (2, "on_train_batch_end", 6, 24),  # the first batch of an epoch
        (4, "on_before_backward", 5, 16),  # an epoch's last step, which has two batches
    ],
)
def test_after_an_error_the_samples_of_an_unfinished_step_come_again(
    tmp_path, each, hook, batch, done
):
    settings = {"accumulate_grad_batches": each, "limit_val_batches": 0}
    whole = samples(fit(0, settings, module=Scheduled()))
    with pytest.raises(ValueError, match="no more"):
        fit(0, settings, None, Stop(hook, batch, tmp_path), module=Scheduled())
    module = Scheduled()
    resumed = fit(0, settings, tmp_path / "broken.ckpt", module=module)
    assert samples(resumed) == whole[done:]
    total = 2 * -(-6 // each)
    assert (
        module.rates == factors(total)[-len(module.rates) :] and module.trainer.global_step == total
    )


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("steps", [4, 6, 9])
def test_a_run_that_ended_by_its_number_of_steps_goes_on_in_the_middle_of_its_epoch(
    tmp_path, workers, steps
):
    whole = samples(fit(0, {}, module=Scheduled()))
    first = fit(0, {"max_steps": steps}, None, SaveAlways(tmp_path), module=Scheduled())
    assert samples(first) == whole[: 4 * steps]
    for hook in ("batch", "epoch"):
        checkpoint, module = tmp_path / f"{steps:02d}-{hook}.ckpt", Scheduled()
        assert samples(fit(workers, {}, checkpoint, module=module)) == whole[4 * steps :], hook
        assert module.rates == factors(12)[steps:] and module.trainer.global_step == 12


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_another_learning_rate_and_weight_decay_are_used(tmp_path):
    fit(0, {}, None, SaveAlways(tmp_path), module=Scheduled())
    module = Scheduled(lr=0.2, weight_decay=0.3)
    module.settings["betas"] = (0.5, 0.6)  # type: ignore[assignment]
    fit(0, {}, tmp_path / "05-batch.ckpt", module=module)
    assert module.rates == [2 * rate for rate in factors(12)[5:]]
    (group,) = module.trainer.optimizers[0].param_groups
    assert (group["weight_decay"], group["betas"]) == (0.3, (0.5, 0.6))
