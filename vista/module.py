"""VistaLLM as a LightningModule: its parts, their optimizer (Section 5.2), sharding and checkpoints.

The steps are inherited: training from `vista/training/learning.py`, evaluation from `vista/training/evaluation.py`.
"""

from collections.abc import Collection
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any, Literal, Self

import torch
from lightning.pytorch.strategies import FSDPStrategy
from torch import nn
from transformers import PreTrainedModel

from vista.codec.codec import Codec
from vista.data import InputError
from vista.decoding.decoder import Decoder, Decoding
from vista.models.adapters import Adapters, begin
from vista.models.config_check import differing, unseen_settings
from vista.models.coordinates import CoordinateInit, init_coordinates
from vista.models.laid_out import is_laid_out, keep_frozen_in
from vista.models.merged import Merging, check_adapters
from vista.models.parts import QFormer
from vista.models.trained import PARTS, freeze_parts, put_on_parts
from vista.models.vistallm import VistaLLM
from vista.models.weights import check_shapes, fill_part, load_part, load_queries
from vista.tokens.tokenizer import Tokenizer
from vista.training.learning import LearningModule
from vista.training.optimizer import Optimization, make_optimizer
from vista.training.resume import await_validation, go_on, reopen_epoch, settings_of
from vista.training.schedule import warmup_cosine
from vista.training.sharding import shard
from vista.training.start import describe, fill_from

FrozenDtype = Literal["float32", "bfloat16"]


