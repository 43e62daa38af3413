"""Vision towers of transformers, each made to answer in one way.

    tower = build_tower(CLIPVisionConfig(image_size=336, patch_size=14, ...))
    tower(pixel_values=pixels).last_hidden_state    # (B, P, D): leading tokens, then patches from left to right, row by
                                                    # row, every token normed

Which tokens lead, and what is done so that the QFormer's cross-attention can use them:

* InstructBLIP's and BLIP-2's ViT (EVA-CLIP): class token; normed. As it is, the QFormer was trained on it.
* CLIP: class token; not normed by itself. The last layer is left out, as in BLIP-2 and LLaVA: it was trained to fill
  the class token alone. `post_layernorm` is left out too: it was trained on that token, and its scales fit no patch.
* SigLIP, SigLIP 2 of one size: none; normed. The head that pools the patches is left out.
* DINOv2: class token; with registers and DINOv3: class token and registers; normed. Registers hold what is true of the
  whole image and may be attended to like the class token.
* CNNs: none; the feature map (B, C, h, w) is read row by row; not normed. An EfficientNet pads at the right and
  below alone, so that a place looks at the lower right corner of its patch. EfficientNet-Lite is one without gates of
  channels (`squeeze_expansion_ratio: 0`).

What is not normed is brought to mean 0 and variance 1, token by token, without weights of its own: a factor and a shift
of each channel are already in the key and value projections of the cross-attention. Without it a few channels that are
a hundred times as large as the others decide alone where a query looks.

Weights that take no part are taken away: a trainable encoder then has none that never gets a gradient.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, InstructBlipVisionModel, PreTrainedConfig, PreTrainedModel

from vista.data import InputError
from vista.models.pixels import pixels_of


@dataclass(frozen=True)
class Family:
    """What transformers' class of a tower leaves open.

    Attributes:
        usual: normalisation of its images, a key of `vista.models.pixels.USUAL`.
        has_class_token: whether the first token is of the whole image.
        normed: whether `last_hidden_state` has gone through the last norm.
        any_size: whether images may have another size than `config.image_size`.
        skipped: last layers that are not run.
        unused: names of further weights that take no part.
    """

    usual: str = "ImageNet"
    has_class_token: bool = False
    normed: bool = True
    any_size: bool = False
    skipped: int = 0
    unused: tuple[str, ...] = ()


EVA_CLIP = "instructblip_vision_model"
DINO = Family(has_class_token=True, any_size=True, unused=("embeddings.mask_token",))
CNN = Family(normed=False, any_size=True)
FAMILIES = {  # by `model_type`
    EVA_CLIP: Family("CLIP", has_class_token=True),
    "clip_vision_model": Family(
        "CLIP", has_class_token=True, normed=False, skipped=1, unused=("post_layernorm",)
    ),
    "siglip_vision_model": Family("SigLIP", unused=("head",)),
    "dinov2": DINO,
    "dinov2_with_registers": DINO,
    "dinov3_vit": DINO,
    "resnet": CNN,
    "regnet": CNN,
    "efficientnet": CNN,
    "convnext": Family(normed=False, any_size=True, unused=("layernorm",)),
    "convnextv2": Family(normed=False, any_size=True, unused=("layernorm",)),
}


def family_of(config: PreTrainedConfig) -> Family:
    """What is known of a tower.

    Raises:
        InputError: nothing is.
    """
    kind = config.model_type
    if kind == "siglip2_vision_model":
        raise InputError(
            "a SigLIP 2 of any resolution (naflex) cannot be the encoder, its patches are of no fixed grid; take one "
            "of a fixed size, such as google/siglip2-base-patch16-224"
        )
    if kind not in FAMILIES:
        raise InputError(f"a {kind} cannot be the encoder; known are {', '.join(FAMILIES)}")
    return FAMILIES[kind]


def build_tower(config: PreTrainedConfig) -> PreTrainedModel:
    """A tower of transformers with random weights, in evaluation mode: see the head of this file.

    In evaluation mode a CNN keeps the statistics of its norms, frozen or trained, and DINOv3 does not move its
    positions at random. Lightning leaves the mode as it is.

    Args:
        config: of one of `FAMILIES`; it says what the tower is shown, see `vista/models/pixels.py`.

    Raises:
        InputError: of none of them.
    """
    family = family_of(config)
    if config.model_type == EVA_CLIP:  # which no Auto class knows
        tower: Any = InstructBlipVisionModel(config)  # type: ignore[arg-type]
    else:
        tower = AutoModel.from_config(config, dtype=torch.get_default_dtype())
    _without_unused(tower, family)
    if config.model_type == "efficientnet":
        _mend_efficientnet(tower)
    if not family.any_size:
        # CLIP compares sizes, though as many patches fit into an image that has no more than them.
        tower.embeddings.image_size = pixels_of(config).size
    if not family.normed:
        tower.register_forward_hook(_as_normed_tokens)
    return tower.eval()  # type: ignore[no-any-return]


def patches_of(tower: PreTrainedModel, tokens: torch.Tensor) -> torch.Tensor:
    """The tokens (B, P, D) of a tower without the leading ones, (B, h * w, D)."""
    config: Any = tower.config
    leading = int(family_of(config).has_class_token) + getattr(config, "num_register_tokens", 0)
    return tokens[:, leading:]


def width_of(tower: PreTrainedModel) -> int:
    """Width D of the tokens."""
    config: Any = tower.config
    if config.model_type == "efficientnet":
        return int(config.hidden_dim)
    width: int = getattr(config, "hidden_size", None) or config.hidden_sizes[-1]
    return width


def _without_unused(tower: Any, family: Family) -> None:
    """Take away what takes no part; `unused_weights` then names it, as weights of a file that are passed over."""
    unused = list(family.unused)
    for name in family.unused:
        path, _, attribute = name.rpartition(".")
        owner = tower.get_submodule(path)
        is_module = isinstance(getattr(owner, attribute, None), nn.Module)
        setattr(owner, attribute, nn.Identity() if is_module else None)
    for _ in range(family.skipped):
        del tower.encoder.layers[-1]
        unused.append(f"encoder.layers.{len(tower.encoder.layers)}")
    tower.unused_weights = tuple(f"{name}." for name in unused)


def _mend_efficientnet(tower: Any) -> None:
    """No gates where there are none, and first weights that let an image through; transformers' end in nothing."""
    if tower.config.squeeze_expansion_ratio == 0:
        for block in tower.encoder.blocks:
            block.squeeze_excite = nn.Identity()
    for layer in tower.modules():
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d):
            layer.reset_parameters()


def _as_normed_tokens(tower: nn.Module, inputs: object, output: Any) -> Any:
    """A feature map as tokens, and tokens normed."""
    hidden: torch.Tensor = output.last_hidden_state
    if hidden.ndim == 4:
        if hidden.requires_grad:
            # Of one image, torch's batch norm reads the gradient in the order of its memory (findings/).
            hidden.register_hook(torch.Tensor.contiguous)
        hidden = hidden.flatten(2).transpose(1, 2)  # (B, C, h, w) -> (B, h * w, C)
    output.last_hidden_state = nn.functional.layer_norm(hidden, hidden.shape[-1:])
    return output
