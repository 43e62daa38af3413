"""The arithmetic of a step, against torch's count of what was multiplied."""

import pytest
from torch.utils.flop_counter import FlopCounterMode

from tests.tiny import QUERIES, picture, tiny_model, tokenizer
from vista.data import Example
from vista.tokens.batch import collate, encode_example
from vista.training.flops import step_flops

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
    assert step_flops(model, batch) == sum(by_layer.get(op, 0) for op in layers), by_layer