class VistaModule(LearningModule):
    """The model and its optimizer; how it learns and answers is inherited."""

    def __init__(
        self,
        encoder: PreTrainedModel,
        qformer: QFormer,
        llm: PreTrainedModel,
        tokenizer: Tokenizer,
        codec: Codec,
        trainable: list[str] = ["tokenizer", "llm"],  # noqa: B006 (never changed)
        optimization: Optimization = Optimization(),
        length_groups: int = 8,
        coordinate_init: CoordinateInit = "sinusoid",
        decoding: Decoding = Decoding(),
        weights: Path | None = None,
        init_from: Path | None = None,
        frozen_dtype: FrozenDtype = "float32",
        adapters: Adapters = Adapters(),
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
            frozen_dtype: how weights that are not trained are kept; in `bfloat16` they take half of the memory, and
                --trainer.precision must be bf16-mixed.
            adapters: low-rank matrices that are trained in the place of whole parts.

        Raises:
            InputError: an unknown part, or a checkpoint made under other settings.
        """
        model = VistaLLM(encoder, qformer, llm, tokenizer.image_id, length_groups)
        trains_llm = "llm" in trainable
        super().__init__(model, Decoder(tokenizer, decoding), tokenizer, trains_llm)
        if unknown := {*trainable, *optimization.rates, *adapters.targets} - set(PARTS):
            raise InputError(
                f"there is no part {sorted(unknown)[0]!r} to train; there are {', '.join(PARTS)}"
            )
        if weights is not None:
            load_queries(self.model.query_tokens, weights)
            load_part(self.model.language_projection, weights, "language_projection.")
        self.frozen_dtype = frozen_dtype
        self.codec, self.optimization, self.init_from = codec, optimization, init_from
        self.coordinate_init, self.weights = coordinate_init, weights
        self.merging: Merging | None = None
        # A pretrained LLM knows its own words; the tokens that were added to it were never a target.
        self.learned_words[:] = bool(llm.pretrained)
        self.learned_words[tokenizer.number_ids[10:]] = False
        if init_from is not None:
            self.on_load_checkpoint(describe(init_from))
        freeze_parts(self.model, trainable)
        self._put_on_adapters(adapters, trainable)
        keep_frozen_in(self.model, getattr(torch, frozen_dtype))
        if not is_laid_out(self.model):
            self.fill()

    def _put_on_adapters(self, settings: Adapters, trainable: Collection[str]) -> None:
        llm: Any = self.model.language_model
        # Of modules, since weights are replaced when they are sharded; in a tuple, which registers none of them twice.
        self.tables = (llm.get_input_embeddings(), llm.get_output_embeddings())
        rows = self.tokenizer.added_ids
        own_words = self.tokenizer.instructions is not None
        self.first_adapters = put_on_parts(self.model, settings, trainable, rows, own_words)
        if self.first_adapters:
            self.merging = Merging(settings.alpha, rows)

    def weights_report(self) -> dict[str, str]:
        """Where the weights of each part come from, what of them is new and what was left over."""
        report = {}
        for name, part in self.model.named_children():
            filling = getattr(part, "filling", None)
            report[name] = filling.report if filling else "drawn at random"
        report["query_tokens"] = str(self.weights or "drawn at random")
        return dict.fromkeys(report, str(self.init_from)) if self.init_from else report

    def fill(self) -> None:
        """Give the model the weights that it begins with; every process of a sharded one must come here."""
        if self.init_from is not None:
            fill_from(self, self.init_from)
        else:
            for part in self.model.children():
                fill_part(part)
            inputs, head = (table.weight for table in self.tables)
            digits = bool(self.model.language_model.pretrained)  # it keeps the rows of its digits
            numbers = self.tokenizer.number_ids
            init_coordinates(inputs, head, numbers, self.coordinate_init, keep_digits=digits)
        for name, first in self.first_adapters.items():
            begin(getattr(self.model, name), first, self.tokenizer.added_ids)

    def configure_model(self) -> None:
        """Shard the model where the strategy is `ShardedStrategy`, and fill it; Lightning calls this in all processes.

        Raises:
            InputError: the strategy is `FSDPStrategy`, whose flat weights the optimizer and decoding cannot take; or
                frozen weights are kept in bfloat16 and others are not computed in it.
        """
        if isinstance(self.trainer.strategy, FSDPStrategy):
            raise InputError(
                "FSDPStrategy (FSDP1) makes all weights flat; take FSDP2, as configs/places/fsdp.yaml does"
            )
        check_frozen_dtype(self.frozen_dtype, self.trainer.precision)
        if self.device_mesh is not None:
            shard(self.model, self.device_mesh, bf16="bf16" in str(self.trainer.precision))
        if is_laid_out(self.model):
            with torch.device("cpu"):  # where numbers are worked out, not where they go
                self.fill()

    def cpu(self) -> Self:
        """Lightning calls it when anything has failed, also before there are weights, which have nowhere to move."""
        return self if is_laid_out(self.model) else super().cpu()

    def on_train_start(self) -> None:
        """A resumed run says what it does otherwise than before."""
        super().on_train_start()
        resumed = getattr(self.trainer.datamodule, "resumed", None)  # type: ignore[attr-defined]
        if resumed is not None:
            go_on(self.trainer, resumed, self.groups)

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
        optimizer = make_optimizer(self.model, settings)
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
        if self.merging is not None:
            checkpoint["vista"]["adapters"] = asdict(self.merging)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint that writes its text in another way, or has other sizes.

        Raises:
            InputError: names the setting or the parameter, and both values.
        """
        reopen_epoch(checkpoint)
        await_validation(checkpoint)
        saved = checkpoint.get("vista", {}).get("settings", {})
        for name, then, now in differing(saved, self.text_settings()):
            raise InputError(f"the checkpoint was made with {name} {then}, this run has {now}")
        if "vista" in checkpoint and checkpoint["vista"]["tokenizer"] != self.tokenizer.to_json():
            folders = (
                "name its folder by --tokenizer.folder, the QFormer's by --tokenizer.instructions"
            )
            raise InputError(f"the checkpoint was made with another tokenizer; {folders}")
        check_adapters(checkpoint, self.merging)
        if "state_dict" in checkpoint:
            check_shapes(checkpoint["state_dict"], self.state_dict())

    def text_settings(self) -> dict[str, Any]:
        """Settings of tokenizer, codec and parts that a checkpoint depends on, and no shape of a weight tells."""
        return text_settings(self.tokenizer, self.codec, self.model)


def text_settings(tokenizer: Tokenizer, codec: Codec, model: nn.Module) -> dict[str, Any]:
    """See `VistaModule.text_settings`; the model may be on the meta device."""
    names = ("num_bins", "num_points", "method", "multipart", "scale")
    of_codec = {name: getattr(codec, name) for name in names}
    return {**tokenizer.settings, **of_codec, **unseen_settings(model)}


def check_frozen_dtype(frozen_dtype: FrozenDtype, precision: object) -> None:
    """Refuse weights of two kinds that would meet in one product.

    Raises:
        InputError: frozen weights are kept in bfloat16 and others are not computed in it.
    """
    if frozen_dtype == "bfloat16" and "bf16" not in str(precision):
        raise InputError(
            "--model.frozen_dtype bfloat16 needs --trainer.precision bf16-mixed: weights of both kinds meet"
        )
