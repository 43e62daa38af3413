"""Rows under one KV cache that need not be in step: rows are added, fed, dropped and repeated while others go on.

    add([prompt, prompt])          logits (2, V) after each prompt
    feed([[17], [402, 13, 9]])     rows that have less to read are padded on the left; the padding is masked for good
    select([1])                    the first row leaves

A slot of the cache is one column of all rows; which slots a row may look at is in `mask`, its own positions count only
its own tokens. So a row never sees how long its neighbours are. Any causal language model of transformers whose cache
holds keys and values will do; where its attention has a sliding window, the padding takes room in it.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from vista.decoding.kv_cache import growing_cache


class KVBatch:
    """The rows, their cache and their masks."""

    def __init__(self, llm: nn.Module) -> None:
        """Start without rows.

        Args:
            llm: a causal language model of transformers, in evaluation mode.
        """
        self.llm = cast(Any, llm)
        self.device = self.llm.get_input_embeddings().weight.device
        self.cache: Any = growing_cache()
        self.mask = torch.zeros(0, 0, dtype=torch.long, device=self.device)  # (B, slots)
        self.lengths: list[int] = []  # tokens that each row has read

    def embed(self, token_ids: Sequence[int] | Sequence[list[int]]) -> Tensor:
        """Embeddings of tokens, float (t, D), or (B, t, D) of rows of tokens."""
        return self.llm.get_input_embeddings()(
            torch.tensor(token_ids, dtype=torch.long, device=self.device)
        )

    def add(self, prompts: Sequence[Tensor]) -> Tensor:
        """Read prompts as new rows, behind those that are there.

        Args:
            prompts: embeddings of each, float (t, D), t >= 1.

        Returns:
            logits after the last token of each, float (b, V).
        """
        new = KVBatch(self.llm)
        new.lengths, new.mask = [0] * len(prompts), self.mask.new_zeros(len(prompts), 0)
        logits = new._read(
            nn.utils.rnn.pad_sequence(list(prompts), True, padding_side="left"),
            [*map(len, prompts)],
        )
        self._join(new)
        return logits[:, -1]

    def feed(self, chunks: Sequence[Sequence[int]], all_logits: bool = False) -> Tensor:
        """Let every row read some tokens.

        Args:
            chunks: token ids for each row, at least one.
            all_logits: give those after each token, else those after the last.

        Returns:
            logits, float (B, V), or (B, t, V) with rows padded on the left.
        """
        width = max(map(len, chunks))
        padded = [[0] * (width - len(chunk)) + list(chunk) for chunk in chunks]
        logits = self._read(self.embed(padded), [*map(len, chunks)], 0 if all_logits else 1)
        return logits if all_logits else logits[:, -1]

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be repeated. Slots that none of them uses are given back."""
        index = torch.tensor(rows, dtype=torch.long, device=self.device)
        self.cache.batch_select_indices(index)
        self.mask, self.lengths = self.mask[index], [self.lengths[row] for row in rows]
        unused = self.mask.shape[1] - max(self.lengths, default=0)
        if unused and rows:
            unused = int(self.mask.any(0).long().argmax())
            self.mask = self.mask[:, unused:]
            for layer in self.cache.layers:
                layer.hold(layer.keys[:, :, unused:], layer.values[:, :, unused:])

    def _read(self, embeds: Tensor, counts: list[int], logits_to_keep: int = 1) -> Tensor:
        """Feed embeddings (B, t, D), the last `counts` of each row being real."""
        width = embeds.shape[1]
        real = torch.tensor([[0] * (width - n) + [1] * n for n in counts], device=self.device)
        begins = zip(counts, self.lengths, strict=True)
        positions = [[0] * (width - n) + [*range(begin, begin + n)] for n, begin in begins]
        self.mask = torch.cat([self.mask, real], dim=1)
        self.lengths = [n + begin for n, begin in zip(counts, self.lengths, strict=True)]
        return self.llm(
            inputs_embeds=embeds,
            attention_mask=self.mask,
            position_ids=torch.tensor(positions, device=self.device),
            cache=self.cache,
            use_cache=True,
            logits_to_keep=logits_to_keep,
        ).logits

    def _join(self, new: "KVBatch") -> None:
        """Take the rows of another batch; the shorter cache gets masked slots in front."""
        if self.lengths:
            slots = max(self.mask.shape[1], new.mask.shape[1])
            for ours, theirs in zip(self.cache.layers, new.cache.layers, strict=True):
                pairs = (ours.keys, theirs.keys), (ours.values, theirs.values)
                ours.hold(
                    *(torch.cat([_widen(tensor, slots, 2) for tensor in pair]) for pair in pairs)
                )
            self.mask = torch.cat([_widen(batch.mask, slots, 1) for batch in (self, new)])
        else:
            self.cache, self.mask = new.cache, new.mask
        self.lengths += new.lengths


def _widen(tensor: Tensor, slots: int, dim: int) -> Tensor:
    """Zeros in front along a dimension, up to so many slots."""
    shape = list(tensor.shape)
    shape[dim] = slots - shape[dim]
    return torch.cat([tensor.new_zeros(shape), tensor], dim=dim) if shape[dim] else tensor
