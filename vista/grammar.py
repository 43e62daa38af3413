"""What a legal answer is: small pieces, compiled to an automaton over token ids.

A task states its grammar as a tuple of pieces, e.g. `(Regions(numbers=4),)` for one box or `(Choice(("Yes", "No")),)`.
Compiled once per tokenizer, it tells after every token which tokens may follow. Where only one may, the decoder need not
ask the model (`vista/generate.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from vista.tokenizer import Tokenizer

END = -1  # the state after the end-of-sequence token


class Automaton:
    """A deterministic automaton over token ids. State 0 is the start; `END` is reached by the end-of-sequence token."""

    def __init__(self, vocab_size: int, never: Iterable[int] = ()) -> None:
        """Start with the state 0 and no edges.

        Args:
            vocab_size: number of token ids.
            never: ids that no answer holds unless an edge names them (padding, `<image>` and the like).
        """
        self.vocab_size, self.never = vocab_size, list(never)
        self.edges: list[dict[int, int]] = [{}]
        self.any_next: list[int | None] = [None]  # the state after any token without an edge of its own
        self._masks: dict[int, Tensor] = {}

    def add_state(self) -> int:
        """Add a state without edges and return it."""
        self.edges.append({})
        self.any_next.append(None)
        return len(self.edges) - 1

    def add_edges(self, states: Iterable[int], tokens: Iterable[int]) -> int:
        """Join several states by the same tokens to one state, a new one unless an edge is already there."""
        states, tokens = list(states), list(tokens)
        known = {self.edges[s].get(t) for s in states for t in tokens}
        target = known.pop() if len(known) == 1 and None not in known else self.add_state()
        assert target is not None
        for state in states:
            self.edges[state].update(dict.fromkeys(tokens, target))
        return target

    def step(self, state: int, token: int) -> int:
        """The state after a token.

        Raises:
            ValueError: the grammar does not allow the token here.
        """
        following = self.edges[state].get(token, self.any_next[state])
        if following is None:
            raise ValueError(f"token {token} is not allowed in state {state}")
        return following

    def forced(self, state: int) -> int | None:
        """The only token that may follow, or None where the model has a choice."""
        if self.any_next[state] is None and len(self.edges[state]) == 1:
            return next(iter(self.edges[state]))
        return None

    def mask(self, state: int) -> Tensor:
        """Which tokens may follow, bool (V,)."""
        if state not in self._masks:
            mask = torch.full((self.vocab_size,), self.any_next[state] is not None)
            mask[self.never] = False
            mask[list(self.edges[state])] = True
            self._masks[state] = mask
        return self._masks[state]

    def accepts(self, token_ids: Iterable[int]) -> bool:
        """Whether the ids, the end-of-sequence token included, are a whole legal answer."""
        state = 0
        for token in token_ids:
            if state == END or (token not in self.edges[state] and self.any_next[state] is None):
                return False
            state = self.step(state, token)
        return state == END


class Piece(Protocol):
    """One part of an answer. Pieces are frozen dataclasses, so that a grammar can be a key."""

    def add(self, automaton: Automaton, starts: list[int], tokenizer: Tokenizer) -> list[int]:
        """Add the piece after the states `starts` and return the states in which it may end."""
        ...


@dataclass(frozen=True)
class Text:
    """Any words."""

    def add(self, automaton: Automaton, starts: list[int], tokenizer: Tokenizer) -> list[int]:
        """Every token but the special ones leads back to the start."""
        for state in starts:
            automaton.any_next[state] = state
        return starts


@dataclass(frozen=True)
class Choice:
    """One of several whole texts."""

    options: tuple[str, ...]

    def add(self, automaton: Automaton, starts: list[int], tokenizer: Tokenizer) -> list[int]:
        """A tree of the options' tokens."""
        ends = []
        for option in self.options:
            states = starts
            for token in tokenizer.encode(option):
                states = [automaton.add_edges(states, [token])]
            ends.append(states[0])
        return sorted(set(ends))


@dataclass(frozen=True)
class Regions:
    """Brackets of coordinates: `[n, ..., n]`, several joined by a separator.

    Attributes:
        numbers: coordinates in a bracket, 4 for a box and 2 N for a mask of N points.
        separator: between two brackets, `<bsep>` or `<msep>`; empty: exactly one bracket.
        none: whether an answer without a bracket is legal.
    """

    numbers: int
    separator: str = ""
    none: bool = False

    def add(self, automaton: Automaton, starts: list[int], tokenizer: Tokenizer) -> list[int]:
        """A chain of forced brackets and commas and free numbers, with a loop over the separator."""
        first = ends = self._bracket(automaton, starts, tokenizer)
        if self.separator:
            states = ends
            for token in tokenizer.encode(f"[1, 2] {self.separator} [1, 2]")[len(tokenizer.bracket_ids([1, 2])) :]:
                if token == tokenizer.bracket_ids([1, 2])[0]:
                    break
                states = [automaton.add_edges(states, [token])]
            opening, following = next(iter(automaton.edges[starts[0]].items()))
            for state in states:
                automaton.edges[state][opening] = following
        return sorted({*first, *(starts if self.none else [])})

    def _bracket(self, automaton: Automaton, starts: list[int], tokenizer: Tokenizer) -> list[int]:
        number = tokenizer.number_ids[777]
        states = starts
        for token in tokenizer.bracket_ids([777] * self.numbers):
            states = [automaton.add_edges(states, tokenizer.number_ids if token == number else [token])]
        return states


Grammar = tuple[Piece, ...]


@lru_cache(maxsize=4096)
def compile_grammar(grammar: Grammar, tokenizer: Tokenizer) -> Automaton:
    """The automaton of a grammar, made once for each pair.

    Args:
        grammar: pieces in order.
        tokenizer: whose ids the automaton reads.
    """
    automaton = Automaton(len(tokenizer), {tokenizer.bos_id, tokenizer.pad_id, tokenizer.image_id})
    states = [0]
    for piece in grammar:
        states = piece.add(automaton, states, tokenizer)
    for state in states:
        automaton.edges[state][tokenizer.eos_id] = END
    return automaton
