"""The image encoder (Section 3.1, "Image Encoder"): any vision tower that `vista/models/towers.py` knows.

    build_encoder(weights="checkpoints/instructblip-vicuna-7b")     its ViT, the paper's: EVA-CLIP ViT-g
    build_encoder(weights="checkpoints/siglip2-base-patch16-224")   sizes are those of the folder's config.json
    build_encoder(architecture="checkpoints/dinov2")                the same tower, which starts at random
    build_encoder(image_size=96, patch_size=8)                      the ViT of InstructBLIP in other sizes, the tiny one

The tower is a plain model of transformers, with its names of parameters. `tower.config.pixels` says what it is shown.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import InstructBlipVisionConfig, PreTrainedConfig, PreTrainedModel

from vista.models.config_check import check_given
from vista.models.config_file import Values, described
from vista.models.initialize import grid_sinusoids, initialize
from vista.models.pixels import Pixels, pixels_of, read_processor, set_pixels, usual_pixels
from vista.models.towers import EVA_CLIP, build_tower, family_of, patches_of
from vista.models.weights import load_part

PREFIX = "vision_model."  # of its weights in a composite folder


def build_encoder(
    image_size: int | None = None,
    patch_size: int | None = None,
    hidden_size: int | None = None,
    num_layers: int | None = None,
    num_heads: int | None = None,
    mlp_size: int | None = None,
    weights: Path | None = None,
    architecture: Path | None = None,
) -> PreTrainedModel:
    """Build the image encoder.

    Where a `config.json` describes it, that file decides: a size that is given too must be the same. Where there is
    none, it is the ViT of InstructBLIP of the sizes that are given, the tiny size for those that are not.

    Args:
        image_size: side S of the square input in pixels; a DINO or a CNN takes any, and without one that of the
            folder's image processor; without a folder 96.
        patch_size: side of a patch in pixels; without a folder 8.
        hidden_size: width D of the patch tokens; without a folder 128.
        num_layers: transformer layers; without a folder 3.
        num_heads: attention heads; without a folder 4.
        mlp_size: width of the hidden layer of each MLP; without a folder 384.
        weights: safetensors file or folder to start from; none: random.
        architecture: folder whose `config.json` describes the tower, and whose image processor what it is shown, in the
            place of those beside the weights; it needs no weights.

    Raises:
        InputError: what `config.json` says is not what is given, or describes no tower that is known.
        MissingFileError: `architecture` holds no `config.json`, or `weights` no weights.
    """
    given = {
        "image_size": image_size, "patch_size": patch_size, "hidden_size": hidden_size, "num_layers": num_layers,
        "num_heads": num_heads, "mlp_size": mlp_size,
    }  # fmt: skip
    sizes = {name: value for name, value in given.items() if value is not None}
    folder = architecture or weights
    config = described(weights, architecture, PREFIX)
    config = _vit(**sizes) if config is None else _checked(config, sizes, folder)
    set_pixels(config, _pixels(config, folder, image_size))
    tower = build_tower(config)
    if weights is not None:
        load_part(tower, weights, _prefix(config))
    elif config.model_type == EVA_CLIP:
        _start(tower)
    return tower


def patch_grid(tower: PreTrainedModel) -> int:
    """Patches along one side of an encoder's square: counted, since a CNN's strides are in no config."""
    side = pixels_of(tower.config).size
    black = torch.zeros(1, 3, side, side, device=tower.device)
    with torch.no_grad():
        tokens = tower(pixel_values=black).last_hidden_state
    return round(patches_of(tower, tokens).shape[1] ** 0.5)


def _checked(config: PreTrainedConfig, sizes: Values, folder: Path | None) -> PreTrainedConfig:
    """What a folder says, where it says what is given."""
    if config.model_type == "blip_2_vision_model":  # the same ViT
        config = InstructBlipVisionConfig.from_dict({**config.to_dict(), "model_type": EVA_CLIP})
    free = ("image_size",) if family_of(config).any_size else ()
    fixed = {name: value for name, value in sizes.items() if name not in free}
    check_given(config, fixed, folder, "encoder")
    return config


def _vit(
    image_size: int = 96,
    patch_size: int = 8,
    hidden_size: int = 128,
    num_layers: int = 3,
    num_heads: int = 4,
    mlp_size: int = 384,
) -> InstructBlipVisionConfig:
    """The ViT of EVA-CLIP as InstructBLIP uses it."""
    return InstructBlipVisionConfig(
        image_size=image_size,
        patch_size=patch_size,
        hidden_size=hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        intermediate_size=mlp_size,
    )


def _pixels(config: PreTrainedConfig, folder: Path | None, image_size: int | None) -> Pixels:
    """What the encoder is shown: by its own config, by its folder's image processor, or as its family is."""
    family, side = family_of(config), getattr(config, "image_size", 224)
    pixels = usual_pixels(family.usual, side)
    processor = None if folder is None else read_processor(Path(folder))
    if hasattr(config, "pixels"):
        pixels = pixels_of(config)
    elif processor is not None:
        mean, std = processor.normalisation()
        pixels = Pixels(processor.side() or side, mean, std, f"those of {processor.file}")
    side = (image_size or pixels.size) if family.any_size else side
    # Patches that do not fit are never seen: the whole image goes into those that do.
    return replace(pixels, size=side - side % getattr(config, "patch_size", 1))


def _prefix(config: PreTrainedConfig) -> str:
    """Of the names in files: of a section of a larger model, or of a classifier's backbone; others have none."""
    kind = config.model_type
    return PREFIX if kind.endswith("vision_model") else f"{kind}."


def _start(tower: Any) -> None:
    """Random weights of a ViT that starts from nothing, and positions that are there from the beginning."""
    config = tower.config
    initialize(tower, config.hidden_size)
    with torch.no_grad():
        tower.embeddings.class_embedding.normal_(std=config.hidden_size**-0.5)
        tower.embeddings.position_embedding.zero_()
        tower.embeddings.position_embedding[0, 1:] = 0.5 * grid_sinusoids(
            config.image_size // config.patch_size, config.hidden_size
        )
