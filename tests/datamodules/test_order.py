"""The order of training samples: complete, reproducible, the same for any number of processes."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules import epoch as epochs
from datamodules.groups import Groups, in_memory
from datamodules.order import GlobalBatches, Key, Order

SIZES = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=8), min_size=1, max_size=3)


@pytest.fixture(autouse=True, scope="module", params=[epochs.BLOCK, 3], ids="blocks of {}".format)
def block(request) -> Iterator[None]:
    """With blocks of three groups, the few samples of a test are in many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epochs, "BLOCK", request.param)
        yield


def grouped(sizes: list[int]) -> Groups:
    """Groups of the given sizes that count 0, 1, 2, ..."""
    starts = np.cumsum([0, *sizes])[:-1]
    return in_memory(
        starts[np.array(sizes) == size, np.newaxis] + np.arange(size) for size in sorted({*sizes})
    )


def make_order(
    sizes: list[list[int]], weights: list[float] | None = None, **settings: int
) -> Order:
    return Order([grouped(s) for s in sizes], weights or [1.0] * len(sizes), **settings)


def pairs(order: Order, epoch: int) -> list[tuple[int, int]]:
    return [(int(source), int(index)) for source, index in samples_of(order, epoch)]


def samples_of(order: Order, epoch: int) -> np.ndarray:
    return order.epoch(epoch).samples(0, order.length)


def places(keys: list[list[Key]]) -> list[tuple[int, int, int]]:
    return [key[1:] for batch in keys for key in batch]


@given(SIZES, st.integers(0, 3))
def test_weight_one_gives_every_sample_once_per_epoch(sizes, epoch):
    order = make_order(sizes)
    everything = [(s, i) for s, lengths in enumerate(sizes) for i in range(sum(lengths))]
    assert sorted(pairs(order, epoch)) == everything
    assert order.length == len(everything)


@given(SIZES, st.lists(st.sampled_from([0.3, 0.5, 1.0, 1.7]), min_size=3, max_size=3))
def test_fractional_weights_see_all_before_any_is_seen_again(sizes, weights):
    order = make_order(sizes, weights[: len(sizes)])
    seen: Counter[tuple[int, int]] = Counter()
    for epoch in range(7):
        epoch_pairs = pairs(order, epoch)
        assert len(epoch_pairs) == order.length  # every epoch is as long as the first
        seen.update(epoch_pairs)
        for source, lengths in enumerate(sizes):
            counts = [seen[source, i] for i in range(sum(lengths))]
            assert max(counts) - min(counts) <= 1
            assert sum(counts) == (epoch + 1) * order.counts[source]


def test_groups_stay_together_in_their_order():
    order = make_order([[4] * 50, [3] * 20])
    samples = pairs(order, 2)
    starts = {(0, i) for i in range(0, 200, 4)} | {(1, i) for i in range(0, 60, 3)}
    for place, (source, index) in enumerate(samples):
        if (source, index) in starts:
            length = 4 if source == 0 else 3
            assert samples[place : place + length] == [(source, index + k) for k in range(length)]


def test_sources_are_mixed_and_epochs_differ():
    order = make_order([[1] * 300, [1] * 300])
    first, second = samples_of(order, 0), samples_of(order, 1)
    assert 40 < first[:100, 0].sum() < 60 + 10
    assert (first != second).any(axis=1).mean() > 0.9
    assert (samples_of(make_order([[1] * 300, [1] * 300], seed=1), 0) != first).any()
    assert (samples_of(make_order([[1] * 300, [1] * 300]), 0) == first).all()


def test_epoch_samples_scales_the_weights():
    order = make_order([[2] * 100, [2] * 100], [1.0, 3.0], epoch_samples=80)
    assert order.counts == [20, 60] and order.length == 80
    assert make_order([[1] * 10, []], [1.0, 1.0]).counts == [10, 0]
    assert make_order([[1] * 10, [1] * 10], [1.0, 0.0]).counts == [10, 0]
    assert make_order([[1] * 1000, [1]], [1.0, 0.01]).counts == [
        1000,
        1,
    ]  # a rare source is not lost


