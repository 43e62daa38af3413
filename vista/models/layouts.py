"""Names of weights in checkpoints of others, and ours: transformers' InstructBLIP's.

    visual_encoder.blocks.0.attn.q_bias, ...v_bias      vision_model.encoder.layers.0.self_attn.qkv.bias
    ln_vision.weight                                    vision_model.post_layernorm.weight
    Qformer.bert.encoder.layer.0.attention.self.query   qformer.encoder.layer.0.attention.attention.query
    llm_proj, t5_proj                                   language_projection

LAVIS writes the left ones into the checkpoints of BLIP-2 and InstructBLIP; EVA-CLIP by itself and a BERT have no prefix
before theirs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from vista.models.stored import ALL, Stored

Tensors = dict[str, Stored]

LAVIS = (
    (r"^ln_vision\.", "vision_model.post_layernorm."),
    (r"^visual_encoder\.", "vision_model."),
    (r"^Qformer\.bert\.", "qformer."),
    (r"^(llm|t5|opt)_proj\.", "language_projection."),
    (r"^(llm|t5|opt)_model\.", "language_model."),
)
EVA = (
    (r"(^|\.)cls_token$", r"\1embeddings.class_embedding"),
    (r"(^|\.)pos_embed$", r"\1embeddings.position_embedding"),
    (r"(^|\.)patch_embed\.proj\.", r"\1embeddings.patch_embedding."),
    (r"(^|\.)blocks\.(\d+)\.attn\.qkv\.", r"\1encoder.layers.\2.self_attn.qkv."),
    (r"(^|\.)blocks\.(\d+)\.attn\.proj\.", r"\1encoder.layers.\2.self_attn.projection."),
    (r"(^|\.)blocks\.(\d+)\.attn\.([qv]_bias)$", r"\1encoder.layers.\2.self_attn.\3"),
    (r"(^|\.)blocks\.(\d+)\.norm([12])\.", r"\1encoder.layers.\2.layer_norm\3."),
    (r"(^|\.)blocks\.(\d+)\.mlp\.", r"\1encoder.layers.\2.mlp."),
)
BERT = (
    (r"^bert\.", ""),
    (r"\.gamma$", ".weight"),  # of BERT's first release
    (r"\.beta$", ".bias"),
    (r"^(qformer\.)?embeddings\.LayerNorm\.", r"\1embeddings.layernorm."),
    (r"attention\.self\.", "attention.attention."),
)
CROSS_ATTENTION = r"\.crossattention\."
LAST_NORM = r"^post_layernorm\."


@dataclass(frozen=True)
class Layout:
    """What a part of another layout may lack or have beyond ours.

    Attributes:
        new: pattern of the parameters that it lacks by nature; none: "".
        why: it lacks them.
        left_over: kinds of names that have no place in ours, with a pattern for each.
    """

    new: str = ""
    why: str = ""
    left_over: Mapping[str, str] = field(default_factory=dict)


def our_names(tensors: Tensors, prefix: str) -> tuple[Tensors, Layout]:
    """Tensors of a checkpoint under our names, prefixes included, and what is to be known of its layout.

    Args:
        tensors: under the names of the checkpoint.
        prefix: of the part that is wanted, such as `qformer.`.
    """
    if any(
        re.match(r"(Qformer|visual_encoder|ln_vision|(llm|t5|opt)_proj)\.", name)
        for name in tensors
    ):
        return _fused(_renamed(tensors, LAVIS + EVA + BERT[1:])), Layout()
    if prefix == "qformer." and any(".attention.self." in name for name in tensors):
        return _both_halves(_renamed(tensors, BERT)), _OF_BERT
    if any(name.endswith(".attn.q_bias") for name in tensors):
        return _fused(_renamed(tensors, EVA)), _OF_EVA
    return tensors, Layout()


def _renamed(tensors: Tensors, rules: tuple[tuple[str, str], ...]) -> Tensors:
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, ours in rules:
            name = re.sub(pattern, ours, name)
        renamed[name] = tensor
    return renamed


def _fused(tensors: Tensors) -> Tensors:
    """The biases of queries, keys and values in one; EVA-CLIP's keys have none."""
    for name in [name for name in tensors if name.endswith(".q_bias")]:
        stem = name.removesuffix("q_bias")
        query, value = tensors.pop(name), tensors.pop(f"{stem}v_bias")
        shape = (3 * query.shape[0],)
        tensors[f"{stem}qkv.bias"] = Stored(shape, partial(_read_fused, query, value))
    return tensors


def _read_fused(query: Stored, value: Stored, rows: slice) -> Tensor:
    q, v = query.read(ALL), value.read(ALL)
    return torch.cat([q, torch.zeros_like(q), v])[rows]


def _both_halves(tensors: Tensors) -> Tensors:
    """A QFormer has two MLPs in each layer, for the queries and for the words; both begin as BERT's one."""
    half = re.compile(r"(layer\.\d+\.)(intermediate|output)(\..+)")
    for name, tensor in list(tensors.items()):
        if half.search(name):
            tensors[half.sub(r"\1\2_query\3", name)] = tensor
    return tensors


_OF_BERT = Layout(
    CROSS_ATTENTION,
    "a BERT has no cross-attention",
    {"a BERT's heads and types of sentences": r"^cls\.|^pooler\.|token_type_embeddings"},
)
_OF_EVA = Layout(
    LAST_NORM,
    "EVA-CLIP has no norm behind its layers",
    {
        "EVA-CLIP's head": r"^(norm|fc_norm|head)\.",
        "EVA-CLIP's last layer, which BLIP-2 leaves out": r"^encoder\.layers\.39\.",
    },
)
