"""What an epoch has of each source: stretches of an endless sequence of passes over its groups.

An epoch begins where the one before ended, so that every sample is seen before one is seen again.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from datamodules.groups import Groups
from datamodules.permutation import key_of
from datamodules.spread import Spread

# The last number of a seed tells what is drawn by it.
OF_PASSES, OF_STRANDS, OF_PHASES, OF_BLOCKS = range(1, 5)


@dataclass(frozen=True)
class Strand:
    """Groups of an epoch that are of one source and size, and equally long in the epoch.

    Attributes:
        source: its number.
        size: samples in a group.
        spread: the sequence of all groups of that source and size.
        first: where in it the first one stands.
        count: how many there are.
        inside: the first sample of a group that the epoch has; not 0 where the epoch before has the others.
        length: how many it has of a group.
    """

    source: int
    size: int
    spread: Spread
    first: int
    count: int
    inside: int
    length: int

    @property
    def places(self) -> tuple[int, int]:
        """The stretch of the sequence: where it begins and where it ends."""
        return self.first, self.first + self.count

    def rows(self, groups: Groups, numbers: np.ndarray) -> np.ndarray:
        """Indices of the samples of some groups, int (N,) -> int64 (N, length)."""
        return groups.by_size[self.size][numbers][:, self.inside : self.inside + self.length]


def strands(source: int, groups: Groups, count: int, seed: int, epoch: int) -> list[Strand]:
    """The strands of a source.

    Args:
        source: its number.
        groups: all of it.
        count: how many samples an epoch has of it.
        seed: of all shuffles.
        epoch: which one.
    """
    sizes = {size: size * rows.shape[0] for size, rows in groups.by_size.items()}
    starts = shares(epoch * count, list(sizes.values()))
    stops = shares((epoch + 1) * count, list(sizes.values()))
    found = []
    for (size, samples), start, stop in zip(sizes.items(), starts, stops, strict=True):
        number = samples // size
        of_epoch = number * count // sum(sizes.values())
        spread = Spread.of(number, of_epoch, key_of(seed, source, size, OF_PASSES))
        for stretch in stretches(start, stop, size):
            found.append(Strand(source, size, spread, *stretch))
    return found


def shares(samples: int, sizes: list[int]) -> Iterator[int]:
    """How many of so many samples are of each part; with more samples no share is smaller, and passes are whole."""
    total = sum(sizes)
    for size in sizes:
        share = samples * size // total
        yield share
        # What this part leaves is shared by the others.
        samples, total = samples - share, total - size


def stretches(start: int, stop: int, size: int) -> Iterator[tuple[int, int, int, int]]:
    """Samples start..stop - 1 of groups of a size, one group after the other, in stretches of equally long groups.

    Yields:
        the first group, how many there are, the first sample in each, and how many samples of each.
    """
    group, inside = divmod(start, size)
    if inside and start < stop:
        length = min(size - inside, stop - start)
        yield group, 1, inside, length
        start += length
    whole = (stop - start) // size
    if whole:
        yield start // size, whole, 0, size
        start += whole * size
    if start < stop:
        yield start // size, 1, 0, stop - start
