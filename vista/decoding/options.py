"""How likely each of some given answers is; what they begin with is read once.

    options "The answer is (A).", ..., "The answer is (D)." -> [0.1, 0.6, 0.2, 0.1]

The prompt and the words that all options begin with go through the model once for each question, the rest once for each
option. As InstructBLIP ranks the choices of IconQA, but whole likelihoods are compared, not divided by length.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from vista.decoding.greedy import read_prompts
from vista.decoding.kv import KVBatch
from vista.models.vistallm import VistaLLM
from vista.tokens.batch_types import Batch

Options = Sequence[list[int]]


@torch.inference_mode()
def option_probabilities(
    model: VistaLLM,
    batch: Batch,
    options: Sequence[Options],
    max_rows: int = 64,
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
    probabilities: list[list[float]] = [[] for _ in options]
    prompts = read_prompts(model, batch)
    for samples in _that_fit(options, max_rows):
        rows = KVBatch(model.language_model)
        chosen = [options[i] for i in samples]
        log_probs = _option_log_probs(rows, [prompts[i] for i in samples], chosen)
        for i, own in zip(samples, log_probs, strict=True):
            probabilities[i] = own.softmax(0).tolist()
    return probabilities


def _that_fit(options: Sequence[Options], max_rows: int) -> Iterator[list[int]]:
    """Samples with options, as many at a time as have no more than `max_rows` options."""
    samples: list[int] = []
    count = 0
    for i, own in enumerate(options):
        if samples and count + len(own) > max_rows:
            yield samples
            samples = []
            count = 0
        if own:
            samples.append(i)
            count += len(own)
    if samples:
        yield samples


def _option_log_probs(
    rows: KVBatch,
    prompts: Sequence[Tensor],
    options: Sequence[Options],
) -> list[Tensor]:
    """Log-probability of each option behind what all options of its sample begin with, float (options,) each."""
    beginnings = [_common_beginning(own) for own in options]
    starts = [rows.embed(beginning) for beginning in beginnings]
    prompted = [torch.cat(pair) for pair in zip(prompts, starts, strict=True)]
    first = rows.add(prompted).float().log_softmax(1)  # (samples, V)
    rests: list[list[int]] = []  # what is left of every option, at least one token
    owners: list[int] = []  # its sample
    for i, (own, beginning) in enumerate(zip(options, beginnings, strict=True)):
        rests += [option[len(beginning) :] for option in own]
        owners += [i] * len(own)
    tokens = [rest[0] for rest in rests]
    log_probs = first[owners, tokens]  # (all options,)
    longer = [k for k, rest in enumerate(rests) if len(rest) > 1]
    if longer:
        rows.select([owners[k] for k in longer])
        logits = rows.feed([rests[k][:-1] for k in longer], all_logits=True)
        rest_log_probs = logits.float().log_softmax(2)  # (longer, t, V), padded left
        for k, row in zip(longer, rest_log_probs, strict=True):
            targets = torch.tensor(rests[k][1:], device=row.device)
            log_probs[k] += row[-len(targets) :].gather(1, targets[:, None]).sum()
    sizes = [len(own) for own in options]
    return list(log_probs.split(sizes))


def _common_beginning(options: Options) -> list[int]:
    """The tokens that all options begin with, short of the last of any."""
    beginning: list[int] = []
    for tokens in zip(*(option[:-1] for option in options), strict=False):
        if len(set(tokens)) > 1:
            break
        beginning.append(tokens[0])
    return beginning
