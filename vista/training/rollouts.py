"""Groups of answers to a batch of questions, and how likely the model finds them now.

    questions of a training batch -> draw_answers -> k answers each -> token_log_probs, with gradients

Both go through the same cache and the same grammar: a token's probability is among the legal tokens, and tokens that
the grammar forces have none. A prompt is read once for all answers to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from vista.decoding.automaton import Automaton
from vista.decoding.greedy import Sampling, generate, read_prompts
from vista.decoding.hypothesis import Hypothesis
from vista.decoding.kv import KVBatch
from vista.models.vistallm import VistaLLM, length_groups
from vista.tokens.batch import IGNORE
from vista.tokens.batch_types import Batch

ROWS = 256  # answers that are drawn at a time


@dataclass
class Rollout:
    """Answers to a batch of questions.

    Attributes:
        questions: see `questions_of`.
        answers: as many to each question as a group has, those to the same one after the other.
        group: answers to each question.
        temperature: at which they were drawn, and at which tokens have their probabilities.
    """

    questions: Batch
    answers: list[Hypothesis]
    group: int
    temperature: float

    @cached_property
    def open_tokens(self) -> list[list[tuple[int, Tensor]]]:
        """Of each answer the positions that the grammar left open, and which tokens were legal there, bool (V,)."""
        return [_open_tokens(answer) for answer in self.answers]


class FreeTokens(NamedTuple):
    """Tokens of the answers that the grammar left open, F of them, in an order that the answers alone decide on."""

    answer: Tensor  # int (F,), whose token it is
    log_probs: Tensor  # float (F,), in nats, among the legal tokens
    entropies: Tensor  # float (F,), of the legal tokens


def questions_of(batch: Batch) -> Batch:
    """The same samples without their last answer, which is masked as padding is."""
    real = batch["attention_mask"].bool()
    asked = real & (batch["labels"] == IGNORE)
    positions = torch.arange(real.shape[1], device=real.device)
    # A conversation's earlier answers stay: the last token that is not learned ends the question.
    end = torch.where(asked, positions, -1).amax(1, keepdim=True)  # (B, 1)
    mask = (real & (positions <= end)).to(batch["attention_mask"].dtype)
    return cast(Batch, {**batch, "attention_mask": mask})


def draw_answers(
    model: VistaLLM,
    questions: Batch,
    automata: Sequence[Automaton],
    limits: Sequence[int],
    seeds: Sequence[tuple[int, ...]],
    group: int,
    temperature: float = 1.0,
) -> Rollout:
    """Draw `group` answers to each of B questions.

    Args:
        model: in evaluation mode.
        questions: see `questions_of`.
        automata: the compiled grammar of each question.
        limits: most tokens of an answer to each.
        seeds: by question, what its draws depend on alone, whatever the batch.
        group: answers to each.
        temperature: logits are divided by it.
    """
    streams: list[int] = []
    for seed in seeds:
        states = np.random.SeedSequence(seed).generate_state(group, np.uint64)
        streams += [int(state >> np.uint64(1)) for state in states]
    sampling = Sampling(temperature, seeds=tuple(streams))
    answers = generate(model, questions, automata, limits, sampling, max_rows=ROWS, copies=group)
    return Rollout(questions, answers, group, temperature)


def token_log_probs(model: VistaLLM, rollout: Rollout) -> FreeTokens:
    """How likely the free tokens of answers are now; gradients flow where they are switched on.

    Args:
        model: in evaluation mode, so that nothing is dropped.
        rollout: what was drawn.
    """
    group, prompts = rollout.group, read_prompts(model, rollout.questions)
    lengths = [len(answer.token_ids) for answer in rollout.answers]
    longest = [max(lengths[k * group : (k + 1) * group]) for k in range(len(prompts))]
    parts = []
    for some in length_groups(longest, model.length_groups):
        rows = [some[k // group] * group + k % group for k in range(len(some) * group)]
        cache = KVBatch(model.language_model)
        first = cache.add([prompts[question] for question in some], group)  # (rows, V)
        read = [rollout.answers[row].token_ids for row in rows]
        later = cache.feed(read, all_logits=True)  # (rows, t, V), padded left
        parts.append(_of_free_tokens(rollout, rows, torch.cat([first[:, None], later], dim=1)))
    return FreeTokens(*map(torch.cat, zip(*parts, strict=True)))


def _of_free_tokens(rollout: Rollout, answers: Sequence[int], logits: Tensor) -> FreeTokens:
    """Of some answers; of their logits (rows, 1 + t, V) the first is the prompt's, the others are padded left."""
    places, masks = [], []
    for row, index in enumerate(answers):
        token_ids = rollout.answers[index].token_ids
        padding = logits.shape[1] - 1 - len(token_ids)
        for position, legal in rollout.open_tokens[index]:
            column = padding + position if position else 0
            places.append((index, row, column, token_ids[position]))
            masks.append(legal)
    # Answers of which all is forced have no place.
    table = torch.tensor(places, dtype=torch.long, device=logits.device).view(-1, 4)
    owners, rows, columns, tokens = table.unbind(1)  # int (F,) each
    # A table may have more rows than there are tokens.
    size = rollout.answers[0].automaton.vocab_size
    legal = torch.stack(masks).to(logits.device) if masks else rows.new_zeros(0, size).bool()
    free = logits[rows, columns, :size].float() / rollout.temperature  # (F, V)
    log_probs = free.masked_fill(~legal, -torch.inf).log_softmax(1)
    finite = log_probs.masked_fill(~legal, 0.0)  # what is not legal adds nothing to the entropy
    chosen = log_probs.gather(1, tokens[:, None])[:, 0]
    return FreeTokens(owners, chosen, -(log_probs.exp() * finite).sum(1))


def _open_tokens(answer: Hypothesis) -> list[tuple[int, Tensor]]:
    replayed = Hypothesis(answer.automaton, answer.limit)
    found = []
    while not replayed.done:
        position = len(replayed.token_ids)
        found.append((position, replayed.legal()))
        replayed.append(answer.token_ids[position], 0.0)
    return found
