"""What a legal answer is: small pieces, compiled to an automaton over token ids.

    (Literal("The masks are"), Regions(numbers=64, separator="<msep>", count=2, empty=True), Literal(".", glued=True))
    "The masks are [104, 250, ..., 301] <msep> []."

A task states its grammar as a tuple of pieces. Compiled once per tokenizer, it tells after every token which tokens may
follow. Where only one may, the model need not be called (`vista/decoding/greedy.py`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from vista.decoding.automaton import END, Automaton
from vista.tokens.tokenizer import Tokenizer


class Piece(Protocol):
    """One part of an answer. Pieces are frozen dataclasses, so that a grammar can be a key."""

    def add(self, automaton: Automaton, starts: list[int], tokenizer: Tokenizer) -> list[int]:
        """Add the piece after the nodes `starts` and return the nodes in which it may end."""
        ...


@dataclass(frozen=True)
class Text:
    """Any words, regions among them: nothing of these is forced."""

    def add(self, automaton: Automaton, starts: list[int], tokenizer: Tokenizer) -> list[int]:
        """Every token but the special ones is legal; nodes of their own know where a bracket has a coordinate."""
        _any_words(automaton, starts)
        if tokenizer.settings["number_tokens"] == "digits":
            return starts
        between = _between(tokenizer)
        inside = [automaton.add_node() for _ in range(1 + len(between))]
        automaton.coordinates.add(inside[0])
        # A number leads to the first token between two, the last of these to the next number.
        around = [*inside[1:], inside[0]]
        automaton.edges[inside[0]].update(dict.fromkeys(tokenizer.number_ids, around[0]))
        for token, node, following in zip(between, inside[1:], around[1:], strict=True):
            automaton.edges[node][token] = following
        for node in inside:
            automaton.any_next[node] = starts[0]
        for node in [*starts, *inside]:
            for opening in (tokenizer.open_id, tokenizer.bare_open_id):
                automaton.edges[node][opening] = inside[0]
        return [*starts, *inside]


@dataclass(frozen=True)
class Literal:
    """Just these words.

    Attributes:
        text: the words.
        glued: whether they follow without a space, as a full stop does.
    """

    text: str
    glued: bool = False

    def add(self, automaton: Automaton, starts: list[int], tokenizer: Tokenizer) -> list[int]:
        """A chain of forced tokens."""
        return _chain(automaton, starts, tokenizer.encode(self.text, continued=self.glued))


@dataclass(frozen=True)
class Choice:
    """One of several whole texts."""

    options: tuple[str, ...]

    def add(self, automaton: Automaton, starts: list[int], tokenizer: Tokenizer) -> list[int]:
        """A tree of the options' tokens."""
        ends: set[int] = set()
        for option in self.options:
            ends.update(Literal(option).add(automaton, starts, tokenizer))
        return sorted(ends)


@dataclass(frozen=True)
class Regions:
    """Brackets of coordinates: `[n, ..., n]`, several joined by a separator. In a box x1 > x0 and y1 > y0.

    Attributes:
        numbers: coordinates in a bracket, 4 for a box and 2 N for a mask of N points.
        separator: between two brackets, `<bsep>` or `<msep>`; empty: exactly one bracket.
        none: whether an answer without a bracket is legal.
        count: exactly so many brackets; 0: one or more, if there is a separator.
        empty: whether a bracket may be `[]`, an empty mask.
        num_bins: a number is 0..num_bins - 1.
    """

    numbers: int
    separator: str = ""
    none: bool = False
    count: int = 0
    empty: bool = False
    num_bins: int = 1000

    def add(self, automaton: Automaton, starts: list[int], tokenizer: Tokenizer) -> list[int]:
        """Forced brackets, commas and separators around free numbers; a loop where the count is open."""
        example = tokenizer.bracket_ids([1, 2])
        # What stands between two brackets is read off a text that has both.
        joined = tokenizer.encode(f"[1, 2] {self.separator} [1, 2]")[len(example) : -len(example)]
        ends = self._bracket(automaton, starts, tokenizer)
        for _ in range(self.count - 1):
            ends = self._bracket(automaton, _chain(automaton, ends, joined), tokenizer)
        if self.separator and not self.count:
            first = automaton.edges[starts[0]][tokenizer.open_id]
            for node in _chain(automaton, ends, joined):
                automaton.edges[node][tokenizer.open_id] = first
        return sorted({*ends, *starts}) if self.none else sorted(ends)

    def _bracket(self, automaton: Automaton, starts: list[int], tokenizer: Tokenizer) -> list[int]:
        between = _between(tokenizer)
        opened = automaton.add_edges(starts, [tokenizer.open_id])
        nodes = self._number(automaton, [opened], 0, tokenizer)
        for index in range(1, self.numbers):
            nodes = _chain(automaton, nodes, between)
            nodes = self._number(automaton, nodes, index, tokenizer)
        if self.empty:
            nodes = [*nodes, opened]
        return [automaton.add_edges(nodes, [tokenizer.close_id])]

    def _number(
        self, automaton: Automaton, nodes: list[int], index: int, tokenizer: Tokenizer
    ) -> list[int]:
        """The number at this index of a bracket."""
        if tokenizer.settings["number_tokens"] == "digits":
            return _digits(automaton, nodes, tokenizer.number_ids[:10], len(str(self.num_bins - 1)))
        automaton.coordinates.update(nodes)
        ids = tokenizer.number_ids[: self.num_bins]
        if self.numbers != 4:
            return [automaton.add_edges(nodes, ids)]
        # Of a box the first corner leaves room for a second one that lies behind it.
        if index < 2:
            automaton.keeps.update(nodes)
            return [automaton.add_edges(nodes, ids[:-1])]
        automaton.exceeds.update(nodes)
        return [automaton.add_edges(nodes, ids[1:])]


