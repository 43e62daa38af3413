"""The loss of a step whose batches come one after the other (`--trainer.accumulate_grad_batches`).

How much the tokens of a whole window weigh is known with its last batch, but the gradient of the first is needed before
that. So every batch is divided by the weight of the first one, which keeps the gradient near its size (fp16), and the
gradients are set right before they are clipped: one batch of 64 and eight of 8 then have one gradient.
"""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer


class Window:
    """The batches of one optimizer step so far."""

    def __init__(self, mean_over_processes: Callable[[Tensor], Tensor]) -> None:
        """Begin without a batch.

        Args:
            mean_over_processes: of a number; DDP and FSDP make the same of the processes' gradients.
        """
        self.mean_over_processes = mean_over_processes
        self.total = self.own_weight = torch.zeros(())  # nats and tokens of this process, weighted
        self.weight = torch.zeros(())  # of the tokens, as a mean over all processes
        self.unit: Tensor | None = None  # that of the first batch, by which every loss is divided

    def add(self, total: Tensor, weight: Tensor) -> Tensor:
        """Take in a batch.

        Args:
            total: weighted nats of all its tokens on this process, with a graph.
            weight: of these tokens.

        Returns:
            the loss to go backward from.
        """
        self.total = self.total + total.detach().float()  # in bfloat16 a sum loses its small parts
        self.own_weight = self.own_weight + weight.float()
        self.weight = self.mean_over_processes(self.own_weight)
        if self.unit is None:
            self.unit = torch.where(self.weight > 0, self.weight, 1.0)
        return total / self.unit

    @property
    def loss(self) -> Tensor:
        """This process's part of the mean loss of all tokens so far; the mean over processes is the whole."""
        return self.total / self.weight.clamp(min=1e-6)

    def correct(self, parameters: Iterable[Parameter], batches: int) -> None:
        """Make the gradients those of the mean loss of the window's tokens.

        Args:
            parameters: that were trained on the losses that `add` gave.
            batches: by how many Lightning divided each loss, however few a window at the end of an epoch has.
        """
        assert self.unit is not None
        factor = float(batches * self.unit / self.weight.clamp(min=1e-6))
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(factor)


class AccumulatingModule(LightningModule):
    """A module whose steps may have several batches."""

    window: Window  # of the step that is under way

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """A step; where it has several batches, its gradients are set right once the last one has gone backward."""
        closure = optimizer_closure
        if closure is not None and self.trainer.accumulate_grad_batches > 1:
            closure = partial(self._last_of_window, optimizer, closure)
        super().optimizer_step(epoch, batch_idx, optimizer, closure)

    def _last_of_window(self, optimizer: Optimizer, closure: Callable[[], Any]) -> Any:
        loss = closure()
        trained = chain.from_iterable(group["params"] for group in optimizer.param_groups)
        self.window.correct(trained, self.trainer.accumulate_grad_batches)
        return loss
