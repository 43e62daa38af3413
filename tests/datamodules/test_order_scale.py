"""The order of a billion samples: by sampling, since any position is computed by itself."""

import math
import tracemalloc

import numpy as np
import pytest

from datamodules.groups import Groups
from datamodules.order import GlobalBatches, Order

BILLION = 10**9


class Counted:
    """Groups of a size that count from a number on, of which none is kept."""

    def __init__(self, number: int, size: int, start: int = 0) -> None:
        self.shape, self.start = (number, size), start

    def __getitem__(self, numbers: np.ndarray) -> np.ndarray:
        return self.start + numbers[:, np.newaxis] * self.shape[1] + np.arange(self.shape[1])


@pytest.fixture
def order() -> Order:
    """A source in groups of three and four; and one of which an epoch sees a tenth."""
    several = {3: Counted(200_000_000, 3), 4: Counted(100_000_000, 4, start=600_000_000)}
    return Order([Groups(several), Groups({1: Counted(BILLION, 1)})], [1.0, 0.1], seed=7)


def sampled(order: Order, epoch: int, stretches: int, length: int) -> list[np.ndarray]:
    """Stretches of an epoch that do not overlap."""
    rng = np.random.default_rng(epoch)
    starts = length * np.unique(rng.integers(order.length // length, size=stretches))
    shuffled = order.epoch(epoch)
    return [shuffled.samples(start, start + length) for start in starts.tolist()]


def test_no_sample_comes_twice(order):
    """Of so many drawn with replacement, dozens would: here they are 300,000 of 1.1 billion."""
    assert order.counts == [BILLION, BILLION // 10]
    codes = [np.concatenate(sampled(order, epoch, 40, 8000)) for epoch in (0, 1)]
    for samples in codes:
        assert samples.min() >= 0 and samples[:, 1].max() < BILLION
        assert len(np.unique(samples @ [BILLION, 1])) == len(samples) >= 300_000
    # Nor is a sample of the second source seen again before all are.
    rare = [samples[samples[:, 0] == 1, 1] for samples in codes]
    assert len(np.unique(np.concatenate(rare))) == sum(map(len, rare)) > 50_000


def test_every_stretch_has_its_share_of_every_source(order):
    shares = [stretch[:, 0].mean() for stretch in sampled(order, 2, 30, 8000)]
    assert np.abs(np.array(shares) - 1 / 11).max() < 0.01


def test_positions_are_uniform():
    """Chi-square of where samples are in the file, and where neighbours are."""
    order = Order([Groups({1: Counted(BILLION, 1)})], [1.0], seed=1)
    for stretch in sampled(order, 0, 5, 20_000):
        part = stretch[:, 1] * 400 // BILLION
        pairs = part[:-1] // 20 * 20 + part[1:] // 20
        for cells in (part, pairs):
            counts = np.bincount(cells, minlength=400)
            statistic = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
            assert abs(statistic - 399) < 4 * math.sqrt(2 * 399)


def test_processes_and_resumed_runs_see_the_same_at_the_end_of_an_epoch(order):
    last = order.length // 256 - 1
    whole = order.epoch(3).samples(last * 256, last * 256 + 256).tolist()
    for world_size in (1, 2, 4):
        keys = []
        for rank in range(world_size):
            (share,) = GlobalBatches(order, 256, rank, world_size, epoch=3, start=last)
            keys += share
        assert [list(key[2:]) for key in keys] == whole
        assert [key[1] for key in keys] == list(range(last * 256, last * 256 + 256))


def test_a_sorted_epoch_is_sorted_and_the_next_one_goes_on(order):
    """The second source's tenth is spread over its whole file."""
    ordered = Order(order.groups, [1.0, 0.1], seed=7, sorted_epochs=1)
    stretches = sampled(ordered, 0, 12, 3000)
    found = np.concatenate(stretches)
    rare = found[found[:, 0] == 1, 1]
    assert (np.diff(rare) > 0).all() and rare[0] < BILLION // 4 and rare[-1] > BILLION * 3 // 4
    for size, (low, high) in {3: (0, 600_000_000), 4: (600_000_000, BILLION)}.items():
        index = found[(found[:, 0] == 0) & (low <= found[:, 1]) & (found[:, 1] < high), 1]
        assert (np.diff(index) > 0).all(), size
    later = np.concatenate(sampled(ordered, 1, 40, 8000))
    assert not np.isin(later[later[:, 0] == 1, 1], rare).any()


def test_memory_does_not_grow_with_the_number_of_samples():
    peaks = []
    for number in (10**5, BILLION):
        order = Order([Groups({2: Counted(number, 2)})], [1.0], sorted_epochs=1)
        tracemalloc.start()
        for epoch in (0, 1):
            for start in (0, number // 3, 2 * number - 256):
                assert len(order.epoch(epoch).samples(start, start + 256)) == 256
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] and peaks[1] < 8 << 20
