"""Initialisation of parts that start from scratch.

transformers' own defaults suit pretrained weights: `InstructBlipVisionConfig.initializer_range` is 1e-10 and the query
tokens are zeros, so that all queries stay identical. A small model needs a standard deviation near 1 / sqrt(width).
"""

import math

import torch
from torch import nn


def initialize(module: nn.Module, width: int) -> None:
    """Draw every matrix from N(0, 1 / width); biases zero, norms one.

    Args:
        module: the part to initialise, in place.
        width: its hidden size.
    """
    std = 1.0 / math.sqrt(width)
    for child in module.modules():
        if isinstance(child, (nn.Linear, nn.Embedding, nn.Conv2d)):
            nn.init.normal_(child.weight, std=std)
            bias = getattr(child, "bias", None)  # an embedding has none
            if bias is not None:
                nn.init.zeros_(bias)
        elif isinstance(child, nn.LayerNorm):
            nn.init.ones_(child.weight)
            nn.init.zeros_(child.bias)


def grid_sinusoids(side: int, width: int) -> torch.Tensor:
    """Fixed two-dimensional positions of a square grid of patches, half of the width for each axis.

    Args:
        side: patches along one side.
        width: hidden size, a multiple of 4.

    Returns:
        float (side * side, width), rows in reading order.
    """
    quarter = width // 4
    # From 1 to nearly 1 / 100, in a geometric series.
    step = -math.log(100.0) / quarter
    frequencies = torch.exp(torch.arange(quarter) * step)
    positions = torch.arange(side)[:, None]  # (side, 1)
    angles = positions * frequencies  # (side, width / 4)
    axis = torch.cat([angles.sin(), angles.cos()], dim=1)  # (side, width / 2)
    rows = axis[:, None].expand(-1, side, -1)  # (side, side, width / 2)
    columns = axis[None].expand(side, -1, -1)
    return torch.cat([rows, columns], dim=2).flatten(0, 1)
