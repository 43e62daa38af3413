"""The grammar of an answer for servers that constrain decoding themselves: llguidance (Lark) and xgrammar (EBNF).

    automaton = compile_grammar(task.grammar(annotation), tokenizer)
    to_lark(automaton)      # start: n0 / n0: <[29]> n1 / n1: <[274-282,1231-2220]> n2 / ...
    to_ebnf(automaton)      # root ::= n0 / n0 ::= Token(29) n1 / ...
    fault(automaton, ids)   # what neither can say of what a server wrote: '' where the answer is legal

Both are written over token ids, a rule for each node, so that a number is one token and no word can spell it. Two laws
of ours are beyond such a grammar and are looked at afterwards: the second corner of a box lies behind the first (a rule
would be needed for each of a million first corners), and an end stays within reach of the limit of tokens.
https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md, https://xgrammar.mlc.ai
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from vista.decoding.automaton import END, Automaton

WriteSet = Callable[[Sequence[int]], str]  # sorted token ids -> any one of them


def to_lark(automaton: Automaton) -> str:
    """A grammar of llguidance; its ranges of token ids need version 1.0 or newer."""
    return _write(automaton, "start", ":", lambda tokens: f"<[{','.join(_ranges(tokens))}]>")


def to_ebnf(automaton: Automaton) -> str:
    """A grammar of xgrammar; its sets of token ids need version 0.2 or newer."""
    return _write(automaton, "root", " ::=", lambda tokens: f"Token({', '.join(map(str, tokens))})")


def fault(automaton: Automaton, token_ids: Iterable[int]) -> str:
    """Why an answer is illegal that a server wrote under one of the grammars; empty where it is legal.

    Args:
        automaton: that the grammar was written from.
        token_ids: the answer, the end-of-sequence token included where it was written.
    """
    state = 0
    for index, token in enumerate(token_ids):
        if state == END:
            return f"token {index} comes after the end"
        node = state % len(automaton.edges)
        try:
            state = automaton.step(state, token)
        except ValueError:
            if node in automaton.exceeds and token in automaton.edges[node]:
                return f"token {index}: the second corner of a box does not lie behind the first"
            return f"token {index} is not allowed there"
    return "" if state == END else "it was cut before its end"


def _write(automaton: Automaton, start: str, is_: str, write_set: WriteSet) -> str:
    """A rule for each node, and one for each set of tokens, which many nodes share."""
    sets: dict[tuple[int, ...], str] = {}
    rules = []
    for node in range(len(automaton.edges)):
        alternatives = []
        for target, tokens in _by_target(automaton, node).items():
            if target == END:
                alternatives.append('""')
            else:
                name = sets.setdefault(tuple(sorted(tokens)), f"t{len(sets)}")
                alternatives.append(f"{name} n{target}")
        rules.append(f"n{node}{is_} {' | '.join(alternatives)}")
    named = [f"{name}{is_} {write_set(tokens)}" for tokens, name in sets.items()]
    return "\n".join([f"{start}{is_} n0", *rules, *named]) + "\n"


def _by_target(automaton: Automaton, node: int) -> dict[int, list[int]]:
    """The tokens that lead from a node, by the node that they lead to."""
    tokens = defaultdict(list)
    edges, loop = automaton.edges[node], automaton.any_next[node]
    for token, target in edges.items():
        tokens[target].append(token)
    if loop is not None:
        named = automaton.never | edges.keys()
        tokens[loop] += (t for t in range(automaton.vocab_size) if t not in named)
    return tokens


def _ranges(tokens: Sequence[int]) -> list[str]:
    """Runs of ids: 3, 4, 5, 9 -> 3-5, 9."""
    runs: list[list[int]] = []
    for token in tokens:
        if runs and token == runs[-1][1] + 1:
            runs[-1][1] = token
        else:
            runs.append([token, token])
    return [str(low) if low == high else f"{low}-{high}" for low, high in runs]
