"""The parts of VistaLLM on the command line: their groups of settings, how they are built, and what is said of them.

Neither the width of the encoder nor the size of its images need be in a config: a folder's `config.json` may have
decided on them, so that the built encoder fills in the settings of other groups.
"""

from collections.abc import Callable
from typing import Any

from jsonargparse import class_from_function
from lightning import LightningModule
from transformers import PreTrainedModel

from vista.codec.codec import Codec
from vista.models.encoder import build_encoder
from vista.models.laid_out import without_memory
from vista.models.llm import build_llm
from vista.models.parts import QFormer
from vista.models.pixels import pixels_of
from vista.tokens.tokenizer import Tokenizer

ENCODER = class_from_function(build_encoder)
WITH_WEIGHTS = {"encoder": ENCODER, "qformer": QFormer, "llm": class_from_function(build_llm)}
PARTS = {**WITH_WEIGHTS, "tokenizer": Tokenizer, "codec": Codec}

# Setting of the data -> what of the encoder it is.
SHOWN: dict[str, Callable[[PreTrainedModel], Any]] = {
    "image_size": lambda encoder: pixels_of(encoder.config).size,
    "image_mean": lambda encoder: pixels_of(encoder.config).mean,
    "image_std": lambda encoder: pixels_of(encoder.config).std,
}


def laid_out(
    begun: bool, kind: type[PreTrainedModel], *args: Any, **settings: Any
) -> PreTrainedModel:
    """A part, without memory where its weights are in files; what has none is drawn, and whole in every process.

    Args:
        begun: whether all weights are those of an earlier stage.
        kind: of the part.
        args: of the kind.
        settings: of the kind.
    """
    if settings.get("weights") is None and not begun:
        return kind(*args, **settings)
    with without_memory():
        return kind(*args, **settings)


def print_parts(module: LightningModule) -> None:
    """A line for each part, its parameters, trained or not, and their origin, and one on what the encoder is shown."""
    origins = module.weights_report()  # type: ignore[operator]
    for name, part in module.model.named_children():  # type: ignore[union-attr,operator]
        total = sum(p.numel() for p in part.parameters())
        trained = sum(p.numel() for p in part.parameters() if p.requires_grad)
        print(
            f"  {name:20s} {total:>13,} parameters, {100 * trained / max(1, total):.0f} % trained, {origins[name]}"
        )
    pixels = pixels_of(module.model.vision_model.config)  # type: ignore[union-attr,arg-type]
    print(f"  images are {pixels.size} x {pixels.size}, mean and deviation {pixels.source}")
