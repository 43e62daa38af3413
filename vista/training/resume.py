"""A resumed run under its own settings: where it is in its epoch and in its schedule, and how its weights are trained.

Lightning takes its counters and all settings of the optimizer from the checkpoint. But the batches that were counted
may have had another size, and settings may have been changed; so both are set anew before training begins.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lightning import Trainer
from torch.optim import Optimizer

Group: TypeAlias = dict[str, Any]  # settings of a group of parameters, by name
OF_GROUP = ("initial_lr", "weight_decay", "betas")  # settings of a group of parameters


@dataclass(frozen=True)
class Position:
    """Where a resumed run goes on, in its own batches.

    Attributes:
        epoch: counts from 0.
        batch: the first one of the epoch that is not done.
        same_steps: whether a step has as many samples as it had when the checkpoint was made.
    """

    epoch: int
    batch: int
    same_steps: bool = True


def reopen_epoch(checkpoint: dict[str, Any]) -> None:
    """Let an epoch go on that `max_steps` or `max_time` ended before its last batch; Lightning would begin the next.

    Args:
        checkpoint: whose counters are changed in place.
    """
    loops = checkpoint.get("loops", {}).get("fit_loop")
    if not loops:
        return
    epochs, batches = loops["epoch_progress"], loops["epoch_loop.batch_progress"]
    ended = epochs["current"]["processed"] == epochs["current"]["ready"] > 0
    if ended and not batches["is_last_batch"]:
        for counters in (epochs["total"], epochs["current"]):
            counters["processed"] -= 1
            counters["completed"] = counters["processed"]


def settings_of(optimizer: Optimizer) -> list[Group]:
    """How each group of a new optimizer is to be trained, before a checkpoint is read."""
    groups = []
    for group in optimizer.param_groups:
        groups.append({name: group[name] for name in OF_GROUP})
    return groups


def go_on(trainer: Trainer, position: Position, groups: Sequence[Group]) -> None:
    """Set right what was read from a checkpoint, when training begins.

    Args:
        trainer: that has read it.
        position: where training goes on.
        groups: of `settings_of`.
    """
    _count_batches(trainer, position)
    (optimizer,), (config,) = trainer.optimizers, trainer.lr_scheduler_configs
    schedule: Any = config.scheduler
    if not position.same_steps and not _ends_by_steps(trainer):
        schedule.last_epoch = _steps_before(trainer, position)
    for group, settings in zip(optimizer.param_groups, groups, strict=True):
        group.update(settings)
    schedule.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
    # As the schedule does after each step; its form, too, may have changed with the number of steps.
    for group, factor in zip(optimizer.param_groups, schedule.lr_lambdas, strict=True):
        group["lr"] = group["initial_lr"] * factor(schedule.last_epoch)


def _count_batches(trainer: Trainer, position: Position) -> None:
    """Count the batches of the epoch in those of this run: by them Lightning knows when it ends."""
    progress: Any = trainer.fit_loop.epoch_loop.batch_progress
    ended = progress.is_last_batch and progress.current.processed == progress.current.ready
    done = int(trainer.num_training_batches) if ended else position.batch
    more = done - progress.current.processed
    for name in ("ready", "started", "processed", "completed"):
        setattr(progress.current, name, getattr(progress.current, name) + more)
    progress.is_last_batch = ended


def _ends_by_steps(trainer: Trainer) -> bool:
    """Whether the schedule is as long as `max_steps`, which a batch of another size does not change."""
    return trainer.max_steps != -1 and trainer.estimated_stepping_batches == trainer.max_steps


def _steps_before(trainer: Trainer, position: Position) -> int:
    """How many steps of this run's size would have led to the position."""
    each = trainer.accumulate_grad_batches
    of_epoch = math.ceil(trainer.num_training_batches / each)
    return position.epoch * of_epoch + position.batch // each
