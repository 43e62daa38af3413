"""Weights that no file holds, beside some that are read: drawn alike in every process, whichever rows it keeps."""

from functools import partial

import torch
from torch import Tensor

from vista.models.stored import ALL, Stored

BERT_STD = 0.02  # of a BERT's matrices before its training


def drawn(name: str, shape: tuple[int, ...], std: float = BERT_STD) -> Stored:
    """A parameter of a part that is otherwise read: norms one, biases zero, matrices as a BERT's begin, or another."""
    if name.endswith(".bias"):
        return Stored.of(torch.zeros(shape))
    if len(shape) == 1:
        return Stored.of(torch.ones(shape))
    return Stored(shape, partial(_read_drawn, _Draw(shape), std))


def grown(table: Stored, length: int) -> Stored:
    """A table with more rows than were stored: the new ones have the mean and the deviation of those that exist."""
    width = table.shape[1:]
    draw = _Draw((length - table.shape[0], *width))
    return Stored((length, *width), partial(_read_grown, table, draw))


class _Draw:
    """Normal numbers of which only the place where they begin is kept."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Note torch's random state, and pass over the numbers."""
        self.shape, self.state = shape, torch.get_rng_state()
        torch.empty(shape, device="cpu").normal_()

    def numbers(self, mean: float, std: float) -> Tensor:
        """All of them, float32."""
        generator = torch.Generator().set_state(self.state)
        return torch.empty(self.shape, device="cpu").normal_(mean, std, generator=generator)


def _read_drawn(draw: _Draw, std: float, rows: slice) -> Tensor:
    return draw.numbers(0.0, std)[rows]


def _read_grown(table: Stored, draw: _Draw, rows: slice) -> Tensor:
    """Some rows; only who wants new ones reads all of the old ones for their mean."""
    count = table.shape[0]
    first, last, _ = rows.indices(count + draw.shape[0])
    old = table.read(slice(min(first, count), min(last, count)))
    if last <= count:
        return old
    values = table.read(ALL).float()
    new = draw.numbers(values.mean().item(), values.std().item())
    return torch.cat([old.float(), new[max(first - count, 0) : last - count]])
