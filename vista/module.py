"""VistaLLM as a LightningModule: its parts, their optimizer (Section 5.2), sharding and checkpoints.

The steps are inherited: training from `vista/training/learning.py`, evaluation from `vista/training/evaluation.py`.
"""

from collections.abc import Collection
from math import isfinite
from pathlib import Path
from typing import Any

from lightning.pytorch.strategies import FSDPStrategy
from torch import nn

from vista.codec.codec import Codec
from vista.data import InputError
from vista.decoding.decoder import Decoder, Decoding
from vista.models.config_file import unseen_settings
from vista.models.coordinates import CoordinateInit, init_coordinates
from vista.models.parts import LLM, Encoder, QFormer
from vista.models.vistallm import VistaLLM
from vista.models.weights import check_shapes, load_part, load_queries
from vista.tokens.tokenizer import Tokenizer
from vista.training.checkpoints import read_checkpoint
from vista.training.learning import LearningModule
from vista.training.optimizer import Optimization, make_optimizer
from vista.training.resume import await_validation, go_on, reopen_epoch, settings_of
from vista.training.schedule import warmup_cosine
from vista.training.sharding import shard

PARTS = {  # what may be trained or frozen -> the names in VistaLLM
    "encoder": ("vision_model",),
    "tokenizer": ("qformer", "query_tokens", "language_projection"),
    "llm": ("language_model",),
}


class VistaModule(LearningModule):
    """The model and its optimizer; how it learns and answers is inherited."""

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
        trains_llm = "llm" in trainable
        super().__init__(model, Decoder(tokenizer, decoding), tokenizer, trains_llm)
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
        self.codec, self.optimization, self.init_from = codec, optimization, init_from
        # A pretrained LLM knows its own words; the tokens that were added to it were never a target.
        self.learned_words[:] = llm.pretrained
        self.learned_words[tokenizer.number_ids[10:]] = False
        if init_from is not None:
            checkpoint = read_checkpoint(init_from)
            self.on_load_checkpoint(checkpoint)
            self.load_state_dict(checkpoint["state_dict"])
        freeze_parts(self.model, trainable)

    def configure_model(self) -> None:
        """Shard the model where the strategy is `ShardedStrategy`; Lightning calls this when processes exist.

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

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint that writes its text in another way, or has other sizes.

        Raises:
            InputError: names the setting or the parameter, and both values.
        """
        reopen_epoch(checkpoint)
        await_validation(checkpoint)
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
        return text_settings(self.tokenizer, self.codec, self.model)


def text_settings(tokenizer: Tokenizer, codec: Codec, model: nn.Module) -> dict[str, Any]:
    """See `VistaModule.text_settings`; the model may be on the meta device."""
    names = ("num_bins", "num_points", "method", "multipart", "scale")
    of_codec = {name: getattr(codec, name) for name in names}
    return {**tokenizer.settings, **of_codec, **unseen_settings(model)}


def freeze_parts(model: nn.Module, trainable: Collection[str]) -> None:
    """Let only some parts of a `VistaLLM` be trained."""
    for part, names in PARTS.items():
        for name in names:
            getattr(model, name).requires_grad_(part in trainable)
