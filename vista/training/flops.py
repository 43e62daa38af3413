"""Arithmetic of a training step, for the share of a card's peak that training reaches (MFU)."""

from typing import Any

from torch import nn

from vista.models.vistallm import VistaLLM
from vista.tokens.batch_types import Batch


def step_flops(model: VistaLLM, batch: Batch) -> float:
    """Operations that one forward and one backward pass over a batch need.

    Two for each weight of a layer and token that goes through it; two more for the weight's gradient if it is trained,
    and two for the input's if anything before it is. As in PaLM (arXiv:2204.02311, appendix B), padding and recomputed
    activations do not count, nor do attention's products of tokens with tokens, which are few at these lengths.

    Args:
        model: whose frozen layers are marked by `requires_grad`.
        batch: of `VistaLLM.forward`.
    """
    routes = _routes(model, batch)
    flops = 0.0
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            tokens, passes_gradient = next((n, g) for part, n, g in routes if part in name)
            flops += (
                2
                * layer.weight.numel()
                * tokens
                * (1 + layer.weight.requires_grad + passes_gradient)
            )
    return flops


def _routes(model: VistaLLM, batch: Batch) -> list[tuple[str, float, bool]]:
    """Tokens through a layer and whether its input needs a gradient, by the first part that is in the layer's name."""
    images, uses = len(batch["pixel_values"]), len(batch["image_index"])
    embeddings: Any = model.vision_model.embeddings
    patches = embeddings.position_embedding.shape[1]
    queries = uses * model.query_tokens.shape[1]
    instruction = float(batch["instruction_mask"][batch["sample_index"]].sum())
    text, learned = float(batch["attention_mask"].sum()), float((batch["labels"] >= 0).sum())
    encoder, tokenizer, llm = (
        any(p.requires_grad for p in part.parameters())
        for part in (model.vision_model, model.qformer, model.language_model)
    )
    into_queries = encoder or tokenizer
    into_text = into_queries or llm
    return [
        ("patch_embedding", images * (patches - 1), False),
        ("vision_model", images * patches, encoder),
        ("crossattention.attention.key", uses * patches, encoder),
        ("crossattention.attention.value", uses * patches, encoder),
        ("crossattention", queries, into_queries),
        ("_query.dense", queries, into_queries),  # the queries' own feed-forward layers
        (".attention.", queries + instruction, into_queries),  # the LLM's is called `self_attn`
        ("qformer", instruction, into_queries),
        ("language_projection", queries, into_queries),
        ("lm_head", learned, into_text),
        ("language_model", text, into_text),
    ]
