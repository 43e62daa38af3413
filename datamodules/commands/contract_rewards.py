"""The law of a task's rewards: right answers have much, garbage little, malformed ones nothing, and half a region less.

What one answer earns is what a training by reinforcement raises (`Task.reward`): a reward that pays for something else
would be learned as well.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import fmean

import numpy as np

from datamodules.commands.contract_case import (
    SHORT,
    BeyondLimits,
    BrokenLaw,
    Case,
    Law,
    name_in_errors,
)
from datamodules.commands.contract_scores import GARBAGE, LEAST, LEAST_ELSE
from vista.data import Box, Mask, Prediction


def rewards_law(case: Case) -> str:
    """Rewards are 0..1; right answers have more than garbage, a malformed one none, less of a region is worth less."""
    case.task.prepare_rewards(case.annotations)
    right = _mean_reward(case, case.right_preds)
    least = LEAST.get(case.task.headline, LEAST_ELSE) / 100
    malformed = _mean_reward(case, [Prediction(malformed=True) for _ in case.annotations])
    if malformed:
        raise BrokenLaw(f"malformed answers have a reward of {malformed:.2f}; expected is 0")
    _require_monotone(case, right)
    if right <= least:
        text = f"right answers have a reward of {right:.2f}; expected is more than {least:.2f}"
        # The law on scores says whether it is the codec that holds regions no better.
        raise BeyondLimits(text) if case.is_small or _has_regions(case) else BrokenLaw(text)
    baseline = _mean_reward(case, case.baseline_preds)
    limit = max(0.5 * right, min(baseline, 0.8 * right))
    for text in GARBAGE:
        preds = [case.task.parse(text, annotation) for annotation in case.annotations]
        if (earned := _mean_reward(case, preds)) > limit + 1e-6:
            problem = f"the answer {SHORT.repr(text)} to everything has a reward of {earned:.2f}"
            kind = BeyondLimits if case.is_small else BrokenLaw
            raise kind(f"{problem}; expected is {limit:.2f} at most")
    return f"right answers have {right:.2f}, garbage {limit:.2f} at most"


def _mean_reward(case: Case, preds: Sequence[Prediction]) -> float:
    earned = []
    for annotation, pred, reference in zip(case.annotations, preds, case.references, strict=True):
        with name_in_errors(annotation, "reward"):
            reward = case.task.reward(pred, reference)
        if not isinstance(reward, (int, float)) or not 0 <= reward <= 1 or math.isnan(reward):
            raise BrokenLaw.at(annotation, f"reward gives {reward!r}, not a number from 0 to 1")
        earned.append(reward)
    return fmean(earned)


def _has_regions(case: Case) -> bool:
    return any(pred.masks or pred.boxes for pred in case.right_preds)


def _require_monotone(case: Case, right: float) -> None:
    """Upper halves and quarters of what right answers draw earn no more than the whole, on average."""
    earned = [right, *(_mean_reward(case, _upper(case.right_preds, part)) for part in (0.5, 0.25))]
    for more, less in pairwise(earned):
        if less > more + 1e-6:
            found = ", ".join(f"{reward:.2f}" for reward in earned)
            raise BrokenLaw(f"whole regions, halves and quarters have rewards of {found}")


def _upper(preds: Sequence[Prediction], part: float) -> list[Prediction]:
    """The same answers with the upper part of each box and mask alone."""
    smaller = []
    for pred in preds:
        boxes = [_upper_box(box, part) for box in pred.boxes]
        masks = [_upper_mask(mask, part) for mask in pred.masks]
        smaller.append(replace(pred, boxes=boxes, masks=masks))
    return smaller


def _upper_box(box: Box, part: float) -> Box:
    x0, y0, x1, y1 = box
    return x0, y0, x1, y0 + part * (y1 - y0)


def _upper_mask(mask: Mask, part: float) -> Mask:
    """The first rows that a bool (H, W) mask has, as many as are that part of them."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return mask
    kept = mask.copy()
    kept[int(rows[0] + part * (rows[-1] + 1 - rows[0])) :] = False
    return kept


REWARD_LAWS: dict[str, Law] = {"rewards": rewards_law}
