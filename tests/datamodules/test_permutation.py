"""Keyed permutations and even spreads: complete, invertible, uniform, and computed for any index by itself."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.permutation import key_of, permuted, position_of
from datamodules.spread import OF_A_RUN, Spread

BILLION = 10**9
KEYS = st.integers(0, 2**64 - 1)


def chi_square(counts: np.ndarray) -> float:
    """How many standard deviations the statistic of equally likely cells is above its mean."""
    expected = counts.mean()
    free = counts.size - 1
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float((statistic - free) / math.sqrt(2 * free))


@pytest.mark.parametrize("n", range(1, 130))
def test_each_small_permutation_is_complete_and_invertible(n):
    for key in range(5):
        shuffle = permuted(np.arange(n), n, key)
        assert sorted(shuffle.tolist()) == list(range(n))
        assert position_of(shuffle, n, key).tolist() == list(range(n))


@given(st.integers(1, 5000), KEYS)
def test_a_permutation_is_complete_and_invertible(n, key):
    shuffle = permuted(np.arange(n), n, key)
    assert sorted(shuffle.tolist()) == list(range(n))
    assert position_of(shuffle, n, key).tolist() == list(range(n))


@given(st.lists(st.tuples(st.integers(1, 10**12), KEYS), min_size=1, max_size=20), st.data())
def test_several_permutations_at_once_are_those_of_each(sizes_and_keys, data):
    index = [data.draw(st.integers(0, n - 1)) for n, _ in sizes_and_keys]
    sizes = np.array([n for n, _ in sizes_and_keys])
    keys = np.array([key for _, key in sizes_and_keys], dtype=np.uint64)
    together = permuted(np.array(index), sizes, keys).tolist()
    each = [permuted(i, n, key) for i, (n, key) in zip(index, sizes_and_keys, strict=True)]
    assert together == [int(number[0]) for number in each]
    assert all(0 <= number < n for number, n in zip(together, sizes.tolist(), strict=True))


@pytest.mark.parametrize("n", [BILLION, BILLION + 7, 2**40 - 1])
def test_a_permutation_of_a_billion_by_sampling(n):
    index = np.unique(np.random.default_rng(0).integers(n, size=200_000))
    numbers = permuted(index, n, 5)
    assert numbers.min() >= 0 and numbers.max() < n
    assert len(np.unique(numbers)) == len(index)
    assert (position_of(numbers, n, 5) == index).all()
    assert (permuted(position_of(index, n, 5), n, 5) == index).all()


def test_a_permutation_of_a_billion_is_uniform():
    """Where numbers go, where neighbours go, and where one number goes under many keys."""
    index = np.arange(123_456_789, 123_456_789 + 400_000)
    cell = permuted(index, BILLION, 5) * 1000 // BILLION
    assert abs(chi_square(np.bincount(cell, minlength=1000))) < 4
    pairs = cell[:-1] // 50 * 20 + cell[1:] // 50  # of neighbours, 20 x 20 cells
    assert abs(chi_square(np.bincount(pairs, minlength=400))) < 4
    keys = np.random.default_rng(0).integers(2**63, size=100_000)
    cell = permuted(77, BILLION, keys) * 1000 // BILLION
    assert abs(chi_square(np.bincount(cell, minlength=1000))) < 4


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 8, 11, 64])
def test_small_permutations_are_uniform_over_keys(n):
    """Each number is as often at each place, and each pair of numbers at the first two."""
    keys = np.random.default_rng(n).integers(2**63, size=40_000)
    shuffles = permuted(np.arange(n), n, keys[:, np.newaxis])
    for place in (0, n // 2, n - 1):
        assert chi_square(np.bincount(shuffles[:, place], minlength=n)) < 5
    pairs = np.bincount(shuffles[:, 0] * n + shuffles[:, 1], minlength=n * n).reshape(n, n)
    assert chi_square(pairs[~np.eye(n, dtype=bool)]) < 5 and not np.diag(pairs).any()


def test_keys_differ():
    keys = {key_of(a, b, c, d) for a in range(5) for b in range(5) for c in (1, 2) for d in (1, 2)}
    assert len(keys) == 100
    shuffles = {tuple(permuted(np.arange(20), 20, key).tolist()) for key in keys}
    assert len(shuffles) == 100


SPREADS = st.builds(Spread.of, st.integers(1, 300), st.integers(0, 500), KEYS)


@given(SPREADS)
def test_every_pass_of_a_spread_is_complete(spread):
    for turn in range(3):
        places = np.arange(turn * spread.n, (turn + 1) * spread.n)
        assert sorted(spread.number(places).tolist()) == list(range(spread.n))


@given(SPREADS, st.lists(st.integers(0, 900), min_size=2, max_size=2), st.data())
def test_what_is_below_a_bound_is_known_without_the_others(spread, ends, data):
    start, stop = sorted(ends)
    bound = data.draw(st.integers(0, spread.n))
    numbers = spread.number(np.arange(start, stop))
    assert spread.below(bound, start, stop) == (numbers < bound).sum()
    first, last = sorted(data.draw(st.integers(0, spread.n - 1)) for _ in range(2))
    runs = spread.run_of(first), spread.run_of(last) + 1
    places = spread.places(*runs, start, stop)
    assert len(set(places.tolist())) == len(places)
    wanted = start + np.flatnonzero((first <= numbers) & (numbers <= last))
    assert set(wanted.tolist()) <= set(places.tolist())
    found = [spread.run_of(number) for number in spread.number(places).tolist()]
    assert all(runs[0] <= run < runs[1] for run in found)


def test_a_share_of_a_spread_lies_evenly_over_all():
    spread = Spread.of(BILLION, 800, 3)
    for epoch in (0, 1, 1000):
        numbers = spread.number(np.arange(epoch * 800, (epoch + 1) * 800))
        parts = np.bincount(numbers * 100 // BILLION, minlength=100)
        assert parts.tolist() == [OF_A_RUN] * 100
        assert abs(chi_square(np.bincount(numbers % 10, minlength=10))) < 4
