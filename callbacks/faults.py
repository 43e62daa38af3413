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
    the run ends is intact. Where fp16 scales the loss, gradients overflow now and then, and its scaler takes a smaller
    scale: that is no fault, unless the loss itself is not finite or no scale is left.

    SIGTERM and Ctrl+C, whichever processes they reach, end the run after the next step. Lightning's own handlers send
    messages between the processes from within the signal, wherever each of them is just then, and can wait for ever.
    """

    def __init__(self, max_skipped: int = 20, slow_step: float = 900.0, window: int = 1000) -> None:
        """Keep the settings.

        Args:
            max_skipped: steps of a window that are left out before the run ends.
            slow_step: seconds after which a step is said to hang.
            window: so many steps are looked back upon.
        """
        self.max_skipped, self.slow_step, self.window = max_skipped, slow_step, window
        self.skipped = 0  # in all
        self.recent: list[int] = []  # the last of these since the run began or was resumed
        self.finite_loss = torch.ones(())  # 0 where a loss of this step is not finite
        self.signal = 0  # the one that this process got
        self.ends = False  # some process got it, and all know
        self.ids: list[str] = []  # samples of the step, which may have several batches
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
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self.ids, self.finite_loss = [], torch.ones((), device=pl_module.device)
        self.ids += batch["ids"]
        self._start(
            f"rank {trainer.global_rank}: step {trainer.global_step + 1}", "forward and backward"
        )

    @property
    def samples(self) -> str:
        """The samples of the step."""
        return " ".join(self.ids) or "none yet"

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        """Look at the loss without waiting for it."""
        self.finite_loss = self.finite_loss * loss.detach().isfinite()

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        """Drop all gradients where one of any process is not finite; ask whether one is to end.

        Raises:
            RuntimeError: too many of the last steps were left out.
        """
        trained = chain.from_iterable(group["params"] for group in optimizer.param_groups)
        parameters = [parameter for parameter in trained if parameter.grad is not None]
        finite = all_finite(parameters)
        goes_on = 1 - finite.new_tensor(bool(self.signal))
        answers = torch.stack([finite, goes_on, self.finite_loss.to(finite)])  # (3,)
        # One reduction serves all questions: the least of all processes is 0 where any says no.
        finite, goes_on, finite_loss = trainer.strategy.reduce(answers, reduce_op="min")
        self.ends = bool(goes_on == 0)
        if finite > 0:
            return
        for parameter in parameters:
            parameter.grad = None
        if not (finite_loss > 0 and has_scale_left(trainer)):
            self._leave_out(trainer)

    def _leave_out(self, trainer: Trainer) -> None:
        step = trainer.global_step + 1
        self.skipped += 1
        self.recent = [*(before for before in self.recent if before > step - self.window), step]
        self._say(
            f"rank {trainer.global_rank}: step {step} is left out, its gradient is not finite; samples {self.samples}"
        )
        if len(self.recent) > self.max_skipped:
            raise RuntimeError(
                f"{len(self.recent)} steps had a gradient that is not finite, of the last {self.window}; "
                "the run ends here"
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


def has_scale_left(trainer: Trainer) -> bool:
    """Whether the loss is scaled, and may still be scaled less: what is not finite may then be an overflow."""
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return scaler is not None and scaler.get_scale() > 1
