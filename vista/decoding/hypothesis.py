"""One answer while it is decoded: its tokens, where it stands in its grammar, and how sure the model was."""

import math
from collections.abc import Sequence
from copy import copy
from typing import Self

from torch import Tensor

from vista.decoding.automaton import END, Automaton


class Hypothesis:
    """Tokens of an answer, and those that the model has not read yet.

    Attributes:
        token_ids: the answer so far, at last with the end-of-sequence token unless it was cut.
        pending: tokens that the model has not read yet.
        log_probs: log-probability (nats, among the legal tokens) of every token that the grammar left open.
        spreads: standard deviation, in bins, of what the model thought of each coordinate, in the order of the text.
    """

    def __init__(self, automaton: Automaton, limit: int) -> None:
        """Begin, with what the grammar forces from the start.

        Args:
            automaton: of the grammar.
            limit: most tokens. Near it only what can still end legally is allowed; if no legal answer is that short,
                the answer is cut.
        """
        self.automaton = automaton
        self.limit = limit
        self.state = 0
        self.token_ids: list[int] = []
        self.pending: list[int] = []
        self.log_probs: list[float] = []
        self.spreads: list[float] = []
        self._append_forced()

    def append(self, token: int, log_prob: float, spread: float = math.nan) -> None:
        """Add a token that the model chose, and what the grammar forces behind it.

        Args:
            token: a legal one.
            log_prob: its log-probability among the legal ones, in nats.
            spread: of the coordinate's distribution, in bins; NaN where no coordinate could follow.
        """
        self.log_probs.append(log_prob)
        # A coordinate could follow, but an empty bracket may have been closed instead.
        if not math.isnan(spread) and token in self.automaton.numbers:
            self.spreads.append(spread)
        self._push(token)
        self._append_forced()

    def _append_forced(self) -> None:
        while not self.done:
            token = self.automaton.forced_token(self.state, self._left)
            if token is None:
                return
            self._push(token)

    def _push(self, token: int) -> None:
        self.state = self.automaton.step(self.state, token)
        self.token_ids.append(token)
        self.pending.append(token)

    def take(self) -> list[int]:
        """Tokens that the model has not read yet; they count as read from now on."""
        pending, self.pending = self.pending, []
        return pending

    def legal(self) -> Tensor:
        """Which tokens may follow, bool (V,); not to be written to."""
        return self.automaton.legal_tokens(self.state, self._left)

    def fork(self) -> Self:
        """A copy that goes its own way."""
        other = copy(self)
        other.token_ids = list(self.token_ids)
        other.pending = list(self.pending)
        other.log_probs = list(self.log_probs)
        other.spreads = list(self.spreads)
        return other

    @property
    def _left(self) -> int:
        return self.limit - len(self.token_ids)

    @property
    def done(self) -> bool:
        """Whether it has ended, or was cut."""
        return self.state == END or self._left <= 0

    @property
    def confidence(self) -> float:
        """Mean log-probability of the free tokens, in nats; 0 where the grammar left none open."""
        return sum(self.log_probs) / len(self.log_probs) if self.log_probs else 0.0


def start_hypotheses(
    automata: Sequence[Automaton],
    max_new_tokens: int | Sequence[int],
    copies: int = 1,
) -> list[Hypothesis]:
    """Hypotheses for each sample of a batch.

    Args:
        automata: the compiled grammar of each sample.
        max_new_tokens: longest answer, of all samples or of each; see `Hypothesis`.
        copies: hypotheses for each sample, one after the other.
    """
    limits = max_new_tokens
    if isinstance(limits, int):
        limits = [limits] * len(automata)
    started = []
    for automaton, limit in zip(automata, limits, strict=True):
        started += [Hypothesis(automaton, limit) for _ in range(copies)]
    return started
