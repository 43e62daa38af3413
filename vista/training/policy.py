"""Policy gradients of answers that were sampled in groups: what an answer was worth, and what its tokens cost.

    rewards of one question's answers [1, 0, 0, 0]    rloo [1, -1/3, -1/3, -1/3]    grpo [3/4, -1/4, -1/4, -1/4]

RLOO (Ahmadian et al., 2024, arXiv:2402.14740) takes the mean of the other answers from each reward: the gradient's
expectation is that of the mean reward. GRPO (Shao et al., 2024, arXiv:2402.03300) takes the mean of all, here without
its division by the deviation and by an answer's length, as Dr. GRPO (Liu et al., 2025, arXiv:2503.20783): (k - 1) / k
of the same. `best` is no policy gradient but rejection sampling: the best answer of each group becomes its target.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Estimator = Literal["rloo", "grpo", "best"]


@dataclass(frozen=True)
class Reinforcement:
    """How a model learns from the scores of its own answers.

    Attributes:
        group: answers that are drawn to each question; 0: learn the right answers, token by token.
        estimator: what is taken from each reward: `rloo`, `grpo` (as Dr. GRPO), or `best`, the best answer is learned.
        temperature: of drawing, and of the policy that is learned.
        updates: of the weights from the same answers.
        clip: a token's ratio to the probability it was drawn with counts up to so much beyond 1, or below.
        kl: what a nat of distance from the weights at the start of the stage costs, in rewards.
        entropy: what a nat of a token's entropy earns, in rewards.
        seed: of drawing.
    """

    group: int = 0
    estimator: Estimator = "rloo"
    temperature: float = 1.0
    updates: int = 1
    clip: float = 0.2
    kl: float = 0.0
    entropy: float = 0.0
    seed: int = 0


def advantages(rewards: Tensor, estimator: Estimator) -> Tensor:
    """What each answer was worth beside the others to the same question.

    Args:
        rewards: float (G, k), k answers to each of G questions.
        estimator: see the head of this file.

    Returns:
        float (G, k); all 0 where a question's answers are worth the same, except for `best`.
    """
    if estimator == "best":
        return torch.zeros_like(rewards).scatter(1, rewards.argmax(1, keepdim=True), 1.0)
    centred = rewards - rewards.mean(1, keepdim=True)
    size = rewards.shape[1]
    return centred * (size / (size - 1)) if estimator == "rloo" else centred


def clipped_loss(log_probs: Tensor, drawn: Tensor, worth: Tensor, clip: float) -> Tensor:
    """The loss of each token that was drawn, float (F,): PPO's (arXiv:1707.06347), whose gradient is the policy's.

    Args:
        log_probs: of the tokens under the weights as they are, float (F,).
        drawn: as they were drawn, float (F,).
        worth: the advantage of each token's answer, float (F,).
        clip: how far the ratio of the two may go in the direction that the advantage asks for.
    """
    ratio = (log_probs - drawn).exp()
    return -torch.minimum(ratio * worth, ratio.clamp(1 - clip, 1 + clip) * worth)


def kl_loss(log_probs: Tensor, start: Tensor) -> Tensor:
    """Half the square of each token's distance from the start, float (F,): its gradient is, expected, that of the KL.

    That of `kl_estimate`, which GRPO goes down, is the gradient of another divergence, KL(start || policy).

    Args:
        log_probs: of tokens that were drawn under these weights, float (F,).
        start: of the same tokens under the weights at the start, float (F,).
    """
    return (log_probs - start) ** 2 / 2


def kl_estimate(log_probs: Tensor, start: Tensor) -> Tensor:
    """How far each token is from the start, in nats, float (F,): unbiased, and never below 0.

    Schulman's k3 (http://joschu.net/blog/kl-approx.html); see `kl_loss`.
    """
    distance = start - log_probs
    return distance.exp() - distance - 1
