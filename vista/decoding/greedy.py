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
from vista.decoding.coordinates import Coordinates, NextCoordinates
from vista.decoding.hypothesis import Hypothesis, start_hypotheses
from vista.decoding.kv import KVBatch
from vista.models.vistallm import VistaLLM
from vista.tokens.batch_types import Batch


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn instead of taking the likeliest.

    Attributes:
        temperature: logits are divided by it.
        top_p: only the likeliest tokens that together have this probability are drawn.
        seed: each question draws from a stream of its own, so that its answer does not depend on the batch.
        seeds: of each answer's stream, in the place of the seed.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    seeds: tuple[int, ...] = ()


@torch.inference_mode()
def generate(
    model: VistaLLM,
    batch: Batch,
    automata: Sequence[Automaton],
    max_new_tokens: int | Sequence[int] = 512,
    sampling: Sampling | None = None,
    max_rows: int = 64,
    coordinates: Coordinates = "mode",
    copies: int = 1,
) -> list[Hypothesis]:
    """Answer every sample of a batch.

    Args:
        model: in evaluation mode.
        batch: as for `VistaLLM.forward`, prompts only, padded on either side.
        automata: the compiled grammar of each sample.
        max_new_tokens: longest answer, of all samples or of each; see `vista.decoding.hypothesis.Hypothesis`.
        sampling: how tokens are drawn; none: the likeliest is taken.
        max_rows: answers in the making at a time; the other samples wait.
        coordinates: `mode`: the chosen token; `median`: where that is a coordinate, the median of its distribution.
        copies: answers to each sample, whose prompt is read once; drawn ones differ.

    Returns:
        the answers, in the order of the samples, those to the same one after the other.
    """
    answers = start_hypotheses(automata, max_new_tokens, copies)
    prompts = read_prompts(model, batch)
    draws = None if sampling is None else _Draws(sampling, len(answers))
    first = answers[::copies]
    unfinished = [i for i, answer in enumerate(first) if not answer.done]
    # The longest come first, so that none is left over at the end and neighbours need little padding.
    unfinished.sort(key=lambda i: len(prompts[i]) + first[i].limit, reverse=True)
    waiting = deque(unfinished)
    rows = KVBatch(model.language_model)
    live: list[int] = []  # the answer of each row
    while live or waiting:
        logits = []
        if live:
            logits.append(rows.feed([answers[i].take() for i in live]))
        free = max_rows - len(live)
        # Prompts are read several at a time: a quarter of the rows must be free first.
        if waiting and (not live or free >= max(copies, max_rows // 4)):
            count = max(1, free // copies)
            starts = []
            for i in [waiting.popleft() for _ in range(min(len(waiting), count))]:
                own = range(i * copies, (i + 1) * copies)
                forced = [answers[k].take() for k in own]  # the same for all of them
                starts.append(torch.cat([prompts[i], rows.embed(forced[0])]))
                live += own
            logits.append(rows.add(starts, copies))
        in_the_making = [answers[i] for i in live]
        log_probs = legal_log_probs(in_the_making, torch.cat(logits))  # (rows, V)
        next_coordinates = NextCoordinates(in_the_making, log_probs)
        tokens = log_probs.argmax(1) if draws is None else draws.draw(log_probs, live)
        if coordinates == "median":
            tokens = next_coordinates.read_medians(tokens)
        _append(in_the_making, log_probs, tokens, next_coordinates.spreads())
        kept = [row for row, i in enumerate(live) if not answers[i].done]
        if len(kept) < len(live):
            rows.select(kept)
            live = [live[row] for row in kept]
    return answers


def read_prompts(model: VistaLLM, batch: Batch) -> list[Tensor]:
    """Embeddings of each sample's prompt without its padding, float (t, D) each."""
    real = batch["attention_mask"].bool()
    return [row[keep] for row, keep in zip(model.embed(batch), real, strict=True)]


def legal_log_probs(answers: Sequence[Hypothesis], logits: Tensor) -> Tensor:
    """Log-probabilities among the legal tokens, float (B, V), -inf for the others."""
    masks = [answer.legal() for answer in answers]
    # Answers in one state share their mask, which goes to the device once.
    different = list({id(mask): mask for mask in masks}.values())
    index = {id(mask): k for k, mask in enumerate(different)}
    rows = [index[id(mask)] for mask in masks]
    legal = torch.stack(different).to(logits.device)[rows]  # (B, V)
    # A table may have more rows than there are tokens.
    legal_logits = logits[:, : legal.shape[1]].float().masked_fill(~legal, -torch.inf)
    return legal_logits.log_softmax(1)


def _append(
    answers: Sequence[Hypothesis],
    log_probs: Tensor,
    tokens: Tensor,
    spreads: Tensor,
) -> None:
    """Append the tokens that were chosen, int (B,), to their answers."""
    chosen = log_probs.gather(1, tokens[:, None]).squeeze(1)
    # In one table, so that a device is waited for once; a double holds every token id.
    table = torch.stack([tokens.double(), chosen.double(), spreads.double()], dim=1)  # (B, 3)
    for answer, (token, log_prob, spread) in zip(answers, table.tolist(), strict=True):
        answer.append(int(token), log_prob, spread)


class _Draws:
    """A stream of random numbers for each question."""

    def __init__(self, sampling: Sampling, count: int) -> None:
        self.sampling = sampling
        seeds = sampling.seeds or range(sampling.seed, sampling.seed + count)
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def draw(self, log_probs: Tensor, questions: Sequence[int]) -> Tensor:
        """Draw a token for each row, int (B,).

        Args:
            log_probs: float (B, V).
            questions: whose stream each row draws from.
        """
        probs = (log_probs / self.sampling.temperature).softmax(1)
        if self.sampling.top_p < 1:
            ranked, order = probs.sort(dim=1, descending=True, stable=True)
            tail = ranked.cumsum(1) - ranked >= self.sampling.top_p
            kept = ranked.masked_fill(tail, 0)
            probs = torch.zeros_like(probs).scatter(1, order, kept)
        # One uniform number a row is looked up in the probabilities cumulated in the order of the vocabulary: ranks of
        # tokens about as likely would change with the rounding of a batch.
        uniform = [
            torch.rand(1, generator=self.generators[i], dtype=torch.float) for i in questions
        ]
        cumulated = probs.cumsum(1)
        goal = torch.stack(uniform).to(probs.device) * cumulated[:, -1:]  # (B, 1)
        tokens = torch.searchsorted(cumulated, goal, right=True)
        # Rounding may carry a number beyond the last token that can be drawn.
        possible = (probs > 0).long()
        behind_last = possible.flip(1).argmax(1, keepdim=True)
        last = probs.shape[1] - 1 - behind_last
        return tokens.minimum(last).squeeze(1)
