"""How fast training is, and what keeps it from being faster."""

import resource
import time
from typing import cast

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.types import STEP_OUTPUT

from vista.module import VistaModule
from vista.tokens.batch_types import TrainingBatch
from vista.training.flops import padded_size, step_flops, unit_flops


class Throughput(Callback):
    """Logs `speed/*` every `log_every_n_steps` and prints a line where no progress bar is shown.

    Of all processes together: `samples_per_s`, `tokens_per_s`. Of this process: `data_wait`, the share of time spent
    waiting for samples; `packing_efficiency`, the share of the decoder's positions that hold a token, in the batch that
    is logged; `memory_gb`, the peak; on a GPU of which Lightning knows the peak also `mfu`, the share of that peak, by
    what a token of the batch that is logged costs (`vista.training.flops`).
    """

    def __init__(self, print_every: int = 0) -> None:
        """Keep the settings.

        Args:
            print_every: steps from one printed line to the next; 0: no lines.
        """
        self.print_every = print_every

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clocks."""
        self.began = self.mark = time.perf_counter()
        self.waited = seconds_waited(trainer)
        self.samples = self.tokens = 0
        self.step = trainer.global_step
        self.peak_flops = peak_flops(pl_module.device, trainer.precision)
        if self.peak_flops:
            self.unit_flops = unit_flops(cast(VistaModule, pl_module).model)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clocks."""
        self.paused = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validation while training is neither training nor waiting for data."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.mark += time.perf_counter() - self.paused

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: TrainingBatch,
        batch_idx: int,
    ) -> None:
        """Count, and log now and then."""
        self.samples += len(batch["input_ids"])
        self.tokens += int(batch["attention_mask"].sum())
        if trainer.global_step == self.step:  # gradients are accumulated over more batches
            return
        self.step = trainer.global_step
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and trainer.global_step % every == 0:
            self._log(trainer, pl_module, batch)
        # Where a progress bar is shown, it says this.
        due = self.print_every and trainer.global_step % self.print_every == 0
        if due and trainer.is_global_zero:
            loss = float(trainer.callback_metrics["train/loss"])
            seconds = time.perf_counter() - self.began
            step = f"step {trainer.global_step}/{trainer.estimated_stepping_batches}"
            print(f"{step} {seconds:.0f} s loss {loss:.3f}", flush=True)

    def _log(self, trainer: Trainer, pl_module: LightningModule, batch: TrainingBatch) -> None:
        seconds = max(1e-9, time.perf_counter() - self.mark)
        own = [self.samples, self.tokens]
        counts = torch.tensor(own, dtype=torch.float, device=pl_module.device)  # (2,)
        samples, tokens = trainer.strategy.reduce(counts, reduce_op="sum").tolist()  # type: ignore[union-attr]
        model = cast(VistaModule, pl_module).model
        lengths = batch["attention_mask"].sum(1).tolist()
        speed = {
            "speed/samples_per_s": samples / seconds,
            "speed/tokens_per_s": tokens / seconds,
            "speed/data_wait": (seconds_waited(trainer) - self.waited) / seconds,
            "speed/packing_efficiency": sum(lengths) / padded_size(lengths, model.length_groups),
            "speed/memory_gb": peak_memory(pl_module.device),
        }
        if self.peak_flops:
            flops = step_flops(self.unit_flops, batch) / sum(lengths) * self.tokens
            speed["speed/mfu"] = flops / seconds / self.peak_flops
        pl_module.log_dict(speed, batch_size=1)
        self.mark, self.waited = time.perf_counter(), seconds_waited(trainer)
        self.samples = self.tokens = 0


def seconds_waited(trainer: Trainer) -> float:
    """Seconds for which the training loader was waited for, see `datamodules.timed_loader.TimedLoader`."""
    return float(getattr(trainer.train_dataloader, "waited", 0.0))


def peak_memory(device: torch.device) -> float:
    """Most memory used so far in GB: of the card, or on a CPU of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def peak_flops(device: torch.device, precision: str) -> float:
    """Operations a second that the card's maker states; 0 on a CPU and for cards that Lightning does not know."""
    if device.type != "cuda":
        return 0.0
    from lightning.fabric.utilities.throughput import get_available_flops

    kind = torch.float32
    if "bf16" in precision:
        kind = torch.bfloat16
    elif "16" in precision:
        kind = torch.float16
    return float(get_available_flops(device, kind) or 0.0)
