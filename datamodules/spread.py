"""Numbers in passes, each in a shuffle of its own, of which every epoch gets a share that lies evenly over all of them.

spread = Spread.of(n=1000, share=300, key=7)     # of runs of about 27 neighbours; 8 of each make a share
spread.number(np.array([0, 1, 1000]))            # the first two of the first pass, and the first of the second

Because a share is even, it is also known in order of the numbers, without the others: how many of it are below a bound.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from datamodules.permutation import Numbers, hashed, permuted

OF_A_RUN = 8  # numbers of each run in an epoch's share


def number_at(place: np.ndarray, n: Numbers, runs: Numbers, key: Numbers) -> np.ndarray:
    """What stands at places of a spread, int64 (P,); its attributes may be arrays of one for each place."""
    turn, place = np.divmod(place, n)
    step, run = np.divmod(place, runs)
    size, longer = np.divmod(n, runs)
    pass_key = hashed(turn.astype(np.uint64), np.asarray(key, dtype=np.uint64))
    inside = permuted(step, size + (run < longer), hashed(run.astype(np.uint64), pass_key))
    return run * size + np.minimum(run, longer) + inside


@dataclass(frozen=True)
class Spread:
    """An endless sequence of passes over 0..n-1: the first number of each run, in a shuffle of the run; the second; ...

    Attributes:
        n: how many numbers there are.
        runs: into how many runs of neighbours they are cut; the first ones may be longer by one.
        key: of the shuffles.
    """

    n: int
    runs: int
    key: int

    @classmethod
    def of(cls, n: int, share: int, key: int) -> Self:
        """With runs that suit an epoch of `share` numbers."""
        return cls(n, max(1, min(n, share) // OF_A_RUN), key)

    def number(self, place: np.ndarray) -> np.ndarray:
        """What stands at places of the sequence, int64 (P,)."""
        return number_at(place, self.n, self.runs, self.key)

    def run_of(self, number: int) -> int:
        """The run that a number is in."""
        size, longer = divmod(self.n, self.runs)
        run = number // (size + 1)
        return run if run < longer else longer + (number - longer * (size + 1)) // size

    def places(self, first_run: int, end_run: int, start: int, stop: int) -> np.ndarray:
        """Those of start..stop - 1 whose numbers are in first_run..end_run - 1, int64 (P,)."""
        found = [np.zeros(0, dtype=np.int64)]
        run = np.arange(first_run, end_run)
        for turn in range(start // self.n, -(-stop // self.n)):
            begin, end = max(0, start - turn * self.n), min(self.n, stop - turn * self.n)
            step = np.arange(begin // self.runs, -(-end // self.runs))
            place = (step[:, np.newaxis] * self.runs + run).ravel()
            found.append(turn * self.n + place[(begin <= place) & (place < end)])
        return np.concatenate(found)

    def below(self, bound: int, start: int, stop: int) -> int:
        """How many numbers at places start..stop - 1 are below a bound."""
        if bound >= self.n:
            return stop - start
        run = self.run_of(bound)
        cut = self.number(self.places(run, run + 1, start, stop))
        whole = self._in_runs(run, stop) - self._in_runs(run, start)
        return whole + int(np.count_nonzero(cut < bound))

    def _in_runs(self, end_run: int, stop: int) -> int:
        """How many numbers at places 0..stop - 1 are in the first runs."""
        size, longer = divmod(self.n, self.runs)
        turns, rest = divmod(stop, self.n)
        steps, more = divmod(rest, self.runs)
        of_a_pass = end_run * size + min(end_run, longer)
        return turns * of_a_pass + end_run * steps + min(end_run, more)
