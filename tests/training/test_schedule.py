"""The schedule: a warm-up whose first step already learns, then transformers' cosine to the last bit."""

import pytest
import torch
from transformers import get_cosine_schedule_with_warmup

from vista.training.schedule import warmup_cosine


def factors(schedule: torch.optim.lr_scheduler.LRScheduler, steps: int) -> list[float]:
    """Learning rates of all steps at a peak of 1."""
    rates = []
    for _ in range(steps):
        rates += schedule.get_last_lr()
        schedule.optimizer.step()
        schedule.step()
    return rates


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


@pytest.mark.parametrize(
    ("steps", "share"), [(50, 0.03), (875, 0.03), (3000, 0.02), (333, 0.1), (7, 0.5)]
)
def test_the_cosine_is_that_of_transformers(steps, share):
    warmup = max(1, round(steps * share))
    ours = factors(warmup_cosine(optimizer(), steps, share)["lr_scheduler"]["scheduler"], steps)
    theirs = factors(get_cosine_schedule_with_warmup(optimizer(), warmup, steps), steps)
    assert ours[warmup:] == theirs[warmup:]
    assert ours[: warmup - 1] == theirs[1:warmup]  # one step earlier
    assert (ours[0], theirs[0]) == (
        1 / warmup,
        0,
    )  # of transformers' the first step teaches nothing


def test_a_run_ends_at_zero():
    last = factors(warmup_cosine(optimizer(), 10, 0.1)["lr_scheduler"]["scheduler"], 12)[-2:]
    assert last == [0, 0]
