"""Greedy decoding of a batch under the tasks' grammars, with a KV cache.

Tokens that the grammar forces are not asked for: they are fed together with the next token the model chooses. Rows may
be in different states; a row that has less to feed is padded on the left, and the padding is masked for good.
"""

from typing import Any, cast

import torch
from torch import Tensor
from transformers import DynamicCache

from vista.grammar import END, Automaton
from vista.models.vistallm import VistaLLM


class _Row:
    """One answer in the making: its tokens, its state and the tokens not fed yet."""

    def __init__(self, automaton: Automaton, limit: int) -> None:
        self.automaton, self.limit = automaton, limit
        self.state, self.token_ids, self.pending = 0, [], []  # type: int, list[int], list[int]

    def advance(self) -> None:
        """Append what the grammar forces."""
        while self.state != END and (token := self.automaton.forced(self.state)) is not None:
            self.append(token)

    def append(self, token: int) -> None:
        self.state = self.automaton.step(self.state, token)
        self.token_ids.append(token)
        self.pending.append(token)

    @property
    def done(self) -> bool:
        return self.state == END or len(self.token_ids) >= self.limit


@torch.no_grad()
def generate(
    model: VistaLLM, batch: dict[str, Any], automata: list[Automaton], max_new_tokens: int = 512
) -> list[list[int]]:
    """Answer every sample of a batch greedily.

    Args:
        model: in evaluation mode.
        batch: as for `VistaLLM.forward`, prompts only, `input_ids` and `attention_mask` padded on the LEFT.
        automata: the compiled grammar of each sample.
        max_new_tokens: longest answer; a longer one is cut.

    Returns:
        the answers' token ids, each ending with the end-of-sequence token unless it was cut.
    """
    rows = [_Row(automaton, max_new_tokens) for automaton in automata]
    llm, cache = cast(Any, model.language_model), DynamicCache()
    mask, embeds = batch["attention_mask"], model.embed(batch)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    for row in rows:
        row.advance()
    while True:
        feed, feed_mask = _pending(rows, mask.device)
        if feed.shape[1]:
            embeds = torch.cat([embeds, llm.get_input_embeddings()(feed)], dim=1)
            positions = torch.cat([positions, (mask.sum(1, keepdim=True) + feed_mask.cumsum(1) - 1).clamp(min=0)], 1)
            mask = torch.cat([mask, feed_mask], dim=1)
        if all(row.done for row in rows):
            return [row.token_ids for row in rows]
        logits = llm(
            inputs_embeds=embeds, attention_mask=mask, position_ids=positions, cache=cache, logits_to_keep=1
        ).logits[:, -1]
        _choose(rows, logits)
        embeds, positions = embeds[:, :0], positions[:, :0]


def _pending(rows: list[_Row], device: torch.device) -> tuple[Tensor, Tensor]:
    """Tokens to feed, int (B, t), and which of them are real; padded on the left."""
    width = max(len(row.pending) for row in rows)
    feed = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        if row.pending:
            feed[i, width - len(row.pending) :] = torch.tensor(row.pending)
    mask = torch.tensor([[0] * (width - len(r.pending)) + [1] * len(r.pending) for r in rows], dtype=torch.long)
    for row in rows:
        row.pending = []
    return feed.to(device), mask.reshape(len(rows), width).to(device)


def _choose(rows: list[_Row], logits: Tensor) -> None:
    """Append the likeliest legal token to every row that is not done."""
    legal = torch.stack([r.automaton.mask(0 if r.done else r.state) for r in rows]).to(logits.device)
    tokens = logits.masked_fill(~legal, -torch.inf).argmax(1).tolist()
    for row, token in zip(rows, tokens, strict=True):
        if not row.done:
            row.append(token)
            row.advance()
