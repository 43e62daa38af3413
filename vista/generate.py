"""Greedy decoding of a batch under the tasks' grammars, with a KV cache.

Tokens that the grammar forces are not asked for: they are fed together with the next token the model chooses. Rows may
be in different states; a row that has less to feed is padded on the left, and the padding is masked for good.
"""

from collections.abc import Sequence
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

    def take(self) -> list[int]:
        """Tokens that the model has not read yet; they count as read from now on."""
        pending, self.pending = self.pending, []
        return pending

    @property
    def done(self) -> bool:
        return self.state == END or len(self.token_ids) >= self.limit


@torch.no_grad()
def generate(
    model: VistaLLM, batch: dict[str, Any], automata: Sequence[Automaton], max_new_tokens: int | Sequence[int] = 512
) -> list[list[int]]:
    """Answer every sample of a batch greedily.

    Args:
        model: in evaluation mode.
        batch: as for `VistaLLM.forward`, prompts only, padded on either side.
        automata: the compiled grammar of each sample.
        max_new_tokens: longest answer, of all samples or of each; a longer one is cut.

    Returns:
        the answers' token ids, each ending with the end-of-sequence token unless it was cut.
    """
    limits = [max_new_tokens] * len(automata) if isinstance(max_new_tokens, int) else max_new_tokens
    rows = [_Row(automaton, limit) for automaton, limit in zip(automata, limits, strict=True)]
    for row in rows:
        row.advance()
    llm, cache = cast(Any, model.language_model), DynamicCache()
    prompts = _prompts(batch, rows)
    embeds, mask = model.embed(prompts), prompts["attention_mask"]
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    while not all(row.done for row in rows):
        logits = llm(
            inputs_embeds=embeds, attention_mask=mask, position_ids=positions, cache=cache, logits_to_keep=1
        ).logits[:, -1]
        _choose(rows, logits)
        feed, fed = _pad_left([row.take() for row in rows], mask.device)
        positions = (mask.sum(1, keepdim=True) + fed.cumsum(1) - 1).clamp(min=0)
        embeds, mask = llm.get_input_embeddings()(feed), torch.cat([mask, fed], dim=1)
    return [row.token_ids[: row.limit] for row in rows]


def _prompts(batch: dict[str, Any], rows: Sequence[_Row]) -> dict[str, Any]:
    """The batch with the first forced tokens behind every prompt, so that each row ends in a token that was fed."""
    prompts = zip(batch["input_ids"], batch["attention_mask"].bool(), rows, strict=True)
    joined = [ids[keep].tolist() + row.take() for ids, keep, row in prompts]
    input_ids, mask = _pad_left(joined, batch["input_ids"].device)
    return batch | {"input_ids": input_ids, "attention_mask": mask}


def _pad_left(rows: Sequence[list[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of tokens as int (B, t), and which of them are real, int (B, t)."""
    width = max(len(row) for row in rows)
    feed = torch.tensor([[0] * (width - len(row)) + row for row in rows], dtype=torch.long, device=device)
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return feed, torch.tensor(mask, dtype=torch.long, device=device)


def _choose(rows: Sequence[_Row], logits: Tensor) -> None:
    """Append the likeliest legal token to every row that is not done."""
    legal = torch.stack([r.automaton.mask(0 if r.done else r.state) for r in rows]).to(logits.device)
    tokens = logits.masked_fill(~legal, -torch.inf).argmax(1).tolist()
    for row, token in zip(rows, tokens, strict=True):
        if not row.done:
            row.append(token)
            row.advance()
