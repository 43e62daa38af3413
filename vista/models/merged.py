"""Weights of a checkpoint with adapters as those of a model without: each is merged when it is looked at.

    layers.0.q_proj.base_layer.weight                 layers.0.q_proj.weight = base_layer + alpha / rank * B A
    layers.0.q_proj.lora_A.default.weight, lora_B
    embed_tokens.token_adapter.base_layer.weight      embed_tokens.weight, with the trained rows in their places
    embed_tokens.token_adapter.trainable_tokens_delta.default

So export, and a stage that begins with such a checkpoint, need no peft, and never two weights at once.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vista.data import InputError

# peft's names
LORA_A, LORA_B, ROWS, TABLE = "lora_A", "lora_B", "trainable_tokens_delta", "token_adapter"
_OWN = re.compile(rf"\.({LORA_A}|{LORA_B}|{ROWS})\.")
_BASE = re.compile(rf"(^|\.)({TABLE}\.)?base_layer\.")
ADAPTER = "default"  # peft's name of the only one


@dataclass(frozen=True)
class Merging:
    """What a checkpoint's numbers do not say of its adapters.

    Attributes:
        alpha: see `vista.models.adapters.Adapters`.
        rows: of the embedding tables that were trained.
    """

    alpha: float
    rows: list[int]


def plain_name(name: str) -> str:
    """The name that a weight below an adapter has without it."""
    return _BASE.sub(r"\1", name)


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """Without adapters' own, the names of a model without adapters, and theirs in the one that has some."""
    return {plain_name(name): name for name in names if not _OWN.search(name)}


def merging_of(checkpoint: Mapping[str, Any]) -> Merging | None:
    """What a checkpoint says of its adapters; None: it has none."""
    said = checkpoint.get("vista", {}).get("adapters")
    return None if said is None else Merging(**said)


def check_adapters(checkpoint: Mapping[str, Any], own: Merging | None) -> None:
    """Refuse a checkpoint whose adapters are not those of this model.

    Args:
        checkpoint: that is loaded as it is, adapters beside their weights.
        own: of the model.

    Raises:
        InputError: one of the two has none, or they count otherwise.
    """
    saved = merging_of(checkpoint)
    if "vista" not in checkpoint or saved == own:
        return
    if saved is None or own is None:
        who, other = (
            ("this model", "the checkpoint") if saved is None else ("the checkpoint", "this model")
        )
        raise InputError(
            f"{who} has adapters and {other} has none; `export` merges them, and --model.init_from begins with the "
            "merged weights"
        )
    raise InputError(
        f"the checkpoint was made with --model.adapters.alpha {saved.alpha} and {len(saved.rows)} trained rows, this "
        f"run has {own.alpha} and {len(own.rows)}"
    )


class MergedWeights(Mapping[str, Tensor]):
    """All weights by the names of a model without adapters, in float32 where one was merged."""

    def __init__(self, weights: Mapping[str, Tensor], merging: Merging) -> None:
        """Look at the names.

        Args:
            weights: of a checkpoint with adapters, which may be read when they are looked at.
            merging: what else is known of the adapters.
        """
        self.weights, self.merging = weights, merging
        self.names = plain_names(weights)

    def __getitem__(self, name: str) -> Tensor:
        own = self.names[name]
        tensor = self.weights[own]
        if not own.endswith("base_layer.weight"):
            return tensor
        stem = own.removesuffix("base_layer.weight")
        rows = f"{stem}{ROWS}.{ADAPTER}"
        if rows in self.weights:
            index = torch.tensor(self.merging.rows)
            return tensor.float().index_copy(0, index, self.weights[rows].float())
        a, b = (self.weights[f"{stem}{half}.{ADAPTER}.weight"].float() for half in (LORA_A, LORA_B))
        return tensor.float().addmm(b, a, alpha=self.merging.alpha / len(a))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
