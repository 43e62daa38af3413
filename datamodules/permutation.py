"""Shuffles of 0..n-1 of which any element is computed by itself: keyed permutations, vectorised, in constant memory.

permuted([0, 5], 10**9, key)      which numbers come first and sixth in the shuffle of a key
position_of(numbers, 10**9, key)  where numbers stand in it

A generalised Feistel network (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002): a number is a
row and a column of a table of at least n places; each round moves one of the two by a hash of the other. A place beyond
n is permuted again until it is below n (cycle walking).
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

Numbers: TypeAlias = np.ndarray | int
Rounds: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

ROUNDS = 12  # with 8, a shuffle of five numbers prefers some orders
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # of splitmix64, as the two factors in `hashed`
ROUND = np.uint64(48)  # bits of a hashed row or column; those above count the rounds


def key_of(*numbers: int) -> int:
    """A key that tells these numbers from all others, 64 bits."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def hashed(index: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Elements of the random stream of a key, uint64: splitmix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    bits = key + (index + np.uint64(1)) * GOLDEN
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def permuted(index: Numbers, n: Numbers, key: Numbers) -> np.ndarray:
    """What stands at an index of a shuffle, int64.

    Args:
        index: below n.
        n: how many numbers are shuffled, at most 2**52.
        key: of the shuffle; the three are numbers or arrays that broadcast.
    """
    return _walked(_forth, index, n, key)


def position_of(number: Numbers, n: Numbers, key: Numbers) -> np.ndarray:
    """Where a number stands in a shuffle, int64: the inverse of `permuted`."""
    return _walked(_back, number, n, key)


def _walked(rounds: Rounds, index: Numbers, n: Numbers, key: Numbers) -> np.ndarray:
    unsigned = [np.atleast_1d(np.asarray(each).astype(np.uint64)) for each in (index, n, key)]
    index, n, key = np.broadcast_arrays(*unsigned)
    found = rounds(index, n, key)
    while (outside := found >= n).any():
        found[outside] = rounds(found[outside], n[outside], key[outside])
    return found.astype(np.int64)


def _table(n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of a nearly square table of at least n places."""
    rows = np.ceil(np.sqrt(n)).astype(np.uint64)
    return rows, (n + rows - np.uint64(1)) // rows


def _forth(index: np.ndarray, n: np.ndarray, key: np.ndarray) -> np.ndarray:
    rows, columns = _table(n)
    row, column = np.divmod(index, columns)
    for number in range(0, ROUNDS, 2):
        row = _wrapped(row + _drawn(number, column, key, rows), rows)
        column = _wrapped(column + _drawn(number + 1, row, key, columns), columns)
    return row * columns + column


def _back(index: np.ndarray, n: np.ndarray, key: np.ndarray) -> np.ndarray:
    rows, columns = _table(n)
    row, column = np.divmod(index, columns)
    for number in reversed(range(0, ROUNDS, 2)):
        column = _wrapped(column + columns - _drawn(number + 1, row, key, columns), columns)
        row = _wrapped(row + rows - _drawn(number, column, key, rows), rows)
    return row * columns + column


def _drawn(number: int, other: np.ndarray, key: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Numbers below a bound of at most 32 bits, drawn by a round and the other half of an index."""
    bits = hashed(other + (np.uint64(number) << ROUND), key)
    return ((bits >> np.uint64(32)) * below) >> np.uint64(32)


def _wrapped(number: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Numbers below twice a bound, modulo that bound."""
    return np.where(number < below, number, number - below)
