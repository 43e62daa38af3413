"""How the embeddings of the coordinate tokens start: sinusoids of the number, so that near numbers begin near.

The paper is silent on this. With random rows the order of 1000 numbers has to be learned row by row: on the generated
world boxes hardly come right in the time in which sinusoids bring 7 of 10.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from vista.data import InputError
from vista.models.laid_out import local_rows, own_rows

CoordinateInit = Literal["sinusoid", "mean"]

# Wavelength in bins; the longest is twice the range, so that no two numbers share a row.
SHORTEST = 100.0


def coordinate_sinusoids(num_bins: int, dim: int) -> Tensor:
    """Sines and cosines of the numbers 0..num_bins - 1, wavelengths in a geometric series.

    Args:
        num_bins: number of coordinates.
        dim: width of an embedding.

    Returns:
        float (num_bins, dim), rows of equal norm where `dim` is even.
    """
    half = (dim + 1) // 2
    first = math.log10(SHORTEST)
    last = math.log10(2.0 * num_bins)
    wavelengths = torch.logspace(first, last, half, dtype=torch.float64)
    numbers = torch.arange(num_bins, dtype=torch.float64)[:, None]
    phase = 2 * math.pi * numbers / wavelengths  # (num_bins, half)
    pairs = torch.stack((phase.sin(), phase.cos()), dim=-1)  # (num_bins, half, 2)
    return pairs.flatten(1)[:, :dim].float()


@torch.no_grad()
def init_coordinates(
    embedding_weight: Tensor,
    lm_head_weight: Tensor | None,
    number_ids: Sequence[int],
    coordinate_init: CoordinateInit = "sinusoid",
    keep_digits: bool = True,
) -> None:
    """Set the rows of the coordinate tokens in place, in the input table and in the head alike.

    Args:
        embedding_weight: float (V, D), the input table after it was resized; sharded ones are set by all processes.
        lm_head_weight: float (V, D); None or the input table itself where they are tied.
        number_ids: ids of the numbers 0, 1, 2, ... (`Tokenizer.number_ids`).
        coordinate_init: `sinusoid`, scaled to the mean norm of the other rows, or `mean`: the mean of the other rows.
        keep_digits: leave 0 to 9 alone, the digits of a pretrained LLM; False sets them too (the tiny size, whose rows
            are all new).

    Raises:
        InputError: an unknown `coordinate_init`.
    """
    if coordinate_init not in ("sinusoid", "mean"):
        raise InputError(f"coordinate_init is {coordinate_init!r}; it must be sinusoid or mean")
    first = 10 if keep_digits else 0
    ids = torch.tensor(number_ids[first:])
    _set_rows(embedding_weight, ids, first, coordinate_init)
    if lm_head_weight is None or lm_head_weight is embedding_weight:
        return  # one table
    _set_rows(lm_head_weight, ids, first, coordinate_init)


def _set_rows(
    weight: Tensor,
    ids: Tensor,
    first: int,
    coordinate_init: CoordinateInit,
) -> None:
    """Set the rows of the numbers `first` and up, in place; of a sharded table, those that this process holds."""
    others = torch.ones(len(weight), dtype=torch.bool)
    others[ids] = False
    if coordinate_init == "mean":
        rows = _whole(weight)[others].float().mean(dim=0).expand(len(ids), -1)
    else:
        norms = _whole(weight.float().norm(dim=1))[others]  # a number a row: little to send
        rows = coordinate_sinusoids(first + len(ids), weight.shape[1])[first:]
        rows = rows * (norms.mean() / rows.norm(dim=1, keepdim=True))
    start, stop, _ = own_rows(weight).indices(len(weight))
    own = (start <= ids) & (ids < stop)
    local = local_rows(weight)
    local[(ids[own] - start).to(local.device)] = rows[own].to(local)


def _whole(tensor: Tensor) -> Tensor:
    """All of a tensor on the CPU; every process of a sharded one must ask."""
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).cpu()
