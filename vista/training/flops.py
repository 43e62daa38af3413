"""Arithmetic of a training step, for the share of a card's peak that training reaches (MFU).

`torch.utils.flop_counter` counts it on a copy of the model without weights, on the meta device: what an image costs,
what a token costs. A step's cost is then a sum over what its batch holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM
from transformers.models.instructblip.modeling_instructblip import InstructBlipQFormerModel

from vista.models.merged import plain_names
from vista.models.pixels import pixels_of
from vista.models.towers import build_tower
from vista.models.vistallm import VistaLLM, length_groups
from vista.tokens.batch_types import Batch

# Layers: linear ones and the patch embedding. Attention's products of tokens with tokens are other operators.
LAYERS = (
    torch.ops.aten.mm,
    torch.ops.aten.addmm,
    torch.ops.aten.convolution,
    torch.ops.aten.convolution_backward,
)


@dataclass(frozen=True)
class UnitFlops:
    """Operations of one forward and one backward pass, for each of what a batch holds.

    Two for each weight of a layer and token that goes through it; two more for the weight's gradient if it is trained,
    and two for the input's if anything before it is. As in PaLM (arXiv:2204.02311, appendix B), padding and recomputed
    activations do not count, nor do attention's products of tokens with tokens, which are few at these lengths.

    Attributes:
        image: through the encoder.
        use: of an image by a sample: its queries through the QFormer and the projection.
        instruction_token: through the QFormer, beside the queries of one use.
        text_token: through the language model, visual tokens included.
        learned_token: through the head.
    """

    image: int
    use: int
    instruction_token: int
    text_token: int
    learned_token: int


def unit_flops(model: VistaLLM) -> UnitFlops:
    """Count on the meta device; parts that are frozen in the model are frozen there.

    Adapters are not counted: of a model of 7 billion parameters they are a few thousandths.

    A pass costs the sum of all its parts, so that one more image or token shows what it costs.
    """
    bare = _without_weights(model)
    base = _count(bare)
    image = _count(bare, images=2) - base
    instruction_token = _count(bare, instruction=2) - base
    text_token = _count(bare, text=3) - base
    learned_token = _count(bare, learned=2) - base
    use = base - image - instruction_token - 2 * text_token - learned_token
    return UnitFlops(image, use, instruction_token, text_token, learned_token)


def step_flops(unit: UnitFlops, batch: Batch) -> int:
    """Operations of a step on a batch of `VistaLLM.forward`."""
    instruction_mask = batch["instruction_mask"][batch["sample_index"]]  # (J, Q), of each use
    return (
        unit.image * len(batch["pixel_values"])
        + unit.use * len(batch["image_index"])
        + unit.instruction_token * int(instruction_mask.sum())
        + unit.text_token * int(batch["attention_mask"].sum())
        + unit.learned_token * int((batch["labels"] >= 0).sum())
    )


def _without_weights(model: VistaLLM) -> VistaLLM:
    """The same layers on the meta device, as transformers has them, with the same parts frozen."""
    with torch.device("meta"):
        qformer: Any = InstructBlipQFormerModel(model.qformer.config)
        qformer.num_queries = model.qformer.num_queries
        bare = VistaLLM(
            build_tower(model.vision_model.config),
            qformer,
            AutoModelForCausalLM.from_config(model.language_model.config),
            model.image_token_id,
        )
    own = plain_names(name for name, _ in model.named_parameters())
    for name, parameter in bare.named_parameters():
        parameter.requires_grad_(model.get_parameter(own[name]).requires_grad)
    return bare.train()


def _count(
    bare: VistaLLM,
    images: int = 1,
    instruction: int = 1,
    text: int = 2,
    learned: int = 1,
) -> int:
    """Operations in layers for one sample that uses one image; the others pass through the encoder alone.

    Args:
        bare: on the meta device.
        images: in the batch.
        instruction: tokens that the QFormer reads beside the queries.
        text: tokens of the language model.
        learned: tokens of these that go through the head.
    """
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        visual = visual_tokens(bare, images, 1, instruction)  # (1, L, D)
        llm = bare.language_model
        # What a sum adds to every token is what matters of visual tokens among them: the way of the gradient.
        embeds = llm.get_input_embeddings()(_ids(text)) + visual.sum()
        hidden = llm.get_decoder()(
            inputs_embeds=embeds,
            attention_mask=_mask(text),
            use_cache=False,
        ).last_hidden_state
        logits = llm.get_output_embeddings()(hidden[0, :learned])
        if logits.requires_grad:
            logits.sum().backward()
    counts = counter.get_flop_counts()["Global"]
    return sum(counts.get(layer, 0) for layer in LAYERS)


def visual_tokens(bare: VistaLLM, images: int, uses: int, instruction: int) -> Tensor:
    """Visual tokens of a model on the meta device, (uses, L, D); which image is used costs the same.

    Args:
        bare: on the meta device.
        images: that pass through the encoder.
        uses: of one of them.
        instruction: tokens that the QFormer reads beside the queries.
    """
    side = pixels_of(bare.vision_model.config).size
    dtype = bare.query_tokens.dtype
    pixels = torch.empty(images, 3, side, side, dtype=dtype)
    patches = bare.vision_model(pixel_values=pixels).last_hidden_state  # (images, P, D)
    queries = bare.query_tokens.expand(uses, -1, -1)  # (uses, L, D)
    num_queries = queries.shape[1]
    output = bare.qformer(
        input_ids=_ids(instruction).expand(uses, -1),
        attention_mask=_mask(num_queries + instruction, dtype),
        query_embeds=queries,
        encoder_hidden_states=patches[torch.zeros(uses, dtype=torch.long)],
    ).last_hidden_state
    return bare.language_projection(output[:, :num_queries])


def _ids(length: int) -> Tensor:
    return torch.zeros(1, length, dtype=torch.long)


def _mask(length: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Nothing is masked. With four dimensions transformers takes it as it is; others it would look into."""
    return torch.zeros(1, 1, length, length, dtype=dtype)


def padded_size(lengths: Sequence[int], most: int) -> int:
    """Positions of all rows in their groups, each padded to the longest of its group."""
    return sum(len(rows) * lengths[rows[-1]] for rows in length_groups(lengths, most))
