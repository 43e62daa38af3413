"""A resumed run under its own settings: where it is in its epoch and in its schedule, and how its weights are trained.

Lightning takes its counters and all settings of the optimizer from the checkpoint. But the batches that were counted
may have had another size, and settings may have been changed; so both are set anew before training begins. And what
was due after the last step comes first: a validation that was broken off, and the end of the epoch.
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
    cut = ended and not batches["is_last_batch"]
    for counters in (epochs["total"], epochs["current"]):
        counters["processed"] -= cut
        counters["completed"] = counters["processed"]


def await_validation(checkpoint: dict[str, Any]) -> None:
    """Let a run go on behind its last step: with the validation, if one is due there that was not made to its end.

    Lightning takes most of those that were broken off for done, and all that had not begun. Here such a one is at its
    beginning; where none is due, Lightning does not look at it.

    Args:
        checkpoint: whose counters are changed in place.
    """
    loops = checkpoint.get("loops", {}).get("fit_loop")
    if not loops:
        return
    epoch, batches = loops["epoch_progress"]["current"], loops["epoch_loop.batch_progress"]
    validation = loops["epoch_loop.val_loop.batch_progress"]
    step, scored = batches["current"], validation["current"]
    begun = step["completed"] == step["processed"]
    made = begun and validation["is_last_batch"] and scored["completed"] == scored["ready"]
    owed = int(not made and epoch["processed"] < epoch["ready"])
    batches["is_last_batch"] &= step["processed"] == step["ready"]
    for counters in (batches["total"], step):
        _all_at(counters, counters["processed"])
    for counters in (validation["total"], scored):
        _all_at(counters, 0 if owed else counters["completed"])
        counters["ready"] += owed
        counters["started"] += owed


def _all_at(counters: dict[str, int], number: int) -> None:
    """Nothing is begun that has not ended."""
    counters.update(dict.fromkeys(counters, number))


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
    _begin_behind_step(trainer)
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


def _begin_behind_step(trainer: Trainer) -> None:
    """In the log, a validation that comes first belongs to the step before it; an ended epoch gives no more batches.

    With `max_steps`, Lightning would even go through an epoch again whose end is in the checkpoint.
    """
    loop: Any = trainer.fit_loop.epoch_loop
    fetcher: Any = trainer.fit_loop._data_fetcher
    epoch = trainer.fit_loop.epoch_progress.current
    loop.restarting &= epoch.processed < epoch.ready  # type: ignore[attr-defined]
    due = loop.restarting and loop._should_check_val_fx(fetcher)
    loop._batches_that_stepped = trainer.global_step - due
    # Those that the loader gives are the next epoch's.
    fetcher.done = loop.restarting and loop.batch_progress.is_last_batch


def _ends_by_steps(trainer: Trainer) -> bool:
    """Whether the schedule is as long as `max_steps`, which a batch of another size does not change."""
    return trainer.max_steps != -1 and trainer.estimated_stepping_batches == trainer.max_steps


def _steps_before(trainer: Trainer, position: Position) -> int:
    """How many steps of this run's size would have led to the position."""
    each = trainer.accumulate_grad_batches
    of_epoch = math.ceil(trainer.num_training_batches / each)
    return position.epoch * of_epoch + position.batch // each
