"""The arithmetic of a step, against torch's count of what was multiplied."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.tiny import QUERIES, picture, tiny_model, tokenizer
from vista.models.adapters import Adapters, put_on
from vista.models.llm import build_llm
from vista.models.vistallm import VistaLLM
from vista.tokens.batch import collate, encode_example
from vista.tokens.batch_types import Example
from vista.training.flops import step_flops, unit_flops

PARTS = ("vision_model", "qformer", "query_tokens", "language_projection", "language_model")


@pytest.mark.parametrize("frozen", [(), PARTS[:1], PARTS[:4], (PARTS[0], PARTS[4])])
def test_flops_are_those_that_torch_counts(frozen):
    model = tiny_model().train()
    for name in frozen:
        getattr(model, name).requires_grad_(False)
    samples = [
        encode_example(
            Example(("a", "b"), (("<image> <image> what is red?", "the circle"),)), tokenizer()
        )
    ]
    batch = collate(samples, {name: picture(name) for name in "ab"}, tokenizer(), QUERIES)
    with FlopCounterMode(display=False) as counter:
        model(batch).sum().backward()
    by_layer = {str(op): n for op, n in counter.get_flop_counts()["Global"].items()}
    layers = "aten.mm", "aten.bmm", "aten.addmm", "aten.convolution", "aten.convolution_backward"
    assert step_flops(unit_flops(model), batch) == sum(by_layer.get(op, 0) for op in layers), (
        by_layer
    )


def test_a_case_worked_by_hand():
    """Width 32 everywhere: all are multiples of a matrix of 32 x 32."""
    model = tiny_model()
    model.vision_model.requires_grad_(False)
    unit = unit_flops(model)
    square = 32 * 32
    patch = 3 * 8 * 8 * 32  # weights of the patch embedding
    # One encoder layer: queries, keys and values, the output, two matrices of the MLP. Forward alone: it is frozen.
    assert unit.image == 2 * (16 * patch + 17 * 6 * square)
    # Two LLM layers: four of attention, three of the gated MLP; forward, the weights' gradients, the inputs' gradients.
    assert unit.text_token == 3 * 2 * (2 * 7 * square)
    assert unit.learned_token == 3 * 2 * len(tokenizer()) * 32
    # One QFormer layer, its text: four of self-attention, two of the feed-forward layer.
    assert unit.instruction_token == 3 * 2 * 6 * square
    # Its 3 queries: these six, two of cross-attention, and the projection; keys and values of 17 patches, which pass no
    # gradient on.
    assert unit.use == 3 * 2 * 3 * (6 + 2 + 1) * square + 2 * 2 * 17 * 2 * square


def test_adapters_leave_the_gradients_of_weights_out():
    """As a frozen LLM behind a trained QFormer: two operations forward, two for the gradient that is passed on."""
    pytest.importorskip("peft")
    frozen, adapted = tiny_model(), tiny_model()
    frozen.language_model.requires_grad_(False)
    put_on(adapted.language_model, Adapters(), ["all"], tokenizer().added_ids)
    assert unit_flops(adapted) == unit_flops(frozen)


def test_an_llm_takes_six_operations_a_weight_and_token():
    """The rule of thumb, on two layers of the paper's size, of which no weight is ever made."""
    sizes = {"hidden_size": 4096, "num_layers": 2, "num_heads": 32, "mlp_size": 11008}
    with torch.device("meta"):
        llm = build_llm(vocab_size=32000, tie_embeddings=False, **sizes)
        model = VistaLLM(*_vision(), llm, 0)
    unit = unit_flops(model)
    weights = sum(p.numel() for p in llm.parameters()) - llm.model.embed_tokens.weight.numel()
    assert unit.text_token + unit.learned_token == pytest.approx(6 * weights, rel=1e-3)
    assert weights > 5e8


def _vision():
    model = tiny_model()
    return model.vision_model, model.qformer
