"""The order of training samples: a pure function of (seed, epoch, position).

Its unit is a group of annotations of one image; groups are shuffled over all sources, samples are then cut into global
batches. No state but the position exists: any number of processes sees the same global order, and a run goes on
anywhere by its position alone.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

Key = tuple[int, int, int, int]  # epoch, position in it, source, index in the source


class Order:
    """Which sample stands at which position of an epoch."""

    def __init__(
        self,
        groups: Sequence[Sequence[np.ndarray]],
        weights: Sequence[float],
        seed: int = 0,
        epoch_samples: int | None = None,
    ) -> None:
        """Fix how many groups of each source an epoch holds.

        Args:
            groups: for every source its groups of indices.
            weights: for every source how often a sample occurs in an epoch.
            seed: of all shuffles.
            epoch_samples: about how many samples an epoch has, the weights being scaled; None: as they are.
        """
        self.groups, self.seed = groups, seed
        total = sum(w * sum(map(len, g)) for g, w in zip(groups, weights, strict=True))
        scale = epoch_samples / total if epoch_samples and total else 1.0
        self.counts = [max(1, round(len(g) * w * scale)) if g else 0 for g, w in zip(groups, weights, strict=True)]
        self.length = len(self.samples(0))

    def samples(self, epoch: int) -> np.ndarray:
        """The epoch's samples in order, int (n, 2): source and index.

        A source that an epoch does not exhaust goes on where the epoch before ended, so every sample is seen before one
        is seen again.
        """
        rows = []
        for source, count in enumerate(self.counts):
            for group in self._stream(source, epoch * count, count):
                rows.append(np.stack([np.full(len(group), source), group], axis=1))
        shuffle = np.random.default_rng((self.seed, epoch, 1)).permutation(len(rows))
        return np.concatenate([rows[i] for i in shuffle]) if rows else np.zeros((0, 2), dtype=int)

    def _stream(self, source: int, start: int, count: int) -> Iterator[np.ndarray]:
        """Groups start..start + count - 1 of the endless sequence of shuffled passes over a source."""
        groups = self.groups[source]
        passes: dict[int, np.ndarray] = {}
        for i in range(start, start + count):
            turn, place = divmod(i, len(groups))
            if turn not in passes:
                passes[turn] = np.random.default_rng((self.seed, source, turn, 2)).permutation(len(groups))
            yield groups[passes[turn][place]]


class GlobalBatches(Sampler[list[Key]]):
    """Cuts the order into global batches and gives a process its share of each."""

    def __init__(
        self, order: Order, batch_size: int, rank: int = 0, world_size: int = 1, epoch: int = 0, start: int = 0
    ) -> None:
        """Keep the settings.

        Args:
            order: the order of samples.
            batch_size: samples in a global batch, over all processes.
            rank: this process.
            world_size: number of processes; the batch size must be a multiple of it.
            epoch: whose order to give.
            start: the first batch to give.

        Raises:
            ValueError: the batch size is not a multiple of the number of processes.
        """
        if batch_size % world_size:
            raise ValueError(f"the global batch of {batch_size} samples is not a multiple of {world_size} processes")
        self.order, self.batch_size, self.rank, self.world_size = order, batch_size, rank, world_size
        self.epoch, self.start = epoch, start

    def __len__(self) -> int:
        """Whole batches of an epoch from `start` on."""
        return self.order.length // self.batch_size - self.start

    def __iter__(self) -> Iterator[list[Key]]:
        """Keys of this process's samples, batch by batch; neighbours of a group stay on one process."""
        samples, share = self.order.samples(self.epoch), self.batch_size // self.world_size
        for batch in range(self.start, self.order.length // self.batch_size):
            first = batch * self.batch_size + self.rank * share
            rows = samples[first : first + share].tolist()
            yield [(self.epoch, first + i, source, index) for i, (source, index) in enumerate(rows)]
