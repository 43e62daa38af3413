"""Training inside a run: the loss of a batch, and the losses of each source in the log (Section 5.2)."""

from collections.abc import Sequence

import torch
from lightning import Trainer
from torch import Tensor

from vista.decoding.decoder import Decoder
from vista.models.vistallm import VistaLLM
from vista.task import Source
from vista.tokens.batch_types import TrainingBatch
from vista.tokens.tokenizer import Tokenizer
from vista.training.accumulation import AccumulatingModule, Window
from vista.training.evaluation import EvaluationModule


class LearningModule(EvaluationModule, AccumulatingModule):
    """The half of `VistaModule` that learns."""

    learned_words: Tensor  # bool (V,): which words were ever a target
    logged = "loss"  # what the sums of a source are

    def __init__(
        self,
        model: VistaLLM,
        decoder: Decoder,
        tokenizer: Tokenizer,
        trains_llm: bool,
    ) -> None:
        """Keep the parts.

        Args:
            model: what learns.
            decoder: how answers are written.
            tokenizer: of the language model.
            trains_llm: whether the language model is trained; a frozen one cannot learn words.
        """
        super().__init__(model, decoder)
        self.tokenizer = tokenizer
        self.trains_llm = trains_llm
        self.register_buffer("learned_words", torch.zeros(len(tokenizer), dtype=torch.bool))
        self.new_words: set[str] = set()
        self.window = Window(self._mean_over_processes)  # of a step that has several batches

    def on_train_start(self) -> None:
        """Begin the sums behind the mean loss of each source."""
        count = len(train_sources(self.trainer))
        self.loss_sums = torch.zeros(count, 2, device=self.device)  # nats and weights of each

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        """Weighted mean loss of all answer tokens of the global batch.

        Where a step has several batches, it is the mean of all their tokens (`vista/training/accumulation.py`).
        """
        weights = batch["loss_weights"][:, 1:]  # (B, T - 1)
        nats = (self.model(batch) * weights).sum(1)  # (B,)
        total, weight = nats.sum(), weights.sum()
        self._note_words(self._target_words(batch["labels"]))
        ends = self._ends_step(batch_idx)
        self._log_losses(nats.detach(), weights.sum(1), batch["source_index"], ends)
        batches = self.trainer.accumulate_grad_batches
        if batches == 1:
            # DDP averages gradients over processes: divided by the mean of all this is one mean over all processes.
            mean = total / self._mean_over_processes(weight).clamp(min=1e-6)
            shown = mean.detach()
        else:
            if batch_idx % batches == 0:
                self.window = Window(self._mean_over_processes)
            mean = self.window.add(total, weight)
            shown = self.window.loss
        self.log("train/loss", shown, prog_bar=True, sync_dist=True)
        return mean

    def _ends_step(self, batch_idx: int) -> bool:
        """Whether weights change after this batch: windows are counted from the first batch of an epoch."""
        full = (batch_idx + 1) % self.trainer.accumulate_grad_batches == 0
        return full or self.trainer.is_last_batch

    def _mean_over_processes(self, number: Tensor) -> Tensor:
        return self.trainer.strategy.reduce(number.clone(), reduce_op="mean")  # it works in place

    def _log_losses(self, nats: Tensor, weights: Tensor, source_index: Tensor, ends: bool) -> None:
        """Mean loss of each source since it was logged last, over all processes; in the steps that Lightning logs."""
        sums = torch.stack([nats, weights], dim=1)  # (B, 2)
        self.loss_sums.index_add_(0, source_index, sums.to(self.loss_sums))
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        if not ends or not every or (self.global_step + 1) % every:
            return
        totals = self.trainer.strategy.reduce(self.loss_sums.clone(), reduce_op="sum").tolist()
        for source, (total, weight) in zip(train_sources(self.trainer), totals, strict=True):
            if weight:
                self.log(f"train/{source.name}/{self.logged}", total / weight)
        self.loss_sums.zero_()

    def _target_words(self, labels: Tensor) -> Tensor:
        """Which words are a target of any process, bool (V,)."""
        counted = torch.zeros(self.learned_words.numel(), device=self.device)
        counted[labels[labels >= 0]] = 1
        return self.trainer.strategy.reduce(counted, reduce_op="max") > 0

    def _note_words(self, target_words: Tensor) -> None:
        """Remember which words were ever a target: a frozen LLM cannot learn to say another."""
        unseen = (target_words & ~self.learned_words).nonzero()[:, 0]
        if self.trains_llm:
            self.learned_words[unseen] = True
            return
        names = {self.tokenizer.decode([word]) or str(word) for word in unseen.tolist()}
        if new := names - self.new_words:
            self.new_words |= new
            self.print(
                f"warning: the frozen LLM is asked to say words it was never trained on: {sorted(new)}"
            )


def train_sources(trainer: Trainer) -> Sequence[Source]:
    """What is trained on; `source_index` of a batch counts them."""
    return trainer.datamodule.train_sources  # type: ignore[attr-defined,no-any-return]
