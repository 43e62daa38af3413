"""Training of VistaLLM (Section 5.2) as a LightningModule; its evaluation stands in `vista/training/evaluation.py`."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor
from torch.optim import Optimizer

from vista.codec.codec import Codec
from vista.data import InputError
from vista.decoding.decoder import Decoder, Decoding
from vista.models.config_file import unseen_settings
from vista.models.coordinates import CoordinateInit, init_coordinates
from vista.models.parts import LLM, Encoder, QFormer
from vista.models.vistallm import VistaLLM
from vista.models.weights import check_shapes, load_part, load_queries
from vista.task import Source
from vista.tokens.batch_types import TrainingBatch
from vista.tokens.tokenizer import Tokenizer
from vista.training.accumulation import Window
from vista.training.checkpoints import read_checkpoint
from vista.training.evaluation import EvaluationModule
from vista.training.optimizer import Muon, Optimization, parameter_groups
from vista.training.resume import go_on, reopen_epoch, settings_of
from vista.training.schedule import warmup_cosine
from vista.training.sharding import shard

PARTS = {  # what may be trained or frozen -> the names in VistaLLM
    "encoder": ("vision_model",),
    "tokenizer": ("qformer", "query_tokens", "language_projection"),
    "llm": ("language_model",),
}


class VistaModule(EvaluationModule):
    """The model, its loss and its optimizer; its evaluation is inherited."""

    learned_words: Tensor  # bool (V,): which words were ever a target

    def __init__(
        self,
        encoder: Encoder,
        qformer: QFormer,
        llm: LLM,
        tokenizer: Tokenizer,
        codec: Codec,
        trainable: list[str] = ["tokenizer", "llm"],  # noqa: B006 (never changed)
        optimization: Optimization = Optimization(),
        length_groups: int = 8,
        coordinate_init: CoordinateInit = "sinusoid",
        decoding: Decoding = Decoding(),
        weights: Path | None = None,
        init_from: Path | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            encoder: the image encoder.
            qformer: the instruction-guided image tokenizer.
            llm: the language model.
            tokenizer: of the language model.
            codec: how regions are written as text.
            trainable: parts that are trained, of `encoder`, `tokenizer` (the QFormer, its queries and the
                projection) and `llm`; the others are frozen.
            optimization: the optimizer and its schedule.
            length_groups: see `VistaLLM`; few where the model is so small that a call costs more than padding.
            coordinate_init: how the embeddings of the numbers start, `sinusoid` or `mean`.
            decoding: how answers are written.
            weights: InstructBLIP checkpoint (file or folder) whose queries and projection are taken.
            init_from: checkpoint or run folder of an earlier stage whose weights are taken by name.

        Raises:
            InputError: an unknown part, or a checkpoint made under other settings.
        """
        model = VistaLLM(encoder, qformer, llm, tokenizer.image_id, length_groups)
        super().__init__(model, Decoder(tokenizer, decoding))
        if unknown := set(trainable) - set(PARTS):
            raise InputError(
                f"there is no part {sorted(unknown)[0]!r} to train; there are {', '.join(PARTS)}"
            )
        inputs: Any = llm.get_input_embeddings()
        head: Any = llm.get_output_embeddings()
        digits = llm.pretrained  # a pretrained LLM keeps the rows of its digits
        init_coordinates(
            inputs.weight, head.weight, tokenizer.number_ids, coordinate_init, keep_digits=digits
        )
        if weights is not None:
            load_queries(self.model.query_tokens, weights)
            load_part(self.model.language_projection, weights, "language_projection.")
        self.tokenizer, self.codec = tokenizer, codec
        self.trainable, self.optimization = trainable, optimization
        self.register_buffer("learned_words", torch.full((len(tokenizer),), llm.pretrained))
        self.learned_words[tokenizer.number_ids[10:]] = False
        self.new_words: set[str] = set()
        self.window = Window(self._mean_over_processes)  # of a step that has several batches
        self.init_from = init_from
        if init_from is not None:
            checkpoint = read_checkpoint(init_from)
            self.on_load_checkpoint(checkpoint)
            self.load_state_dict(checkpoint["state_dict"])
        for part, names in PARTS.items():
            for name in names:
                getattr(self.model, name).requires_grad_(part in trainable)

    # Training

    def configure_model(self) -> None:
        """Shard the model where the strategy is `ModelParallelStrategy`; Lightning calls this when processes exist.

        Raises:
            InputError: the strategy is `FSDPStrategy`, whose flat weights the optimizer and decoding cannot take.
        """
        if isinstance(self.trainer.strategy, FSDPStrategy):
            raise InputError(
                "FSDPStrategy (FSDP1) makes all weights flat; take FSDP2, as configs/places/fsdp.yaml does"
            )
        if self.device_mesh is not None:
            shard(self.model, self.device_mesh, bf16="bf16" in str(self.trainer.precision))

    def on_train_start(self) -> None:
        """Sums behind the mean loss of each source; and what a resumed run does otherwise than before."""
        count = len(train_sources(self.trainer))
        self.loss_sums = torch.zeros(count, 2, device=self.device)  # nats and weights of each
        resumed = getattr(self.trainer.datamodule, "resumed", None)  # type: ignore[attr-defined]
        if resumed is not None:
            go_on(self.trainer, resumed, self.groups)

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
                self.log(f"train/{source.name}/loss", total / weight)
        self.loss_sums.zero_()

    def _target_words(self, labels: Tensor) -> Tensor:
        """Which words are a target of any process, bool (V,)."""
        counted = torch.zeros(self.learned_words.numel(), device=self.device)
        counted[labels[labels >= 0]] = 1
        return self.trainer.strategy.reduce(counted, reduce_op="max") > 0

    def _note_words(self, target_words: Tensor) -> None:
        """Remember which words were ever a target: a frozen LLM cannot learn to say another."""
        unseen = (target_words & ~self.learned_words).nonzero()[:, 0]
        if "llm" in self.trainable:
            self.learned_words[unseen] = True
            return
        names = {self.tokenizer.decode([word]) or str(word) for word in unseen.tolist()}
        new = names - self.new_words
        if new:
            self.new_words |= new
            self.print(
                f"warning: the frozen LLM is asked to say words it was never trained on: {sorted(new)}"
            )

    def configure_optimizers(self) -> Any:
        """The optimizer under a cosine with warm-up.

        Raises:
            InputError: Muon is asked to train sharded matrices, or the training has no end.
        """
        settings = self.optimization
        if settings.optimizer == "muon" and self.device_mesh is not None:
            raise InputError(
                "Muon needs whole matrices, which a sharded model has not; "
                "set --model.optimization.optimizer adamw"
            )
        head: Any = self.model.language_model.get_output_embeddings()  # type: ignore[operator]
        groups = parameter_groups(self.model, head.weight, settings.weight_decay)
        kind = Muon if settings.optimizer == "muon" else torch.optim.AdamW
        optimizer = kind(groups, lr=settings.learning_rate, betas=settings.betas)
        num_steps = self.trainer.estimated_stepping_batches
        if not isfinite(num_steps):
            raise InputError(
                "the learning rate falls to zero at the last step, so that there must be one: set --trainer.max_epochs "
                "or --trainer.max_steps; --trainer.max_time may end the run before"
            )
        scheduled = warmup_cosine(optimizer, int(num_steps), settings.warmup_share)
        self.groups = settings_of(optimizer)
        return scheduled

    # Checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the tokenizer and the settings under which the model's text is written."""
        checkpoint["vista"] = {
            "tokenizer": self.tokenizer.to_json(),
            "settings": self.text_settings(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint that writes its text in another way, or has other sizes.

        Raises:
            InputError: names the setting or the parameter, and both values.
        """
        reopen_epoch(checkpoint)
        saved = checkpoint.get("vista", {}).get("settings", {})
        for name, value in self.text_settings().items():
            if saved.get(name, value) != value:
                raise InputError(
                    f"the checkpoint was made with {name} {saved[name]}, this run has {value}"
                )
        if "vista" in checkpoint and checkpoint["vista"]["tokenizer"] != self.tokenizer.to_json():
            folders = (
                "name its folder by --tokenizer.folder, the QFormer's by --tokenizer.instructions"
            )
            raise InputError(f"the checkpoint was made with another tokenizer; {folders}")
        if "state_dict" in checkpoint:
            check_shapes(checkpoint["state_dict"], self.state_dict())

    def text_settings(self) -> dict[str, Any]:
        """Settings of tokenizer, codec and parts that a checkpoint depends on, and no shape of a weight tells."""
        names = ("num_bins", "num_points", "method", "multipart", "scale")
        codec = {name: getattr(self.codec, name) for name in names}
        return {**self.tokenizer.settings, **codec, **unseen_settings(self.model)}


def train_sources(trainer: Trainer) -> Sequence[Source]:
    """What is trained on; `source_index` of a batch counts them."""
    return trainer.datamodule.train_sources  # type: ignore[attr-defined,no-any-return]
