"""Step tags: every number of every weight and moment says after which step it was saved, so that a mixture is seen.

A callback fills them after each step, before anything is saved. The model learns nothing by that, but it is trained,
saved and resumed as any other; all of this runs through the same files.
"""

from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from vista.training.checkpoints import read_states
from vista.training.sharded_checkpoints import read_tensors


def tag(step: int) -> float:
    """A small number that float32 holds exactly, another for each step."""
    return step / 2**16


class StepTags(Callback):
    """Fills weights and moments with the tag of the step that has ended."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Callbacks that save come after all others."""
        tensors: list[torch.Tensor] = list(pl_module.parameters())
        for optimizer in trainer.optimizers:
            for moments in optimizer.state.values():
                tensors += [moment for moment in moments.values() if moment.ndim]
        with torch.no_grad():
            for tensor in tensors:
                tensor.fill_(tag(trainer.global_step))


def mixed_tensors(checkpoint: Path) -> tuple[int, list[str]]:
    """How many tensors of a sharded checkpoint were looked at, and which of them are not all of its step.

    Args:
        checkpoint: of a training with `StepTags`; Adam's counts of steps, which are single numbers, are compared, too.
    """
    step = read_states(checkpoint)["global_step"]
    tensors = read_tensors(checkpoint, "")
    numbers = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    wrong = []
    for name, tensor in numbers.items():
        expected = tag(step) if tensor.ndim else float(step)
        if bool((tensor != expected).any()):
            wrong.append(name)
    return len(numbers), sorted(wrong)