@dataclass(frozen=True)
class TextWithBoxes:
    """Any words, with boxes among them.

    Attributes:
        num_bins: a number is 0..num_bins - 1.
    """

    num_bins: int = 1000

    def add(self, automaton: Automaton, starts: list[int], tokenizer: Tokenizer) -> list[int]:
        """As `Text`, but an opening bracket is that of a box; after it the text goes on. Words hold no bracket."""
        automaton.never |= _bracket_tokens(tokenizer)
        _any_words(automaton, starts)
        ends = Regions(numbers=4, num_bins=self.num_bins).add(automaton, starts, tokenizer)
        for node in starts:
            automaton.edges[node][tokenizer.bare_open_id] = automaton.edges[node][tokenizer.open_id]
        for node in ends:
            automaton.any_next[node] = starts[0]
            automaton.edges[node].update(automaton.edges[starts[0]])
        return [*starts, *ends]


@lru_cache(maxsize=8)
def _bracket_tokens(tokenizer: Tokenizer) -> frozenset[int]:
    """Tokens that write a square bracket, the bytes among them."""
    written = {token: tokenizer.decode([token]) for token in range(len(tokenizer))}
    return frozenset(token for token, text in written.items() if "[" in text or "]" in text)


def _between(tokenizer: Tokenizer) -> list[int]:
    """What stands between two numbers: comma and space, or nothing."""
    return tokenizer.bracket_ids([7, 7])[2:-2]


def _any_words(automaton: Automaton, nodes: list[int]) -> None:
    """Every token but the special ones leads from each node back to it."""
    for node in nodes:
        automaton.any_next[node] = node


def _chain(automaton: Automaton, nodes: list[int], tokens: Iterable[int]) -> list[int]:
    """Forced tokens one after the other."""
    for token in tokens:
        nodes = [automaton.add_edges(nodes, [token])]
    return nodes


def _digits(automaton: Automaton, nodes: list[int], digits: Sequence[int], most: int) -> list[int]:
    """A number of at most so many digits without a leading zero; the order of a box's corners is not looked at."""
    ends = [automaton.add_edges(nodes, digits[:1])]
    nodes = [automaton.add_edges(nodes, digits[1:])]
    for _ in range(most - 1):
        ends += nodes
        nodes = [automaton.add_edges(nodes, digits)]
    return ends + nodes


Grammar = tuple[Piece, ...]
TOKEN = 16  # characters of a token at most, as in LLaMA's vocabulary
NUMBER = 5  # characters of a coordinate at most, with the comma and the space behind it


def most_characters(grammar: Grammar, tokens: int) -> int:
    """Characters of the longest answer.

    Args:
        grammar: of the answer.
        tokens: that it may have where the grammar leaves its length open.
    """
    most = TOKEN * tokens
    for piece in grammar:
        if isinstance(piece, Literal):
            most += len(piece.text)
        elif isinstance(piece, Choice):
            most += max(map(len, piece.options), default=0)
        elif isinstance(piece, Regions):
            most += max(1, piece.count) * (NUMBER * piece.numbers + TOKEN)
    return most


def most_brackets(grammar: Grammar, tokens: int) -> int | None:
    """Brackets of the longest answer, see `most_characters`; None where brackets are words."""
    sizes = [piece.numbers + 2 for piece in grammar if isinstance(piece, Regions)]  # in tokens
    sizes += [4 + 2 for piece in grammar if isinstance(piece, TextWithBoxes)]
    asked = sum(max(1, piece.count) for piece in grammar if isinstance(piece, Regions))
    return max(asked, tokens // min(sizes)) if sizes else None


@lru_cache(maxsize=512)  # a grammar of options differs for each question, and masks are large
def compile_grammar(grammar: Grammar, tokenizer: Tokenizer) -> Automaton:
    """The automaton of a grammar, made once for each pair.

    Args:
        grammar: pieces in order.
        tokenizer: whose ids the automaton reads.
    """
    never = {tokenizer.image_id, *tokenizer.special_ids}
    automaton = Automaton(len(tokenizer), never, tokenizer.number_ids)
    nodes = [0]
    for piece in grammar:
        nodes = piece.add(automaton, nodes, tokenizer)
    for node in nodes:
        automaton.edges[node][tokenizer.eos_id] = END
    return automaton
