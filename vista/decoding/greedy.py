"""Decoding under the tasks' grammars: greedy or sampled, in batches whose rows need not be in step.

Tokens that the grammar forces are not asked for: they are fed together with the next token the model chooses. Greedy
answers equal those of decoding one token at a time. An answer that ends leaves the batch, and a waiting question takes
its place. Beam search stands in `beam.py`, the likelihood of given answers in `options.py`.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vista.decoding.automaton import Automaton
from vista.decoding.hypothesis import Answer
from vista.decoding.kv import KVBatch
from vista.models.vistallm import VistaLLM
from vista.tokens.batch import Batch


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn instead of taking the likeliest.

    Attributes:
        temperature: logits are divided by it.
        top_p: only the likeliest tokens that together have this probability are drawn.
        seed: each question draws from a stream of its own, so that its answer does not depend on the batch.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0


@torch.inference_mode()
def generate(
    model: VistaLLM,
    batch: Batch,
    automata: Sequence[Automaton],
    max_new_tokens: int | Sequence[int] = 512,
    sampling: Sampling | None = None,
    max_rows: int = 64,
) -> list[Answer]:
    """Answer every sample of a batch.

    Args:
        model: in evaluation mode.
        batch: as for `VistaLLM.forward`, prompts only, padded on either side.
        automata: the compiled grammar of each sample.
        max_new_tokens: longest answer, of all samples or of each; see `vista.decoding.hypothesis.Answer`.
        sampling: how tokens are drawn; none: the likeliest is taken.
        max_rows: answers in the making at a time; the other samples wait.

    Returns:
        the answers, in the order of the samples.
    """
    limits = [max_new_tokens] * len(automata) if isinstance(max_new_tokens, int) else max_new_tokens
    answers = [Answer(automaton, limit) for automaton, limit in zip(automata, limits, strict=True)]
    prompts = read_prompts(model, batch)
    seeds = [
        torch.Generator().manual_seed(sampling.seed + i) if sampling else None
        for i in range(len(answers))
    ]
    open_ = [i for i in range(len(answers)) if not answers[i].done]
    # The longest come first, so that none is left over at the end and neighbours need little padding.
    waiting = deque(sorted(open_, key=lambda i: len(prompts[i]) + limits[i], reverse=True))
    rows, live = KVBatch(model.language_model), list[int]()
    while live or waiting:
        logits = [rows.feed([answers[i].take() for i in live])] if live else []
        if waiting and (not live or len(live) <= max_rows - max(1, max_rows // 4)):
            new = [waiting.popleft() for _ in range(min(len(waiting), max_rows - len(live)))]
            logits.append(
                rows.add([torch.cat([prompts[i], rows.embed(answers[i].take())]) for i in new])
            )
            live += new
        _choose([answers[i] for i in live], torch.cat(logits), sampling, [seeds[i] for i in live])
        kept = [row for row, i in enumerate(live) if not answers[i].done]
        if len(kept) < len(live):
            rows.select(kept)
            live = [live[row] for row in kept]
    return answers


def read_prompts(model: VistaLLM, batch: Batch) -> list[Tensor]:
    """Embeddings of each sample's prompt without its padding, float (t, D) each."""
    real = batch["attention_mask"].bool()
    return [row[keep] for row, keep in zip(model.embed(batch), real, strict=True)]


def _choose(
    answers: Sequence[Answer],
    logits: Tensor,
    sampling: Sampling | None,
    seeds: Sequence[torch.Generator | None],
) -> None:
    """Append the next token to every answer."""
    log_probs = legal_log_probs(answers, logits)
    tokens = log_probs.argmax(1) if sampling is None else _draw(log_probs, sampling, seeds)
    chosen = log_probs.gather(1, tokens[:, None]).squeeze(1)
    table = torch.stack(
        [tokens.double(), chosen.double(), coordinate_spreads(answers, log_probs).double()], dim=1
    )
    for answer, (token, log_prob, spread) in zip(answers, table.tolist(), strict=True):
        answer.append(int(token), log_prob, spread)


def legal_log_probs(answers: Sequence[Answer], logits: Tensor) -> Tensor:
    """Log-probabilities among the legal tokens, float (B, V), -inf for the others."""
    masks = [answer.legal() for answer in answers]
    known = list(
        {id(mask): mask for mask in masks}.values()
    )  # answers in one state share their mask
    places = {id(mask): place for place, mask in enumerate(known)}
    legal = torch.stack(known).to(logits.device)[[places[id(mask)] for mask in masks]]
    return logits.float().masked_fill(~legal, -torch.inf).log_softmax(1)


def coordinate_spreads(answers: Sequence[Answer], log_probs: Tensor) -> Tensor:
    """Standard deviation in bins of the next coordinate's distribution, float (B,); NaN where none comes next."""
    spreads = log_probs.new_full((len(answers),), torch.nan)
    rows = [
        row for row, answer in enumerate(answers) if answer.automaton.asks_coordinate(answer.state)
    ]
    if rows:
        numbers = answers[rows[0]].automaton.number_index.to(log_probs.device)
        values = torch.arange(len(numbers), device=log_probs.device, dtype=torch.float)
        probs = log_probs[rows].index_select(1, numbers).softmax(1)  # (b, N)
        deviation = values - (probs @ values)[:, None]
        spreads[rows] = (probs * deviation**2).sum(1).sqrt()
    return spreads


def _draw(log_probs: Tensor, sampling: Sampling, seeds: Sequence[torch.Generator | None]) -> Tensor:
    """Draw a token for each row, int (B,)."""
    probs = (log_probs / sampling.temperature).softmax(1)
    ranked, order = probs.sort(dim=1, descending=True, stable=True)
    tail = ranked.cumsum(1) - ranked >= sampling.top_p
    probs = torch.zeros_like(probs).scatter(1, order, ranked.masked_fill(tail, 0))
    # One uniform number a row, from the stream of its question, looked up in the probabilities cumulated in the order
    # of the vocabulary: ranks of tokens about as likely would change with the rounding of a batch.
    uniform = torch.stack([torch.rand(1, generator=seed, dtype=torch.float) for seed in seeds]).to(
        probs.device
    )
    cumulated = probs.cumsum(1)
    places = torch.searchsorted(cumulated, uniform * cumulated[:, -1:], right=True)
    last = probs.shape[1] - 1 - (probs > 0).flip(1).long().argmax(1, keepdim=True)
    return places.minimum(last).squeeze(1)
