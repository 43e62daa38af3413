"""AdamW (Section 5.2), and Muon for the tiny size.

Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon) moves a weight matrix by the nearest
orthogonal matrix of its momentum, so that all of its directions are learned alike. On the generated world this halves
the steps (docs/tiny_model.md). Embeddings, norms and biases stay with AdamW.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional as F

from vista.models.trained import PARTS
from vista.models.vistallm import VistaLLM

Group: TypeAlias = dict[str, Any]  # of parameters, with settings of their own

MOMENTUM = 0.95
QUINTIC = (3.4445, -4.7750, 2.0315)  # of the post: singular values end between about 0.7 and 1.2


@dataclass(frozen=True)
class Optimization:
    """How weights are trained.

    Attributes:
        optimizer: `adamw` (the paper), or `muon` for the tiny size.
        learning_rate: peak of the schedule.
        betas: of AdamW.
        weight_decay: of AdamW.
        warmup_share: share of all steps in which the learning rate rises.
        rates: peaks of parts that have another one, of `encoder`, `tokenizer` and `llm`, adapters included.
    """

    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 1.5e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.05
    warmup_share: float = 0.03
    rates: dict[str, float] = field(default_factory=dict)


def parameter_groups(
    model: nn.Module,
    head: nn.Module,
    weight_decay: float,
    rates: Mapping[str, float] = MappingProxyType({}),
) -> list[Group]:
    """Trained parameters in groups.

    Args:
        model: whose frozen parameters are left out.
        head: the layer of the output embeddings, which are no matrix to Muon.
        weight_decay: of all that has two dimensions; norms and biases are not decayed.
        rates: learning rates by the names of attributes of the model; all else has the optimizer's own.

    Returns:
        weights of linear layers, marked `matrix`; other weights and embeddings; norms and biases. First those of the
        optimizer's own rate, then those of each name in `rates`.
    """
    linear = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear) and m is not head}
    trained: dict[str, list[nn.Parameter]] = {name: [] for name in ("", *rates)}
    for name, parameter in model.named_parameters():
        attribute = name.partition(".")[0]
        if parameter.requires_grad:
            trained[attribute if attribute in rates else ""].append(parameter)
    groups = []
    for attribute, parameters in trained.items():
        own_rate = {"lr": rates[attribute]} if attribute else {}
        groups += [group | own_rate for group in _by_kind(parameters, linear, weight_decay)]
    return groups


def _by_kind(trained: Sequence[nn.Parameter], linear: set[int], weight_decay: float) -> list[Group]:
    matrices = [p for p in trained if id(p) in linear]
    others = [p for p in trained if p.dim() > 1 and id(p) not in linear]
    vectors = [p for p in trained if p.dim() <= 1]
    return [
        {"params": matrices, "weight_decay": weight_decay, "matrix": True},
        {"params": others, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def make_optimizer(model: VistaLLM, settings: Optimization) -> torch.optim.Optimizer:
    """The optimizer of a model's trained parameters."""
    head = model.language_model.get_output_embeddings()
    rates: dict[str, float] = {}
    for part, rate in settings.rates.items():
        rates |= dict.fromkeys(PARTS[part], rate)
    groups = parameter_groups(model, head, settings.weight_decay, rates)
    kind = Muon if settings.optimizer == "muon" else torch.optim.AdamW
    return kind(groups, lr=settings.learning_rate, betas=settings.betas)


class Muon(torch.optim.AdamW):
    """AdamW, but for groups marked `matrix`, which take orthogonal steps.

    An orthogonal step is as long as one of AdamW usually is, 0.2 a weight at a learning rate of 1 (arXiv:2502.16982),
    so that one schedule serves all groups. `torch.optim.Muon` does the same for matrices alone, each by itself in
    bfloat16; on a CPU that takes fifteen times as long as all matrices of one shape together.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all groups.

        Returns:
            what the closure returns.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        groups = self.param_groups
        for group in groups:
            if group.get("matrix"):
                self._orthogonal_step(group)
        # AdamW looks at no group but its own.
        self.param_groups = [group for group in groups if not group.get("matrix")]
        super().step()
        self.param_groups = groups
        return loss

    def _orthogonal_step(self, group: Group) -> None:
        by_shape: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
        for parameter in group["params"]:
            if parameter.grad is not None:
                by_shape[parameter.shape].append(parameter)
        for shape, parameters in by_shape.items():
            momenta = torch.stack([self._ahead(p) for p in parameters])  # (N, R, C)
            moves = orthogonalize_on_all(momenta) * (0.2 * max(shape) ** 0.5)
            for parameter, move in zip(parameters, moves, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(move, alpha=group["lr"])

    def _ahead(self, parameter: nn.Parameter) -> Tensor:
        """Nesterov's momentum, after the gradient was added to it."""
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())  # AdamW looks for it when a state is loaded
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(parameter.grad, 1 - MOMENTUM)
        return torch.lerp(parameter.grad, state["momentum"], MOMENTUM)


def orthogonalize_on_all(matrices: Tensor) -> Tensor:
    """`orthogonalize`, of which each process does its part where several hold the same matrices.

    Args:
        matrices: float (N, R, C), alike on every process.

    Returns:
        float (N, R, C), alike on every process.
    """
    processes = dist.get_world_size() if dist.is_initialized() else 1
    if processes == 1:
        return orthogonalize(matrices)
    share = -(-len(matrices) // processes)  # rounded up
    # Every process gathers as many as the others, so that the last one is given zeros to work on.
    lacking = share * processes - len(matrices)
    padded = F.pad(matrices, (0, 0, 0, 0, 0, lacking))
    mine = orthogonalize(padded.chunk(processes)[dist.get_rank()])
    shares = [torch.empty_like(mine) for _ in range(processes)]
    dist.all_gather(shares, mine)
    return torch.cat(shares)[: len(matrices)]


def orthogonalize(matrices: Tensor, steps: int = 5) -> Tensor:
    """About U V^T of each matrix U S V^T, by Newton-Schulz iterations.

    Args:
        matrices: float (N, R, C).
        steps: iterations.

    Returns:
        float (N, R, C), whose singular values are near 1, but for those that are tiny in `matrices`.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    a, b, c = QUINTIC
    for _ in range(steps):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if tall else x
