"""From the lengths of samples to operations, batches of a card, and hours."""

from math import ceil, isfinite

import numpy as np

from datamodules.commands.bare import Run
from datamodules.commands.mixture_lengths import MixtureLengths
from vista.models.vistallm import length_groups
from vista.training.activations import CardBatch
from vista.training.flops import UnitFlops

DRAWN = 64  # batches, of which the one with most tokens is planned for
# Of the paper (Sec. 5.2): hours on 32 A100 of 80 GB, by billions of parameters of the LLM and whether it is trained.
PAPER_HOURS = {(7, True): 48, (13, True): 72, (7, False): 22, (13, False): 30}
PAPER_CARDS, PAPER_PEAK = 32, 312e12  # operations a second of one A100 in bfloat16


def sample_flops(unit: UnitFlops, mixture: MixtureLengths) -> float:
    """Operations of a sample, mean over an epoch."""
    total = 0.0
    for source, count in zip(mixture.sources, mixture.counts, strict=True):
        total += count * (
            unit.image * source.images
            + unit.use * source.uses
            + unit.instruction_token * source.uses * source.instruction.mean()
            + unit.text_token * source.text.mean()
            + unit.learned_token * source.learned.mean()
        )
    return total / max(1, mixture.epoch)


def card_batch(mixture: MixtureLengths, rows: int, groups: int) -> CardBatch:
    """The batch of a card that has most padded tokens, of some that are drawn.

    Args:
        mixture: what is drawn from.
        rows: samples of the batch.
        groups: see `vista.models.vistallm.length_groups`.
    """
    rng = np.random.default_rng(0)
    drawn = [_drawn(mixture, rows, groups, rng) for _ in range(DRAWN)]
    return max(drawn, key=lambda batch: sum(count * length for count, length in batch.groups))


def _drawn(mixture: MixtureLengths, rows: int, groups: int, rng: np.random.Generator) -> CardBatch:
    shares = np.array(mixture.counts) / mixture.epoch
    images, uses, learned = 0.0, 0, 0
    texts, instructions = [], []
    for number in rng.choice(len(shares), rows, p=shares).tolist():
        source = mixture.sources[number]
        row = rng.integers(len(source.text))
        images, uses = images + source.images, uses + source.uses
        learned += int(source.learned[row])
        texts.append(int(source.text[row]))
        instructions.append(int(source.instruction[row]))
    padded = [(len(own), texts[own[-1]]) for own in length_groups(texts, groups)]
    return CardBatch(max(1, ceil(images)), uses, max(instructions), padded, learned)


def steps_of(run: Run, epoch: int) -> int:
    """Steps of the optimizer in a run whose epochs have some samples; 0 where it has no end."""
    trainer = run.trainer
    each = trainer["accumulate_grad_batches"] or 1
    epochs, most = trainer["max_epochs"], trainer["max_steps"]
    batches = epoch // run.data["batch_size"]
    steps = float("inf") if epochs in (None, -1) else epochs * ceil(batches / each)
    if most not in (None, -1):
        steps = min(steps, most)
    return int(steps) if isfinite(steps) else 0


def paper_hours(llm_parameters: int, trains_llm: bool) -> int | None:
    """What the paper states for an LLM of about this size."""
    for (billions, trained), hours in PAPER_HOURS.items():
        if trained is trains_llm and abs(llm_parameters / 1e9 / billions - 1) < 0.15:
            return hours
    return None
