"""Groups of answers to a batch of questions, and how likely the model finds them now.

    questions of a training batch -> draw_answers -> k answers each -> token_log_probs, with gradients

Both go through the same cache and the same grammar: a token's probability is among the legal tokens, and tokens that
the grammar forces have none. A prompt is read once for all answers to it.
"""

from collections.abc import Sequence
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


class FreeTokens(NamedTuple):
    """Tokens of the answers that the grammar left open, F of them, in an order that the answers alone decide on."""

    answer: Tensor  # int (F,), whose token it is
    log_probs: Tensor  # float (F,), in nats, among the legal tokens at the temperature
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
    group: int,
    temperature: float,
    seeds: Sequence[tuple[int, ...]],
) -> list[Hypothesis]:
    """Draw `group` answers to each of B questions, those to the same one after the other.

    Args:
        model: in evaluation mode.
        questions: see `questions_of`.
        automata: the compiled grammar of each question.
        limits: most tokens of an answer to each.
        group: answers to each.
        temperature: logits are divided by it.
        seeds: by question, what its draws depend on alone, whatever the batch.
    """
    streams: list[int] = []
    for seed in seeds:
        states = np.random.SeedSequence(seed).generate_state(group, np.uint64)
        streams += [int(state >> np.uint64(1)) for state in states]
    sampling = Sampling(temperature, seeds=tuple(streams))
    return generate(model, questions, automata, limits, sampling, max_rows=ROWS, copies=group)


def token_log_probs(
    model: VistaLLM,
    questions: Batch,
    answers: Sequence[Hypothesis],
    group: int,
    temperature: float,
) -> FreeTokens:
    """How likely the free tokens of answers are; gradients flow where they are switched on.

    Args:
        model: in evaluation mode, so that nothing is dropped.
        questions: as for `draw_answers`.
        answers: to each question as many as a group has.
        group: answers to each.
        temperature: of the policy.
    """
    prompts = read_prompts(model, questions)
    longest = []
    for question in range(len(prompts)):
        own = answers[question * group : (question + 1) * group]
        longest.append(max(len(answer.token_ids) for answer in own))
    parts = []
    for some in length_groups(longest, model.length_groups):
        rows = [question * group + k for question in some for k in range(group)]
        cache = KVBatch(model.language_model)
        first = cache.add([prompts[question] for question in some], group)  # (rows, V)
        chosen = [answers[row] for row in rows]
        later = cache.feed([a.token_ids for a in chosen], all_logits=True)  # padded left
        logits = torch.cat([first[:, None], later], dim=1)  # (rows, 1 + t, V)
        parts.append(_of_free_tokens(chosen, rows, logits, temperature))
    return FreeTokens(*map(torch.cat, zip(*parts, strict=True)))


def _of_free_tokens(
    answers: Sequence[Hypothesis], names: Sequence[int], logits: Tensor, temperature: float
) -> FreeTokens:
    """See `token_log_probs`; of logits (rows, 1 + t, V) the first is the prompt's, the others are padded left."""
    rows, columns, tokens, masks = [], [], [], []
    for row, answer in enumerate(answers):
        padding = logits.shape[1] - 1 - len(answer.token_ids)
        for position, legal in free_positions(answer):
            rows.append(row)
            columns.append(padding + position if position else 0)
            tokens.append(answer.token_ids[position])
            masks.append(legal)
    legal = torch.stack(masks).to(logits.device)  # (F, V)
    free = logits[rows, columns, : legal.shape[1]].float() / temperature
    log_probs = free.masked_fill(~legal, -torch.inf).log_softmax(1)
    finite = log_probs.masked_fill(~legal, 0.0)  # what is not legal adds nothing to the entropy
    entropies = -(log_probs.exp() * finite).sum(1)
    chosen = log_probs.gather(1, torch.tensor(tokens, device=logits.device)[:, None])[:, 0]
    owners = torch.tensor([names[row] for row in rows], device=logits.device)
    return FreeTokens(owners, chosen, entropies)


def free_positions(answer: Hypothesis) -> list[tuple[int, Tensor]]:
    """Where the grammar left an answer's token open, and which tokens were legal there, bool (V,)."""
    replayed = Hypothesis(answer.automaton, answer.limit)
    found = []
    while not replayed.done:
        position = len(replayed.token_ids)
        found.append((position, replayed.legal()))
        replayed.append(answer.token_ids[position], 0.0)
    return found
