"""The order of training samples: a pure function of (seed, epoch, position), computed for any position by itself.

Its unit is a group of annotations of one image; groups are shuffled over all sources, samples are then cut into global
batches. No state but the position exists: any number of processes sees the same global order, and a run resumes
anywhere by its position alone. Nothing is kept for each sample: `datamodules/epoch.py` says how.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from datamodules.epoch import Epoch
from datamodules.groups import Groups
from datamodules.sorted_epoch import SortedEpoch
from vista.data import InputError

Key = tuple[int, int, int, int]  # epoch, position in it, source, index in the source
SHUFFLE = 2  # raise it when the same settings give another order


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
        sizes = map(len, groups)
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
            number = f"groups {groups.checksum:08x}"
            texts.append(f"{count} of {len(groups)} samples in an epoch ({number})")
        return texts

    def epoch(self, number: int) -> Epoch:
        """An epoch, of which any stretch of samples can be asked for.

        A source that an epoch does not exhaust continues where the epoch before ended, so that every sample is seen
        before one is seen again.
        """
        kind = SortedEpoch if number < self.sorted_epochs else Epoch
        return kind(self.groups, self.counts, self.seed, number)


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
        epoch = self.order.epoch(self.epoch)
        share = self.batch_size // self.world_size
        for batch in range(self.start, len(self)):
            first = batch * self.batch_size + self.rank * share
            samples = epoch.samples(first, first + share)
            rows = enumerate(samples.tolist(), start=first)
            yield [(self.epoch, position, source, index) for position, (source, index) in rows]
