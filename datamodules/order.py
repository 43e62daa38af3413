"""The order of training samples: a pure function of (seed, epoch, position).

Its unit is a group of annotations of one image; groups are shuffled over all sources, samples are then cut into global
batches. No state but the position exists: any number of processes sees the same global order, and a run resumes
anywhere by its position alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from torch.utils.data import Sampler

from vista.data import InputError

Key = tuple[int, int, int, int]  # epoch, position in it, source, index in the source


@dataclass(frozen=True)
class Groups:
    """Indices in groups that stay together, as two arrays: millions of groups cost no Python objects.

    Attributes:
        indices: those of all groups, one group after the other, int (N,).
        starts: where each group begins in `indices`, and N, int (G + 1,).
    """

    indices: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, group: int) -> np.ndarray:
        return self.indices[self.starts[group] : self.starts[group + 1]]


class Order:
    """Which sample stands at which position of an epoch."""

    def __init__(
        self,
        groups: Sequence[Groups],
        weights: Sequence[float],
        seed: int = 0,
        epoch_samples: int | None = None,
        sorted_epochs: int = 0,
    ) -> None:
        """Fix how many samples of each source an epoch holds.

        Args:
            groups: for every source its groups of indices.
            weights: for every source how often a sample occurs in an epoch.
            seed: of all shuffles.
            epoch_samples: how many samples an epoch has, the weights being scaled; None: as they are.
            sorted_epochs: first epochs whose samples come in the order of their files, all sources side by side,
                instead of shuffled.
        """
        self.groups, self.seed, self.sorted_epochs = groups, seed, sorted_epochs
        sizes = [len(source.indices) for source in groups]
        wanted = np.array([n * weight for n, weight in zip(sizes, weights, strict=True)])
        if epoch_samples is not None and wanted.sum():
            wanted = wanted * (epoch_samples / wanted.sum())
        self.counts = [max(1, round(n)) if n > 0 else 0 for n in wanted.tolist()]
        if epoch_samples is not None and any(self.counts):
            # The largest source gets or gives what rounding took or gave.
            most = int(np.argmax(self.counts))
            self.counts[most] = max(1, self.counts[most] + epoch_samples - sum(self.counts))
        self.length = sum(self.counts)

    def described(self) -> list[str]:
        """What decides the order of each source: how many samples of how many an epoch has, and their groups."""
        texts = []
        for groups, count in zip(self.groups, self.counts, strict=True):
            number = crc32(groups.indices.tobytes(), crc32(groups.starts.tobytes()))
            texts.append(
                f"{count} of {len(groups.indices)} samples in an epoch (groups {number:08x})"
            )
        return texts

    def samples(self, epoch: int) -> np.ndarray:
        """The epoch's samples in order, int (length, 2): source and index.

        A source that an epoch does not exhaust continues where the epoch before ended, so that every sample is seen
        before one is seen again.
        """
        pieces: list[tuple[np.ndarray, ...]] = []
        for number, count in enumerate(self.counts):
            pieces += self._stream(number, epoch * count, count)
        if not pieces:
            return np.zeros((0, 2), dtype=int)
        # Of all pieces of groups, (P,) each.
        source, start, length, depth = map(np.concatenate, zip(*pieces, strict=True))
        # The last number of a seed tells shuffles of pieces (1) from those of groups (2).
        order = np.random.default_rng((self.seed, epoch, 1)).permutation(len(source))
        # Stable after a shuffle: pieces of the same depth stay mixed.
        if epoch < self.sorted_epochs:
            order = order[np.argsort(depth[order], kind="stable")]
        source = source[order]
        start = start[order]
        length = length[order]
        first = length.cumsum() - length  # where each piece begins in the epoch
        steps = np.arange(self.length) - np.repeat(first, length)  # 0, 1, ... in each piece
        indices = np.concatenate([groups.indices for groups in self.groups])
        samples = indices[np.repeat(start, length) + steps]
        return np.stack([np.repeat(source, length), samples], axis=1)

    def _stream(self, source: int, start: int, count: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Samples start..start + count - 1 of the endless sequence of shuffled passes over a source, in their groups.

        Groups that lie across the start or the end are cut, so that every epoch has the same length.

        Yields:
            for each pass, arrays over its pieces of groups: source; start in the indices of all sources; length; and
            how deep in its source the group is, 0 the first, 1 the last.
        """
        groups = self.groups[source]
        before = sum(len(other.indices) for other in self.groups[:source])
        # A pass over the source ends where its shuffled groups end; the next has a shuffle of its own.
        while count:
            turn, first = divmod(start, len(groups.indices))
            last = min(first + count, len(groups.indices))
            shuffle = np.random.default_rng((self.seed, source, turn, 2)).permutation(len(groups))
            sizes = np.diff(groups.starts)  # (G,)
            ends = sizes[shuffle].cumsum()  # of each group in the shuffled pass, (G,)
            # The groups that overlap first..last - 1; only the outermost two can be cut.
            from_ = int(ends.searchsorted(first, side="right"))
            to = int(ends.searchsorted(last))
            group = shuffle[from_ : to + 1]
            end = ends[from_ : to + 1]
            begin = end - sizes[group]
            length = np.minimum(end, last) - np.maximum(begin, first)
            start_inside = groups.starts[group] + np.maximum(first - begin, 0)
            yield np.full(len(group), source), before + start_inside, length, group / len(groups)
            start += last - first
            count -= last - first


class GlobalBatches(Sampler[list[Key]]):
    """Cuts the order into global batches and gives a process its share of each; the rest of an epoch is left out.

    Lightning calls `set_epoch` before every epoch on the attribute `sampler` of a batch sampler, hence that name.
    """

    def __init__(
        self,
        order: Order,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        epoch: int = 0,
        start: int = 0,
    ) -> None:
        """Keep the settings.

        Args:
            order: the order of samples.
            batch_size: samples in a global batch, over all processes.
            rank: this process.
            world_size: number of processes; the batch size must be a multiple of it.
            epoch: whose order to give.
            start: the first batch of this epoch to give; later epochs are whole.

        Raises:
            InputError: the batch size is not a multiple of the number of processes, or an epoch has no whole batch.
        """
        if batch_size < 1 or batch_size % world_size:
            what = f"the global batch of {batch_size} samples"
            raise InputError(f"{what} is not a multiple of {world_size} processes")
        if order.length < batch_size:
            raise InputError(
                f"an epoch has {order.length} samples, less than one batch of {batch_size}"
            )
        self.order, self.batch_size = order, batch_size
        self.rank, self.world_size = rank, world_size
        self.epoch, self.start = epoch, start

    @property
    def sampler(self) -> "GlobalBatches":
        """What Lightning calls `set_epoch` on."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Give a later epoch's order, from its first batch on; a resumed run may name the epoch that is behind it."""
        if epoch > self.epoch:
            self.epoch, self.start = epoch, 0

    def __len__(self) -> int:
        """Whole batches of an epoch, those before `start` among them: Lightning counts from the epoch's first batch."""
        return self.order.length // self.batch_size

    def __iter__(self) -> Iterator[list[Key]]:
        """Keys of this process's samples, batch by batch; neighbours of a group stay on one process."""
        samples = self.order.samples(self.epoch)
        share = self.batch_size // self.world_size
        for batch in range(self.start, len(self)):
            first = batch * self.batch_size + self.rank * share
            rows = enumerate(samples[first : first + share].tolist(), start=first)
            yield [(self.epoch, position, source, index) for position, (source, index) in rows]
