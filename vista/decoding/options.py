"""How likely each of some given answers is; what they share is read once.

    options "The answer is (A).", ..., "The answer is (D)." -> [0.1, 0.6, 0.2, 0.1]

The prompt and the words that all options begin with go through the model once for each question, the rest once for each
option. As InstructBLIP ranks the choices of IconQA, but whole likelihoods are compared, not divided by length.
"""

from collections.abc import Iterator, Sequence
from itertools import takewhile

import torch
from torch import Tensor

from vista.decoding.greedy import read_prompts
from vista.decoding.kv import KVBatch
from vista.models.vistallm import VistaLLM
from vista.tokens.batch import Batch

Options = Sequence[list[int]]


@torch.inference_mode()
def option_probabilities(
    model: VistaLLM, batch: Batch, options: Sequence[Options], max_rows: int = 64
) -> list[list[float]]:
    """Probabilities of the options of each sample, given that one of them is the answer.

    Args:
        model: in evaluation mode.
        batch: as for `vista.decoding.greedy.generate`.
        options: by sample, the token ids of each option, at least one token; a sample may have none.
        max_rows: options that are read at a time, if one question has not more.

    Returns:
        by sample, a probability for each option; they sum to 1.
    """
    found: list[list[float]] = [[] for _ in options]
    prompts = read_prompts(model, batch)
    for group in _groups(options, max_rows):
        scored = _score(
            KVBatch(model.language_model), [prompts[i] for i in group], [options[i] for i in group]
        )
        for i, log_probs in zip(group, scored, strict=True):
            found[i] = log_probs.softmax(0).tolist()
    return found


def _groups(options: Sequence[Options], max_rows: int) -> Iterator[list[int]]:
    """Samples with options, so many that their options fit."""
    group: list[int] = []
    for i in (i for i, own in enumerate(options) if own):
        if group and sum(len(options[k]) for k in (*group, i)) > max_rows:
            yield group
            group = []
        group.append(i)
    if group:
        yield group


def _score(rows: KVBatch, prompts: Sequence[Tensor], options: Sequence[Options]) -> list[Tensor]:
    """Log-probability of each option behind the shared part, float (options of the sample,) each."""
    shared = [_shared(own) for own in options]
    first = rows.add([torch.cat([p, rows.embed(s)]) for p, s in zip(prompts, shared, strict=True)])
    first = first.float().log_softmax(1)  # (b, V)
    rests = [option[len(s) :] for own, s in zip(options, shared, strict=True) for option in own]
    owners = [i for i, own in enumerate(options) for _ in own]
    scores = first[owners, [rest[0] for rest in rests]]
    longer = [k for k, rest in enumerate(rests) if len(rest) > 1]
    if longer:
        rows.select([owners[k] for k in longer])
        logits = rows.feed([rests[k][:-1] for k in longer], all_logits=True)
        for k, row in zip(longer, logits.float().log_softmax(2), strict=True):
            tokens = torch.tensor(rests[k][1:], device=row.device)
            scores[k] += row[-len(tokens) :].gather(1, tokens[:, None]).sum()
    return list(scores.split([len(own) for own in options]))


def _shared(options: Options) -> list[int]:
    """The tokens that all options begin with, short of the last of any."""
    places = takewhile(
        lambda place: len(set(place)) == 1, zip(*(option[:-1] for option in options), strict=False)
    )
    return [place[0] for place in places]
