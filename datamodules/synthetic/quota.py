"""Quotas of answers, so that a question's words do not tell its answer."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping


class Quota:
    """Which answers each form of question has had."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def order(
        self,
        form: str,
        shares: Mapping[str, float],
        rng: random.Random,
    ) -> list[str]:
        """The answers, the one most behind its share first."""
        counts = self._counts[form]

        def lag(answer: str) -> tuple[float, float]:
            return counts[answer] / shares[answer], rng.random()

        return sorted(shares, key=lag)

    def note(self, form: str, answer: str) -> None:
        """Counts an answer that is really given."""
        self._counts[form][answer] += 1
