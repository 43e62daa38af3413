"""Without image tokenizer (the ablation of Table 9): a QFormer without its layers, and one linear map in their place.

become_projector(qformer, width)        # qformer(...) is then the map of each token, whatever the instruction says
"""

from types import MethodType
from typing import Any

from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from vista.data import InputError


def become_projector(qformer: Any, width: int) -> None:
    """Take everything out of a QFormer but its interface.

    Args:
        qformer: without layers.
        width: D of the image encoder.
    """
    for unused in ("embeddings", "layernorm", "encoder"):
        setattr(qformer, unused, nn.Identity())
    qformer.projector = nn.Linear(width, qformer.config.hidden_size)
    # Of the object alone, so that an ordinary QFormer stays transformers' own.
    qformer.forward = MethodType(project, qformer)


def project(
    qformer: Any, *, query_embeds: Tensor, encoder_hidden_states: Tensor, **_: Tensor
) -> BaseModelOutput:
    """Each token of the encoder by itself, and beside it a query, which knows its place.

    Args:
        qformer: has become a projector.
        query_embeds: float (J, L, Dq).
        encoder_hidden_states: float (J, P, D).

    Returns:
        `last_hidden_state`, float (J, P, Dq).

    Raises:
        InputError: P is not L.
    """
    count = encoder_hidden_states.shape[1]
    if count != query_embeds.shape[1]:
        raise InputError(
            f"a projector needs a query for each token of the encoder: set --qformer.num_queries {count}"
        )
    hidden = qformer.projector(encoder_hidden_states) + query_embeds
    return BaseModelOutput(last_hidden_state=hidden)
