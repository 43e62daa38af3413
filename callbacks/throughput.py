"""How fast training is: samples and tokens a second, and the share of time spent waiting for data."""

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer


class Throughput(Callback):
    """Logs `speed/*` every `log_every_n_steps` and prints a line where no progress bar is shown."""

    def __init__(self, print_every: int = 0) -> None:
        """Keep the settings.

        Args:
            print_every: steps from one printed line to the next; 0: no lines.
        """
        self.print_every = print_every

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clocks."""
        self.began = self.mark = self.batch_end = time.perf_counter()
        self.waited, self.samples, self.tokens = 0.0, 0, 0
        self.step = trainer.global_step

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clocks."""
        self.paused = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validation while training is neither training nor waiting for data."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            pause = time.perf_counter() - self.paused
            self.mark, self.batch_end = self.mark + pause, self.batch_end + pause

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What happens between epochs, such as saving a checkpoint, is no waiting for data."""
        self.batch_end = time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """What passed since the last batch ended was waiting for this one."""
        self.waited += time.perf_counter() - self.batch_end

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count, and log now and then."""
        self.batch_end = time.perf_counter()
        self.samples += len(batch["input_ids"])
        self.tokens += int(batch["attention_mask"].sum())
        if trainer.global_step == self.step:  # gradients are accumulated over more batches
            return
        self.step = trainer.global_step
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and trainer.global_step % every == 0:
            self._log(trainer, pl_module)
        if self.print_every and trainer.global_step % self.print_every == 0 and trainer.is_global_zero:
            loss = float(trainer.callback_metrics["train/loss"])
            seconds = time.perf_counter() - self.began
            print(
                f"step {trainer.global_step}/{trainer.estimated_stepping_batches} {seconds:.0f} s loss {loss:.3f}",
                flush=True,
            )

    def _log(self, trainer: Trainer, pl_module: LightningModule) -> None:
        seconds = max(1e-9, time.perf_counter() - self.mark)
        speed = {
            "speed/samples_per_s": self.samples / seconds,
            "speed/tokens_per_s": self.tokens / seconds,
            "speed/data_wait": self.waited / seconds,
        }
        pl_module.log_dict(speed, batch_size=1)
        self.mark, self.waited, self.samples, self.tokens = time.perf_counter(), 0.0, 0, 0
