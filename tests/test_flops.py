"""The arithmetic of a step, against torch's count of what was multiplied."""

import pytest
from torch.utils.flop_counter import FlopCounterMode

from tests.tiny import QUERIES, picture, tiny_model, tokenizer
from vista.data import Example
from vista.flops import step_flops
from vista.packing import collate, encode_example

PARTS = ("vision_model", "qformer", "query_tokens", "language_projection", "language_model")


@pytest.mark.parametrize("frozen", [(), PARTS[:1], PARTS[:4], (PARTS[0], PARTS[4])])
def test_flops_are_those_that_torch_counts(frozen):
    model = tiny_model().train()
    for name in frozen:
        getattr(model, name).requires_grad_(False)
    samples = [encode_example(Example(("a", "b"), (("<image> <image> what is red?", "the circle"),)), tokenizer())]
    batch = collate(samples, {name: picture(name) for name in "ab"}, tokenizer(), QUERIES)
    with FlopCounterMode(display=False) as counter:
        model(batch).sum().backward()
    by_layer = {str(op): n for op, n in counter.get_flop_counts()["Global"].items()}
    layers = sum(n for op, n in by_layer.items() if op in ("aten.mm", "aten.addmm", "aten.convolution"))
    layers += by_layer.get("aten.convolution_backward", 0)
    assert step_flops(model, batch) == pytest.approx(layers, rel=0.02), by_layer
