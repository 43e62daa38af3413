"""A checkpoint with adapters as one without, by names and numbers alone: peft is not needed for that."""

import sys
from collections.abc import Iterator, Mapping

import pytest
import torch
from torch import Tensor

from tests.tiny import tiny_model
from vista.data import InputError
from vista.models.adapters import Adapters, put_on
from vista.models.merged import MergedWeights, Merging, check_adapters, plain_name

WEIGHTS = {
    "model.q.base_layer.weight": torch.zeros(2, 3, dtype=torch.bfloat16),
    "model.q.base_layer.bias": torch.tensor([5.0, 6.0]),
    "model.q.lora_A.default.weight": torch.tensor([[1.0, 2.0, 3.0]]),
    "model.q.lora_B.default.weight": torch.tensor([[1.0], [10.0]]),
    "model.embed.token_adapter.base_layer.weight": torch.ones(3, 2),
    "model.embed.token_adapter.trainable_tokens_delta.default": torch.tensor([[7.0, 8.0]]),
    "model.norm.weight": torch.tensor([4.0]),
}


class Counted(Mapping[str, Tensor]):
    """Weights that say which of them were looked at."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __getitem__(self, name: str) -> Tensor:
        self.read.append(name)
        return WEIGHTS[name]

    def __iter__(self) -> Iterator[str]:
        return iter(WEIGHTS)

    def __len__(self) -> int:
        return len(WEIGHTS)

    def __contains__(self, name: object) -> bool:
        return name in WEIGHTS


def test_weights_are_merged_when_they_are_looked_at():
    counted = Counted()
    merged = MergedWeights(counted, Merging(alpha=4.0, rows=[1]))
    assert list(merged) == [
        "model.q.weight",
        "model.q.bias",
        "model.embed.weight",
        "model.norm.weight",
    ]
    assert len(merged) == 4 and counted.read == []
    assert merged["model.q.weight"].tolist() == [[4.0, 8.0, 12.0], [40.0, 80.0, 120.0]]
    assert len(counted.read) == 3
    assert merged["model.q.bias"].tolist() == [5.0, 6.0]
    assert merged["model.embed.weight"].tolist() == [[1.0, 1.0], [7.0, 8.0], [1.0, 1.0]]
    assert merged["model.norm.weight"].tolist() == [4.0]
    assert torch.equal(WEIGHTS["model.embed.token_adapter.base_layer.weight"], torch.ones(3, 2))


def test_names_without_adapters():
    assert plain_name("base_layer.weight") == "weight"
    assert plain_name("a.my_base_layer.weight") == "a.my_base_layer.weight"
    assert plain_name("a.lora_A.default.weight") == "a.lora_A.default.weight"


@pytest.mark.parametrize(
    ("saved", "own", "message"),
    [
        (None, Merging(32.0, [1]), "this model has adapters and the checkpoint has none; `export`"),
        (Merging(32.0, [1]), None, "the checkpoint has adapters and this model has none; `export`"),
        (Merging(32.0, [1]), Merging(16.0, [1]), "alpha 32.0 and 1 trained rows, this run has 16.0 and 1"),
    ],
)  # fmt: skip
def test_a_checkpoint_of_other_adapters_is_refused(saved, own, message):
    said = {} if saved is None else {"adapters": {"alpha": saved.alpha, "rows": saved.rows}}
    with pytest.raises(InputError, match=message):
        check_adapters({"vista": said}, own)
    check_adapters({"vista": said}, saved)
    check_adapters({}, own)  # of nothing that we wrote


def test_without_peft_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r"adapters need peft.*pip install -e '\.\[lora\]'"):
        put_on(tiny_model().language_model, Adapters(), ["all"])
