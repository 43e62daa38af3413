"""How long an answer may get: fewest tokens to a legal end, and the longest answer of a grammar.

    Regions(numbers=64), paper layout -> at most 193 tokens and the end; Text() -> no bound, but one token to the end

An answer whose length the grammar leaves open is held to a limit. Near it the decoder allows only what can still be
brought to a legal end, so that no answer is cut inside a bracket.
"""

from functools import lru_cache

from torch import Tensor

from vista.decoding.automaton import END, Automaton


@lru_cache(maxsize=512)
def shortest_endings(automaton: Automaton) -> tuple[int, ...]:
    """By node, the fewest tokens that lead to the end, the end-of-sequence token included."""
    fewest = [len(automaton.edges) + 1] * len(automaton.edges)
    changed = True
    while changed:  # nodes are added front to back: from the back most are right at once
        changed = False
        for node in reversed(range(len(fewest))):
            least = 1 + min(
                (0 if n == END else fewest[n] for n in _following(automaton, node)),
                default=len(fewest),
            )
            changed |= least < fewest[node]
            fewest[node] = min(fewest[node], least)
    return tuple(fewest)


@lru_cache(maxsize=512)
def longest_answer(automaton: Automaton) -> int | None:
    """Tokens of the longest legal answer, the end-of-sequence token included; None where there is no bound."""
    longest: dict[int, int | None] = {END: 0}
    open_nodes: set[int] = set()
    stack = [0]
    while stack:  # depth first; a node met again while it is open closes a loop
        node = stack[-1]
        following = _following(automaton, node)
        if node not in longest and node not in open_nodes:
            open_nodes.add(node)
            if following & open_nodes:
                return None
            stack += [n for n in following if n not in longest]
            continue
        stack.pop()
        if node in open_nodes:
            open_nodes.remove(node)
            longest[node] = 1 + max(longest[n] or 0 for n in following)
    return longest[0]


def legal_tokens(automaton: Automaton, state: int, left: int) -> Tensor:
    """Tokens that may follow and still leave room for a legal end, bool (V,); not to be written to.

    Args:
        automaton: of the grammar.
        state: where the answer stands.
        left: tokens that the answer may still get. If too few for any legal end, all that the grammar allows.
    """
    mask, fewest = automaton.mask(state), shortest_endings(automaton)
    node = state % len(fewest)
    if _worst_endings(automaton)[node] < left:
        return mask
    within, loop = mask.clone(), automaton.any_next[node]
    if loop is not None and fewest[loop] >= left:
        within[:] = False
        within[list(automaton.edges[node])] = True
    within[
        [token for token, n in automaton.edges[node].items() if n != END and fewest[n] >= left]
    ] = False
    return within if within.any() else mask


def forced_token(automaton: Automaton, state: int, left: int) -> int | None:
    """The only token that may follow, as `legal_tokens` says; None where the model has a choice."""
    token = automaton.forced(state)
    if token is not None or _worst_endings(automaton)[state % len(automaton.edges)] < left:
        return token
    legal = legal_tokens(automaton, state, left).nonzero().flatten().tolist()
    return legal[0] if len(legal) == 1 else None


@lru_cache(maxsize=512)
def _worst_endings(automaton: Automaton) -> tuple[int, ...]:
    """By node, the fewest tokens to the end after the token that leads away from it most."""
    fewest = shortest_endings(automaton)
    return tuple(
        max((fewest[n] for n in _following(automaton, node) if n != END), default=0)
        for node in range(len(fewest))
    )


def _following(automaton: Automaton, node: int) -> set[int]:
    loop = automaton.any_next[node]
    return {*automaton.edges[node].values(), *(() if loop is None else (loop,))}
