"""Which tokens may follow, and how long an answer may get: the automaton that `grammar.py` builds and decoding walks.

    Regions(numbers=64), paper layout -> at most 193 tokens and the end; Text() -> no bound, but one token to the end

An answer whose length the grammar leaves open is held to a limit. Near it only what can still be brought to a legal end
is allowed, so that no answer is cut inside a bracket.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

import torch
from torch import Tensor

END = -1  # the state after the end-of-sequence token
# A queued number is one digit of this base, 1 for the number 0; 0 stands for no number.
_BASE = 1001


class Automaton:
    """A deterministic automaton over token ids, with a queue of at most two numbers: the first corner of a box.

    State 0 is the start; `END` is reached by the end-of-sequence token. A state is a node of the graph and what is in
    the queue, written as one int: `node + number of nodes * queue`. So a box needs no node for each first corner.

    Attributes:
        edges: by node, the next node after a token.
        any_next: by node, the next node after any token without an edge of its own.
        numbers: token id -> 0, 1, 2, ...
        keeps: nodes whose number enters the queue.
        exceeds: nodes whose number must be larger than the oldest in the queue, which then leaves it.
        coordinates: nodes whose number, where one follows, is a coordinate written as one token.
    """

    def __init__(
        self,
        vocab_size: int,
        never: Iterable[int] = (),
        number_ids: Sequence[int] = (),
    ) -> None:
        """Start with the node 0 and no edges.

        Args:
            vocab_size: number of token ids.
            never: ids that no answer holds unless an edge names them (padding, `<image>` and the like).
            number_ids: the ids of 0, 1, 2, ...
        """
        self.vocab_size = vocab_size
        self.never = frozenset(never)
        self.number_ids = list(number_ids)
        self.edges: list[dict[int, int]] = [{}]
        self.any_next: list[int | None] = [None]
        self.keeps: set[int] = set()
        self.exceeds: set[int] = set()
        self.coordinates: set[int] = set()
        self.numbers = {token: number for number, token in enumerate(number_ids)}
        self._masks: dict[int, Tensor] = {}

    def add_node(self) -> int:
        """Add a node without edges and return it."""
        self.edges.append({})
        self.any_next.append(None)
        return len(self.edges) - 1

    def add_edges(self, nodes: Iterable[int], tokens: Iterable[int]) -> int:
        """Join several nodes by the same tokens to one node, a new one unless an edge is already there."""
        nodes, tokens = list(nodes), list(tokens)
        known: set[int | None] = set()
        for node in nodes:
            known.update(map(self.edges[node].get, tokens))
        target = known.pop() if len(known) == 1 else None
        if target is None:
            target = self.add_node()
        for node in nodes:
            self.edges[node].update(dict.fromkeys(tokens, target))
        return target

    def step(self, state: int, token: int) -> int:
        """The state after a token.

        Raises:
            ValueError: the grammar does not allow the token here.
        """
        if (following := self._following(state, token)) is None:
            raise ValueError(f"token {token} is not allowed in state {state}")
        return following

    def _following(self, state: int, token: int) -> int | None:
        """The state after a token, None where the token is not allowed."""
        queue, node = divmod(state, len(self.edges))
        loop = None if token in self.never else self.any_next[node]
        following = self.edges[node].get(token, loop)
        if following is None:
            return None
        digit = self.numbers.get(token, -1) + 1
        # The queue is two digits: the older number is the higher one.
        if node in self.keeps:
            queue += digit if queue else digit * _BASE
        elif node in self.exceeds:
            oldest, newest = divmod(queue, _BASE)
            if digit <= oldest:
                return None
            queue = newest * _BASE
        return following + queue * len(self.edges)

    def accepts(self, token_ids: Iterable[int]) -> bool:
        """Whether the ids, the end-of-sequence token included, are a whole legal answer."""
        state = 0
        for token in token_ids:
            following = None if state == END else self._following(state, token)
            if following is None:
                return False
            state = following
        return state == END

    def forced(self, state: int) -> int | None:
        """The only token that may follow, or None where the model has a choice."""
        node = state % len(self.edges)
        if self.any_next[node] is None and len(self.edges[node]) == 1:
            return next(iter(self.edges[node]))
        return None

    def takes_words(self, state: int) -> bool:
        """Whether any words may follow."""
        return self.any_next[state % len(self.edges)] is not None

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
        # One mask a node is kept; what the queue forbids is taken from a copy.
        mask = self._masks[node].clone()
        mask[self.number_ids[: queue // _BASE]] = False
        return mask

    def forced_token(self, state: int, left: int) -> int | None:
        """The only token that may follow, as `legal_tokens` says; None where the model has a choice."""
        token = self.forced(state)
        if token is not None or self._worst_endings[state % len(self.edges)] < left:
            return token
        legal = self.legal_tokens(state, left).nonzero().flatten().tolist()
        return legal[0] if len(legal) == 1 else None

    def legal_tokens(self, state: int, left: int) -> Tensor:
        """Tokens that may follow and still leave room for a legal end, bool (V,); not to be written to.

        Args:
            state: where the answer stands.
            left: tokens that the answer may still get. If too few for any legal end, all that the grammar allows.
        """
        mask, fewest = self.mask(state), self.shortest_endings
        node = state % len(self.edges)
        if self._worst_endings[node] < left:
            return mask
        within, loop = mask.clone(), self.any_next[node]
        if loop is not None and fewest[loop] >= left:
            within[:] = False
            within[list(self.edges[node])] = True
        too_long = [token for token, target in self.edges[node].items() if fewest[target] >= left]
        within[too_long] = False
        return within if within.any() else mask

    @cached_property
    def shortest_endings(self) -> dict[int, int]:
        """By node, the fewest tokens that lead to the end, the end-of-sequence token included; 0 from the end."""
        targets = [self._targets(node) for node in range(len(self.edges))]
        fewest = dict.fromkeys(range(len(targets)), len(targets) + 1) | {END: 0}
        changed = True
        while changed:  # nodes are added front to back: from the back most are right at once
            changed = False
            for node in reversed(range(len(targets))):
                least = 1 + min((fewest[n] for n in targets[node]), default=len(targets))
                if least < fewest[node]:
                    fewest[node], changed = least, True
        return fewest

    @cached_property
    def _worst_endings(self) -> list[int]:
        """By node, the fewest tokens to the end after the token that leads away from it most."""
        fewest, nodes = self.shortest_endings, range(len(self.edges))
        return [max(map(fewest.__getitem__, self._targets(node)), default=0) for node in nodes]

    @cached_property
    def longest_answer(self) -> int | None:
        """Tokens of the longest legal answer, the end-of-sequence token included; None where there is no bound."""
        targets = {node: self._targets(node) for node in range(len(self.edges))}
        try:
            order = list(TopologicalSorter(targets).static_order())  # every node behind its targets
        except CycleError:
            return None
        longest = {END: 0}
        for node in order[1:]:  # the end, which alone has no target, comes first
            longest[node] = 1 + max(longest[n] for n in targets[node])
        return longest[0]

    def _targets(self, node: int) -> set[int]:
        """Where one token may lead from a node."""
        loop = self.any_next[node]
        targets = set(self.edges[node].values())
        return targets if loop is None else targets | {loop}

    def asks_coordinate(self, state: int) -> bool:
        """Whether a number that comes next is a coordinate of a region, written as one token."""
        return state % len(self.edges) in self.coordinates

    @cached_property
    def number_index(self) -> Tensor:
        """`number_ids` as int (N,), for a look-up in every step."""
        return torch.tensor(self.number_ids)
