"""Faults of a long run: bad steps are left out, slow ones are named, a signal ends all processes at once."""

import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from itertools import chain
from types import FrameType
from typing import Any, TypeAlias

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from vista.tokens.batch_types import TrainingBatch

Handler: TypeAlias = (
    Callable[[int, FrameType | None], Any] | int | None
)  # as `signal.signal` gives it


class Faults(Callback):
    """Leaves a bad step out on all processes, and names its samples; ends a run that has too many.

    A step that is left out changes no weight and no moment of the optimizer, so the checkpoint that is written when
    the run ends is intact.

    SIGTERM and Ctrl+C, whichever processes they reach, end the run after the next step. Lightning's own handlers send
    messages between the processes from within the signal, wherever each of them is just then, and can wait for ever.
    """

    def __init__(self, max_skipped: int = 20, slow_step: float = 900.0) -> None:
        """Keep the settings.

        Args:
            max_skipped: steps that are left out before the run ends.
            slow_step: seconds after which a step is said to hang.
        """
        self.max_skipped, self.slow_step = max_skipped, slow_step
        self.skipped = 0
        self.signal = 0  # the one that this process got
        self.ends = False  # some process got it, and all know
        self.samples = "none yet"
        self.timer: threading.Timer | None = None
        self.handler: Handler = None  # of Ctrl+C, outside of training

    def state_dict(self) -> dict[str, int]:
        """How many steps were left out, also before a run was resumed."""
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """As saved."""
        self.skipped = state_dict["skipped"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals over from Lightning, which itself puts SIGTERM's handler back when training ends."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._terminate)
            self.handler = signal.signal(signal.SIGINT, self._terminate)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: TrainingBatch, batch_idx: int
    ) -> None:
        """Remember the samples, and start the clock."""
        self.samples = " ".join(batch["ids"])
        self._start(
            f"rank {trainer.global_rank}: step {trainer.global_step + 1}", "forward and backward"
        )

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Drop all gradients where one of any process is not finite; ask whether one is to end.

        Raises:
            RuntimeError: too many steps were left out.
        """
        trained = chain.from_iterable(group["params"] for group in optimizer.param_groups)
        parameters = [parameter for parameter in trained if parameter.grad is not None]
        finite = all_finite(parameters)
        goes_on = 1 - finite.new_tensor(bool(self.signal))
        # One reduction serves both questions: the least of all processes is 0 where any says no.
        agreed = trainer.strategy.reduce(torch.stack([finite, goes_on]), reduce_op="min")  # (2,)
        self.ends = bool(agreed[1] == 0)
        if agreed[0] > 0:
            return
        for parameter in parameters:
            parameter.grad = None
        self.skipped += 1
        self._say(
            f"rank {trainer.global_rank}: step {trainer.global_step + 1} is left out, its gradient is not finite; "
            f"samples {self.samples}"
        )
        if self.skipped > self.max_skipped:
            raise RuntimeError(
                f"{self.skipped} steps had a gradient that is not finite; the run ends here"
            )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: TrainingBatch,
        batch_idx: int,
    ) -> None:
        """Count, and wait for the next samples.

        Raises:
            SIGTERMException: a process got a signal; raised on all, and a checkpoint is written on its way out.
        """
        pl_module.log("faults/skipped_steps", float(self.skipped), batch_size=1)
        if self.ends:  # one process tells the shell, so that no launcher kills the others for it
            raise SIGTERMException(
                128 + (self.signal or signal.SIGTERM) if trainer.is_global_zero else 0
            )
        self._start(
            f"rank {trainer.global_rank}: after step {trainer.global_step}",
            "reading the next samples",
        )

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Decoding takes its time."""
        self._stop()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Nothing more to wait for, and Ctrl+C means again what it meant before training."""
        self._stop()
        if self.handler is not None:
            signal.signal(signal.SIGINT, self.handler)
            self.handler = None

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """As at the end of training."""
        self.on_train_end(trainer, pl_module)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        if multiprocessing.parent_process() is not None:
            return  # a loader, which ends with the process that started it
        if number == signal.SIGINT:
            if self.signal:
                raise KeyboardInterrupt
            self._say(
                "the run ends after this step, with a checkpoint; Ctrl+C again ends it at once"
            )
        self.signal = number

    def _start(self, where: str, doing: str) -> None:
        self._stop()
        text = f"{where}: {doing} has taken {self.slow_step:.0f} s; samples {self.samples}"
        self.timer = threading.Timer(self.slow_step, self._say, [text])
        self.timer.daemon = True
        self.timer.start()

    def _stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def _say(self, text: str) -> None:
        print(f"warning: {text}", file=sys.stderr, flush=True)


def all_finite(parameters: Sequence[Parameter]) -> Tensor:
    """1.0 where every gradient on this process is finite, else 0.0; of a sharded one its own part."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    shards = [getattr(gradient, "_local_tensor", gradient) for gradient in gradients]
    return torch.stack([shard.isfinite().all() for shard in shards]).all().float()
