"""An epoch in the order of the files, all sources side by side: a block is a part of each file."""

from bisect import bisect_left

import numpy as np

from datamodules.epoch import Epoch
from datamodules.strands import Strand


class SortedEpoch(Epoch):
    """An epoch whose groups come in the order of their first samples; those at the same depth of sources are mixed."""

    def _before(self, block: int) -> np.ndarray:
        before = [
            strand.spread.below(self._bound(strand, block), *strand.places)
            for strand in self.strands
        ]
        return np.array(before, dtype=np.int64)

    def _shuffled(self, block: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        groups = [self._of_strand(strand, block) for strand in self.strands]
        strand = np.repeat(np.arange(len(groups)), [len(numbers) for numbers in groups])
        depth = np.concatenate(list(map(self._depth, self.strands, groups)))
        order = rng.permutation(len(strand))
        # Stable after a shuffle: groups of the same depth stay mixed.
        order = order[np.argsort(depth[order], kind="stable")]
        return strand[order], np.concatenate(groups)[order]

    def _of_strand(self, strand: Strand, block: int) -> np.ndarray:
        """Numbers of a strand's groups in a block, int64 (N,)."""
        first, end = self._bound(strand, block), self._bound(strand, block + 1)
        if first == end:
            return np.zeros(0, dtype=np.int64)
        spread = strand.spread
        runs = spread.run_of(first), spread.run_of(end - 1) + 1
        numbers = spread.number(spread.places(*runs, *strand.places))
        return numbers[(first <= numbers) & (numbers < end)]

    def _depth(self, strand: Strand, numbers: np.ndarray) -> np.ndarray:
        """How deep in its file each group's first sample is, 0 the first, 1 the last; (N,)."""
        groups = self.groups[strand.source]
        return groups.by_size[strand.size][numbers][:, 0] / len(groups)

    def _bound(self, strand: Strand, block: int) -> int:
        """How many groups of the strand's source and size begin before a block's part of the file."""
        groups = self.groups[strand.source]
        depth = -(-block * len(groups) // self.num_blocks)
        rows = groups.by_size[strand.size]
        numbers = range(rows.shape[0])
        return bisect_left(numbers, depth, key=lambda number: rows[np.array([number])][0, 0])
