"""A cache of transformers that grows in place: new keys and values are written behind the old, not joined to a copy."""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

ROOM = 64  # slots that are added at a time


class GrowingLayer(DynamicLayer):
    """Keys and values of one layer, float (B, heads, slots, D): views of larger tensors that have room behind."""

    def __init__(self, **settings: Any) -> None:
        """Start empty."""
        super().__init__(**settings)
        self._buffers: list[
            Tensor
        ] = []  # those that `keys` and `values` are views of; empty where they are not

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Add new slots and return all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        used = self.get_seq_length()
        end = used + key_states.shape[2]
        added = key_states, value_states
        if not self._buffers or self._buffers[0].shape[2] < end:
            self._buffers = [
                _roomy(old, new, end + ROOM) for old, new in zip(self._held(), added, strict=True)
            ]
        for buffer, new in zip(self._buffers, added, strict=True):
            buffer[:, :, used:end] = new
        self.keys, self.values = (buffer[:, :, :end] for buffer in self._buffers)
        return self.keys, self.values

    def hold(self, keys: Tensor, values: Tensor) -> None:
        """Replace what is there."""
        self.keys, self.values, self._buffers = keys, values, []

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows, in this order."""
        self.hold(*(tensor[indices] for tensor in self._held()))

    def _held(self) -> tuple[Tensor, Tensor]:
        assert self.keys is not None and self.values is not None
        return self.keys, self.values


def growing_cache() -> Cache:
    """An empty cache for any number of layers."""
    return Cache(layer_class_to_replicate=GrowingLayer)


def _roomy(old: Tensor, like: Tensor, slots: int) -> Tensor:
    """A copy of `old` (or nothing) with that many slots."""
    batch, heads, _, width = like.shape
    buffer = torch.empty(batch, heads, slots, width, dtype=like.dtype, device=like.device)
    if old.numel():
        buffer[:, :, : old.shape[2]] = old
    return buffer
