"""One epoch of the order: any stretch of it by itself, in memory that does not grow with the number of samples.

An epoch is cut into blocks of the same mixture: of each strand, the groups of one size of one source, every block has
the same share. So it is known without the others where a block begins and which groups are in it. A strand is shuffled
as a whole by a keyed permutation, and each block then over all its strands.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from datamodules.groups import Groups
from datamodules.permutation import key_of, permuted
from datamodules.spread import number_at
from datamodules.strands import OF_BLOCKS, OF_PHASES, OF_STRANDS, Strand, strands

BLOCK = 1 << 13  # groups in a block


class Block(NamedTuple):
    """The P groups of a block, in order.

    Attributes:
        strand: of each, int64 (P,).
        group: its number among those of its size and source, int64 (P,).
        bounds: the positions at which they begin, and at which the last one ends, int64 (P + 1,).
    """

    strand: np.ndarray
    group: np.ndarray
    bounds: np.ndarray


class Epoch:
    """An epoch whose groups are shuffled over all sources."""

    def __init__(
        self, groups: Sequence[Groups], counts: Sequence[int], seed: int, number: int
    ) -> None:
        """Lay out the strands; nothing is shuffled before it is asked for.

        Args:
            groups: for every source its groups.
            counts: for every source how many samples an epoch has of it.
            seed: of all shuffles.
            number: of the epoch.
        """
        self.groups, self.seed, self.number = groups, seed, number
        self.strands: list[Strand] = []
        for source, count in enumerate(counts):
            self.strands += strands(source, groups[source], count, seed, number)
        self.lengths = np.array([strand.length for strand in self.strands], dtype=np.int64)
        self.counts = np.array([strand.count for strand in self.strands], dtype=np.int64)
        self.num_blocks = max(1, -(-int(self.counts.sum()) // BLOCK))
        self._last: tuple[int, Block] | None = None

    def samples(self, start: int, stop: int) -> np.ndarray:
        """Positions start..stop - 1 of the epoch, int64 (stop - start, 2): source and index."""
        pieces = [np.zeros((0, 2), dtype=np.int64)]
        number = self._number_of_block(start)
        while start < stop:
            block = self._block(number)
            end = min(stop, int(block.bounds[-1]))
            pieces.append(self._cut(block, start, end))
            start, number = end, number + 1
        return np.concatenate(pieces)

    def _number_of_block(self, position: int) -> int:
        """The block that a position is in, most often the last one that was asked for."""
        if self._last is not None:
            number, block = self._last
            if block.bounds[0] <= position < block.bounds[-1]:
                return number
        return bisect_right(range(self.num_blocks), position, key=self._begin) - 1

    def _begin(self, block: int) -> int:
        """The first position of a block."""
        return int(self.lengths @ self._before(block))

    def _block(self, number: int) -> Block:
        if self._last is None or self._last[0] != number:
            rng = np.random.default_rng((self.seed, self.number, number, OF_BLOCKS))
            strand, group = self._shuffled(number, rng)
            steps = self.lengths[strand].cumsum()
            bounds = self._begin(number) + np.concatenate([[0], steps])
            self._last = number, Block(strand, group, bounds)
        return self._last[1]

    def _cut(self, block: Block, start: int, end: int) -> np.ndarray:
        """Positions start..end - 1, which are in the block; groups beside them are not read."""
        first = int(block.bounds.searchsorted(start, side="right")) - 1
        last = int(block.bounds.searchsorted(end))
        strand, group = block.strand[first:last], block.group[first:last]
        begins = block.bounds[first : last + 1] - block.bounds[first]
        found = np.empty((begins[-1], 2), dtype=np.int64)
        for number in np.unique(strand).tolist():
            of_strand = strand == number
            source, length = self.strands[number].source, self.strands[number].length
            places = begins[:-1][of_strand, np.newaxis] + np.arange(length)
            found[places, 0] = source
            found[places, 1] = self.strands[number].rows(self.groups[source], group[of_strand])
        begin = start - int(block.bounds[first])
        return found[begin : begin + end - start]

    def _before(self, block: int) -> np.ndarray:
        """How many groups of each strand stand before a block, int64 (S,)."""
        return (block * self.counts + self._phases) // self.num_blocks

    @cached_property
    def _phases(self) -> np.ndarray:
        """At random, so that a strand of fewer groups than there are blocks may be in any."""
        rng = np.random.default_rng((self.seed, self.number, 0, OF_PHASES))
        return rng.integers(self.num_blocks, size=len(self.strands))

    def _shuffled(self, block: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Strand and number of each group of a block, in order, int64 (P,) each."""
        before = self._before(block)
        shares = self._before(block + 1) - before
        strand = np.repeat(np.arange(len(shares)), shares)
        steps = np.arange(len(strand)) - np.repeat(shares.cumsum() - shares, shares)
        index = permuted(before[strand] + steps, self.counts[strand], self._keys[strand])
        first, *spread = (column[strand] for column in self._sequences)
        group = number_at(first + index, *spread)
        order = rng.permutation(len(strand))
        return strand[order], group[order]

    @cached_property
    def _keys(self) -> np.ndarray:
        """Of the shuffle of each strand, uint64 (S,)."""
        keys = [key_of(self.seed, self.number, k, OF_STRANDS) for k in range(len(self.strands))]
        return np.array(keys, dtype=np.uint64)

    @cached_property
    def _sequences(self) -> tuple[np.ndarray, ...]:
        """Of each strand the place where it begins in a spread, and the spread, as `number_at` takes them."""
        firsts = np.array([strand.first for strand in self.strands], dtype=np.int64)
        spreads = [strand.spread for strand in self.strands]
        n = np.array([spread.n for spread in spreads], dtype=np.int64)
        runs = np.array([spread.runs for spread in spreads], dtype=np.int64)
        return firsts, n, runs, np.array([spread.key for spread in spreads], dtype=np.uint64)
