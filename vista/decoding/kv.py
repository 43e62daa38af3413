"""Rows under one KV cache that need not be in step: rows are added, fed, dropped and repeated while others go on.

    add([prompt, prompt])          logits (2, V) after each prompt
    feed([[17], [402, 13, 9]])     rows that have less to read are padded on the left; the padding is masked for good
    select([1])                    the first row leaves

A slot of the cache is one column of all rows; which slots a row may look at is in `mask`, its own positions count only
its own tokens. So a row never sees how long its neighbours are. Any causal language model of transformers whose cache
holds keys and values will do; windows of attention are in `windows.py`.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer

from vista.decoding.windows import attention_mask

ROOM = 64  # slots that a cache grows by


class KVBatch:
    """The rows, their cache and their masks."""

    def __init__(self, llm: PreTrainedModel) -> None:
        """Start without rows.

        Args:
            llm: a causal language model of transformers, in evaluation mode.
        """
        self.llm = llm
        self.embeddings = cast(nn.Embedding, llm.get_input_embeddings())
        self.device = self.embeddings.weight.device
        self.cache = Cache(layer_class_to_replicate=GrowingLayer)
        self.mask = torch.zeros(0, 0, dtype=torch.long, device=self.device)  # (B, slots)
        self.lengths: list[int] = []  # tokens that each row has read

    @property
    def _layers(self) -> list["GrowingLayer"]:
        return cast(list[GrowingLayer], self.cache.layers)

    def embed(self, token_ids: Sequence[int] | Sequence[list[int]]) -> Tensor:
        """Embeddings of tokens, float (t, D), or (B, t, D) of rows of tokens."""
        ids = torch.tensor(token_ids, dtype=torch.long, device=self.device)
        return self.embeddings(ids)

    def add(self, prompts: Sequence[Tensor], copies: int = 1) -> Tensor:
        """Read prompts as new rows, behind those that are there.

        Args:
            prompts: embeddings of each, float (t, D), t >= 1.
            copies: rows of each prompt, which is read once; they stand one after the other.

        Returns:
            logits after the last token of each row, float (b * copies, V).
        """
        # Read alone, so that running rows are not padded to the length of a prompt.
        new = KVBatch(self.llm)
        new.lengths = [0] * len(prompts)
        new.mask = self.mask.new_zeros(len(prompts), 0)
        padded = nn.utils.rnn.pad_sequence(list(prompts), batch_first=True, padding_side="left")
        logits = new._read(padded, [len(prompt) for prompt in prompts])[:, -1]  # (b, V)
        if copies > 1:
            new.select([row // copies for row in range(len(prompts) * copies)])
        self._join(new)
        return logits.repeat_interleave(copies, dim=0)

    def feed(self, chunks: Sequence[Sequence[int]], all_logits: bool = False) -> Tensor:
        """Let every row read some tokens.

        Args:
            chunks: token ids for each row, at least one.
            all_logits: give those after each token, else those after the last.

        Returns:
            logits, float (B, V), or (B, t, V) with rows padded on the left.
        """
        counts = [len(chunk) for chunk in chunks]
        width = max(counts)
        padded = [[0] * (width - len(chunk)) + list(chunk) for chunk in chunks]
        if all_logits:
            return self._read(self.embed(padded), counts, logits_to_keep=0)  # 0 keeps all
        return self._read(self.embed(padded), counts)[:, -1]

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be repeated. Slots that none of them uses are given back."""
        index = torch.tensor(rows, dtype=torch.long, device=self.device)
        self.cache.batch_select_indices(index)
        self.mask = self.mask[index]
        self.lengths = [self.lengths[row] for row in rows]
        if rows and self.mask.shape[1] > max(self.lengths):
            self._drop_unused_slots()

    def _drop_unused_slots(self) -> None:
        """Give back the slots in front that are padding in every row."""
        first = int(self.mask.any(0).long().argmax())
        self.mask = self.mask[:, first:]
        for layer in self._layers:
            keys, values = layer.held()
            layer.hold(keys[:, :, first:], values[:, :, first:])

    def _read(self, embeds: Tensor, counts: list[int], logits_to_keep: int = 1) -> Tensor:
        """Feed embeddings (B, t, D), the last `counts` of each row being real; logits (B, t or fewer, V)."""
        width = embeds.shape[1]
        real, positions = [], []
        for begin, count in zip(self.lengths, counts, strict=True):
            padding = [0] * (width - count)
            real.append(padding + [1] * count)
            # A row's own tokens are counted, whatever stands between them in the cache.
            positions.append([*padding, *range(begin, begin + count)])
        self.mask = torch.cat([self.mask, torch.tensor(real, device=self.device)], dim=1)
        self.lengths = [n + count for n, count in zip(self.lengths, counts, strict=True)]
        return self.llm(
            inputs_embeds=embeds,
            attention_mask=attention_mask(self.llm.config, self.mask, width, embeds.dtype),
            position_ids=torch.tensor(positions, device=self.device),
            cache=self.cache,
            use_cache=True,
            logits_to_keep=logits_to_keep,
        ).logits

    def _join(self, new: "KVBatch") -> None:
        """Take the rows of another batch; the shorter cache gets masked slots in front."""
        if self.lengths:
            slots = max(self.mask.shape[1], new.mask.shape[1])
            for ours, theirs in zip(self._layers, new._layers, strict=True):
                (our_keys, our_values), (their_keys, their_values) = ours.held(), theirs.held()
                ours.hold(
                    _stack(our_keys, their_keys, slots, dim=2),
                    _stack(our_values, their_values, slots, dim=2),
                )
            self.mask = _stack(self.mask, new.mask, slots, dim=1)
        else:
            self.cache, self.mask = new.cache, new.mask
        self.lengths += new.lengths