@given(SIZES, st.sampled_from([0.6, 1.0]), st.sampled_from([4, 8]), st.integers(0, 2))
def test_any_number_of_processes_sees_the_same_order(sizes, weight, batch_size, epoch):
    order = make_order(sizes, [weight] * len(sizes))
    if order.length < batch_size:
        return
    alone = list(GlobalBatches(order, batch_size, epoch=epoch))
    assert len(alone) == len(GlobalBatches(order, batch_size)) == order.length // batch_size
    assert (
        places(alone)
        == [(i, *pair) for i, pair in enumerate(pairs(order, epoch))][: len(alone) * batch_size]
    )
    for world_size in (2, 4):
        shares = [
            list(GlobalBatches(order, batch_size, r, world_size, epoch)) for r in range(world_size)
        ]
        assert [list(chain(*batch)) for batch in zip(*shares, strict=True)] == alone


def test_goes_on_at_any_batch_of_any_epoch():
    order = make_order([[2] * 9, [1] * 7], [0.7, 1.0])
    unbroken = [list(GlobalBatches(order, 4, epoch=epoch)) for epoch in range(3)]
    for start in range(len(unbroken[1]) + 1):
        resumed = GlobalBatches(order, 4, epoch=1, start=start)
        resumed.sampler.set_epoch(1)  # as Lightning does
        assert list(resumed) == unbroken[1][start:]
        assert len(resumed) == len(unbroken[1])
        resumed.sampler.set_epoch(2)
        assert list(resumed) == unbroken[2]


def test_wrong_sizes_are_refused():
    order = make_order([[1] * 10])
    with pytest.raises(
        ValueError, match="the global batch of 6 samples is not a multiple of 4 processes"
    ):
        GlobalBatches(order, 6, 0, 4)
    with pytest.raises(ValueError, match="an epoch has 10 samples, less than one batch of 16"):
        GlobalBatches(order, 16)
    with pytest.raises(ValueError, match="0 samples"):
        GlobalBatches(order, 0)


@given(SIZES, st.integers(1, 3))
def test_a_sorted_epoch_follows_the_files_side_by_side(sizes, sorted_epochs):
    order = make_order(sizes, sorted_epochs=sorted_epochs)
    for epoch in range(sorted_epochs):
        samples = pairs(order, epoch)
        for source, lengths in enumerate(sizes):
            assert [i for s, i in samples if s == source] == list(range(sum(lengths)))
        # Each sample is as deep in its file as its group's first one.
        depth: dict[tuple[int, int], float] = {}
        for source, lengths in enumerate(sizes):
            firsts = np.repeat(np.cumsum([0, *lengths])[:-1], lengths).tolist()
            depth |= {(source, i): first / len(firsts) for i, first in enumerate(firsts)}
        depths = [depth[sample] for sample in samples]
        assert depths == sorted(depths)
    assert sorted(pairs(order, sorted_epochs)) == sorted(pairs(order, 0))


def test_a_part_of_the_files_is_sorted_too_and_later_epochs_are_shuffled():
    order = make_order([[2] * 500, [1] * 500], epoch_samples=300, sorted_epochs=1)
    first, second = ([i for s, i in pairs(order, epoch) if s == 0] for epoch in (0, 1))
    assert first == sorted(first) and second != sorted(second)
    assert len(first) == 200 and max(first) > 900 and not set(first) & set(second)


def test_an_epoch_too_short_for_its_sources_still_has_one_sample_of_each():
    order = make_order([[1]] * 12, epoch_samples=4)
    assert order.counts == [1] * 12 and len(pairs(order, 0)) == 12


@given(
    SIZES,
    st.sampled_from([0.4, 1.0, 2.3]),
    st.integers(0, 2),
    st.integers(0, 2),
    st.lists(st.integers(0, 100), min_size=2, max_size=2),
)
def test_any_stretch_is_computed_by_itself(sizes, weight, sorted_epochs, number, ends):
    order = make_order(sizes, [weight] * len(sizes), sorted_epochs=sorted_epochs)
    start, stop = sorted(min(end, order.length) for end in ends)
    whole = samples_of(order, number)
    assert whole.shape == (order.length, 2)
    assert order.epoch(number).samples(start, stop).tolist() == whole[start:stop].tolist()
    one_by_one = [order.epoch(number).samples(k, k + 1)[0].tolist() for k in range(start, stop)]
    assert one_by_one == whole[start:stop].tolist()
