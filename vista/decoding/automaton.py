"""Which tokens may follow: the automaton that `grammar.py` builds and `greedy.py` walks."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from vista.tokens.batch import IGNORE, Sample

END = -1  # the state after the end-of-sequence token
_BASE = (
    1001  # a queued number is one digit of this base, 1 for the number 0; 0 stands for no number
)


class Automaton:
    """A deterministic automaton over token ids, with a queue of at most two numbers: the first corner of a box.

    State 0 is the start; `END` is reached by the end-of-sequence token. A state is a node of the graph and what is in
    the queue, written as one int: `node + number of nodes * queue`. So a box needs no node for each first corner.

    Attributes:
        edges: by node, the next node after a token.
        any_next: by node, the next node after any token without an edge of its own.
        keeps: nodes whose number enters the queue.
        exceeds: nodes whose number must be larger than the oldest in the queue, which then leaves it.
    """

    def __init__(
        self, vocab_size: int, never: Iterable[int] = (), number_ids: Sequence[int] = ()
    ) -> None:
        """Start with the node 0 and no edges.

        Args:
            vocab_size: number of token ids.
            never: ids that no answer holds unless an edge names them (padding, `<image>` and the like).
            number_ids: the ids of 0, 1, 2, ...
        """
        self.vocab_size, self.never, self.number_ids = (
            vocab_size,
            frozenset(never),
            list(number_ids),
        )
        self.edges: list[dict[int, int]] = [{}]
        self.any_next: list[int | None] = [None]
        self.keeps: set[int] = set()
        self.exceeds: set[int] = set()
        self._numbers = {token: number for number, token in enumerate(number_ids)}
        self._masks: dict[int, Tensor] = {}

    def add_node(self) -> int:
        """Add a node without edges and return it."""
        self.edges.append({})
        self.any_next.append(None)
        return len(self.edges) - 1

    def add_edges(self, nodes: Iterable[int], tokens: Iterable[int]) -> int:
        """Join several nodes by the same tokens to one node, a new one unless an edge is already there."""
        nodes, tokens = list(nodes), list(tokens)
        known = {self.edges[n].get(t) for n in nodes for t in tokens}
        target = known.pop() if len(known) == 1 and None not in known else self.add_node()
        assert target is not None
        for node in nodes:
            self.edges[node].update(dict.fromkeys(tokens, target))
        return target

    def _following(self, state: int, token: int) -> int | None:
        """The state after a token, None where the token is not allowed."""
        queue, node = divmod(state, len(self.edges))
        following = self.edges[node].get(
            token, None if token in self.never else self.any_next[node]
        )
        if following is None:
            return None
        digit = self._numbers.get(token, -1) + 1
        if node in self.keeps:
            queue += digit if queue else digit * _BASE
        elif node in self.exceeds:
            if digit <= queue // _BASE:
                return None
            queue = queue % _BASE * _BASE
        return following + queue * len(self.edges)

    def step(self, state: int, token: int) -> int:
        """The state after a token.

        Raises:
            ValueError: the grammar does not allow the token here.
        """
        following = self._following(state, token)
        if following is None:
            raise ValueError(f"token {token} is not allowed in state {state}")
        return following

    def forced(self, state: int) -> int | None:
        """The only token that may follow, or None where the model has a choice."""
        node = state % len(self.edges)
        if self.any_next[node] is None and len(self.edges[node]) == 1:
            return next(iter(self.edges[node]))
        return None

    def is_number(self, token: int) -> bool:
        """Whether a token is one of 0, 1, 2, ..."""
        return token in self._numbers

    def asks_coordinate(self, state: int) -> bool:
        """Whether the next token is a number of a region, written as one token."""
        return state % len(self.edges) in self._coordinate_nodes

    @cached_property
    def _coordinate_nodes(self) -> frozenset[int]:
        """Nodes from which a token leads that only regions hold; needed when all edges are there."""
        tokens = frozenset(self.number_ids[10:])  # the LLM's own digits also stand in words
        closed = (node for node, loop in enumerate(self.any_next) if loop is None)
        return frozenset(node for node in closed if not tokens.isdisjoint(self.edges[node]))

    @cached_property
    def number_index(self) -> Tensor:
        """`number_ids` as int (N,), for a look-up in every step."""
        return torch.tensor(self.number_ids)

    def mask(self, state: int) -> Tensor:
        """Which tokens may follow, bool (V,); not to be written to."""
        queue, node = divmod(state, len(self.edges))
        if node not in self._masks:
            mask = torch.full((self.vocab_size,), self.any_next[node] is not None)
            mask[list(self.never)] = False
            mask[list(self.edges[node])] = True
            self._masks[node] = mask
        if node not in self.exceeds:
            return self._masks[node]
        mask = self._masks[node].clone()
        mask[self.number_ids[: queue // _BASE]] = False
        return mask

    def accepts(self, token_ids: Iterable[int]) -> bool:
        """Whether the ids, the end-of-sequence token included, are a whole legal answer."""
        state = 0
        for token in token_ids:
            following = None if state == END else self._following(state, token)
            if following is None:
                return False
            state = following
        return state == END


def learn_free_tokens(sample: Sample, automaton: Automaton) -> Sample:
    """The same sample, learned only where its grammar leaves a choice (`loss_on: free`).

    A model trained so must be decoded under the grammar: it never learns a comma or a bracket.

    Args:
        sample: one whose answers the automaton accepts.
        automaton: the compiled grammar of an answer.

    Raises:
        ValueError: an answer is not legal.
    """
    labels, state = [], 0
    for label in sample.labels:
        forced = label != IGNORE and automaton.forced(state) is not None
        labels.append(IGNORE if forced else label)
        if label != IGNORE:
            state = automaton.step(state, label)
            state = 0 if state == END else state  # the next turn's answer
    return replace(sample, labels=labels)
