"""The estimators of stage 3 where the right gradient and the best policy are known."""

import pytest
import torch

from vista.training.policy import advantages, clipped_loss, kl_estimate, kl_loss

REWARDS = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5], [0.2, 0.4, 0.9, 0.1]])
ARMS = torch.tensor([0.1, 0.4, 0.9, 0.3])


def test_what_is_taken_from_rewards():
    """By hand: the mean of the others, the mean of all, the best alone; no signal where all are alike."""
    rloo, grpo, best = (advantages(REWARDS, name) for name in ("rloo", "grpo", "best"))
    assert rloo[0].tolist() == pytest.approx([1, -1 / 3, -1 / 3, -1 / 3])
    assert grpo[0].tolist() == pytest.approx([0.75, -0.25, -0.25, -0.25])
    assert rloo[2].tolist() == pytest.approx(
        [0.2 - 1.4 / 3, 0.4 - 1.2 / 3, 0.9 - 0.7 / 3, 0.1 - 0.5]
    )
    assert not rloo[1].any() and not grpo[1].any()
    assert best.tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]]


def test_grpo_divides_by_no_deviation():
    """Dr. GRPO: a question whose answers hardly differ does not count as much as one whose answers do."""
    assert torch.allclose(advantages(REWARDS / 100, "grpo"), advantages(REWARDS, "grpo") / 100)


def test_clipping_stops_a_token_that_has_moved_far_enough():
    """By hand, at ratios of 1/2, 1, 1.5: the gradient is the ratio's, or none beyond the clip."""
    ratios = torch.tensor([0.5, 1.0, 1.5])
    for worth, wanted in ((1.0, [-0.5, -1.0, 0.0]), (-1.0, [0.0, 1.0, 1.5])):
        log_probs = ratios.log().requires_grad_()
        clipped_loss(log_probs, torch.zeros(3), torch.full((3,), worth), 0.2).sum().backward()
        assert log_probs.grad.tolist() == pytest.approx(wanted)


def drawn(logits: torch.Tensor, groups: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """Arms, int (groups, size)."""
    probs = logits.detach().softmax(0)
    flat = torch.multinomial(probs, groups * size, replacement=True, generator=generator)
    return flat.view(groups, size)


@pytest.mark.parametrize(("estimator", "factor"), [("rloo", 1.0), ("grpo", 7 / 8)])
def test_the_gradient_of_a_bandit(estimator, factor):
    """p_i (r_i - mean reward) for each logit, within 2 % over 10,000 samples; GRPO has (k - 1) / k of it."""
    logits = torch.tensor([0.5, 0.2, -0.3, 0.0], requires_grad=True)
    arms = drawn(logits, 1250, 8, torch.Generator().manual_seed(0))
    log_probs = logits.log_softmax(0)[arms].flatten()
    worth = advantages(ARMS[arms], estimator).flatten()
    clipped_loss(log_probs, log_probs.detach(), worth, 0.2).mean().backward()
    probs = logits.detach().softmax(0)
    wanted = -factor * probs * (ARMS - probs @ ARMS)
    assert float((logits.grad - wanted).norm() / wanted.norm()) < 0.02


def test_the_gradient_of_two_tokens():
    """The second token's odds depend on the first; by hand, within 2 % over 10,000 samples.

    J = q (s R11 + (1-s) R10) + (1-q) (t R01 + (1-t) R00) with q, s, t the odds of a 1 first, behind a 1, behind a 0.
    """
    worths = torch.tensor([[0.0, 0.3], [0.1, 1.0]])
    logits = torch.tensor([0.4, -0.2, 0.3], requires_grad=True)
    q, s, t = logits.detach().sigmoid().tolist()
    behind_one, behind_zero = s * 1.0 + (1 - s) * 0.1, t * 0.3
    by_hand = torch.tensor(
        [
            q * (1 - q) * (behind_one - behind_zero),
            q * s * (1 - s) * 0.9,
            (1 - q) * t * (1 - t) * 0.3,
        ]
    )
    uniform = torch.rand(2, 1250, 8, generator=torch.Generator().manual_seed(1))
    first = (uniform[0] < q).long()
    second = (uniform[1] < torch.where(first == 1, s, t)).long()
    # log p of a 1 is logsigmoid(x), that of a 0 logsigmoid(-x).
    signs = 2 * torch.stack([first, second]) - 1
    asked = torch.stack([logits[0].expand_as(first), torch.where(first == 1, logits[1], logits[2])])
    log_probs = torch.nn.functional.logsigmoid(signs * asked)  # (2, groups, size)
    worth = advantages(worths[first, second], "rloo").expand_as(log_probs)
    loss = clipped_loss(log_probs.flatten(), log_probs.detach().flatten(), worth.flatten(), 0.2)
    (loss.sum() / first.numel()).backward()
    assert float((-logits.grad - by_hand).norm() / by_hand.norm()) < 0.02


def learned(kl: float = 0.0, entropy: float = 0.0, estimator: str = "rloo") -> torch.Tensor:
    """The policy of a bandit after 400 steps of 64 samples, each of two updates; it begins at (4, 3, 2, 1) / 10."""
    start = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    logits = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.03)
    generator = torch.Generator().manual_seed(0)
    tail = []
    for step in range(400):
        arms = drawn(logits, 8, 8, generator)
        before = logits.detach().log_softmax(0)[arms].flatten()
        worth = advantages(ARMS[arms], estimator).flatten()  # type: ignore[arg-type]
        for _ in range(2):
            log_probs = logits.log_softmax(0)[arms].flatten()
            probs = logits.softmax(0)
            loss = clipped_loss(log_probs, before, worth, 0.2)
            loss = loss + kl * kl_loss(log_probs, start[arms].flatten())
            loss = loss + entropy * (probs * probs.log()).sum()
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()
        if step >= 200:
            tail.append(logits.detach().softmax(0))
    return torch.stack(tail).mean(0)


@pytest.mark.parametrize("estimator", ["rloo", "grpo", "best"])
def test_the_best_arm_is_found(estimator):
    assert float(learned(estimator=estimator)[2]) > 0.95


def test_entropy_and_kl_end_where_they_must():
    """The optimum is known: the arms' odds are exp(reward / price), those at the start times it for the KL."""
    start = torch.tensor([0.4, 0.3, 0.2, 0.1])
    with_entropy = (ARMS / 0.4).softmax(0)
    with_kl = (start.log() + ARMS / 0.4).softmax(0)
    assert torch.allclose(learned(entropy=0.4), with_entropy, atol=0.03)
    assert torch.allclose(learned(kl=0.4), with_kl, atol=0.03)


def test_the_estimate_of_the_kl_is_unbiased():
    log_probs, start = torch.tensor([0.7, 0.3]).log(), torch.tensor([0.4, 0.6]).log()
    exact = (log_probs.exp() * (log_probs - start)).sum()
    assert (log_probs.exp() * kl_estimate(log_probs, start)).sum() == pytest.approx(float(exact))