class GrowingLayer(DynamicLayer):
    """Keys and values of one layer, float (B, heads, slots, D): views of larger tensors that have room behind.

    New slots are written behind the old ones; transformers' own layer joins old and new to a copy at every step.
    """

    def __init__(self, **settings: object) -> None:
        """Start empty."""
        super().__init__(**settings)
        # What `keys` and `values` are views of; empty where they are not.
        self._buffers: list[Tensor] = []

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Add new slots and return all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        used = self.get_seq_length()
        end = used + key_states.shape[2]
        if not self._buffers or self._buffers[0].shape[2] < end:
            keys, values = self.held()
            self._buffers = [
                _roomy(keys, key_states, end + ROOM),
                _roomy(values, value_states, end + ROOM),
            ]
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, used:end] = new
        self.keys, self.values = (buffer[:, :, :end] for buffer in self._buffers)
        return self.keys, self.values

    def held(self) -> tuple[Tensor, Tensor]:
        """Keys and values of the slots in use."""
        assert self.keys is not None and self.values is not None
        return self.keys, self.values

    def hold(self, keys: Tensor, values: Tensor) -> None:
        """Replace what is there."""
        self.keys, self.values, self._buffers = keys, values, []

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep these rows, in this order."""
        keys, values = self.held()
        self.hold(keys[indices], values[indices])


def _stack(one: Tensor, other: Tensor, slots: int, dim: int) -> Tensor:
    """The rows of both, the slots along `dim` filled up in front by zeros to so many."""
    return torch.cat([_widen(one, slots, dim), _widen(other, slots, dim)])


def _widen(tensor: Tensor, slots: int, dim: int) -> Tensor:
    shape = list(tensor.shape)
    shape[dim] = slots - shape[dim]
    return torch.cat([tensor.new_zeros(shape), tensor], dim=dim) if shape[dim] else tensor


def _roomy(old: Tensor, like: Tensor, slots: int) -> Tensor:
    """A copy of `old` (or nothing) with that many slots."""
    batch, heads, _, width = like.shape
    buffer = torch.empty(batch, heads, slots, width, dtype=like.dtype, device=like.device)
    if old.numel():
        buffer[:, :, : old.shape[2]] = old
    return buffer
