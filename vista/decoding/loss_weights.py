"""What each token of an answer weighs in the loss: alike, or by what it decides.

    [ 104 , 250 , 396 , 541 ] </s>        one decision, a box: four tokens share it
    That is True . </s>                   one decision, one word
    The images are 2 and 3 . The masks are [ ... ] <msep> [ ... ] . </s>      three: a pair, two masks

An answer is cut at its brackets. What its grammar leaves open between two brackets is a decision (a word, a letter, a
caption, "none", "another one"), what it leaves open inside one is another (a point, a box, a mask). The rest is form.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from vista.decoding.automaton import END
from vista.decoding.grammar import Grammar, compile_grammar
from vista.tokens.batch import IGNORE, Sample
from vista.tokens.tokenizer import Tokenizer

LossPer = Literal["token", "decision"]
Kind = Literal["words", "numbers", "form"]
# Of an answer's weight, so that a model can be decoded without the grammar, too. docs/ablations.md
FORM_SHARE = 0.05


class Role(NamedTuple):
    """What a token does in its answer."""

    kind: Kind
    part: int  # counts the brackets' edges before the token


def token_roles(sample: Sample, grammar: Grammar, tokenizer: Tokenizer) -> list[Role]:
    """The role of each learned token of a sample.

    Args:
        sample: a conversation with its answers.
        grammar: of an answer.
        tokenizer: whose brackets cut an answer.

    Raises:
        ValueError: an answer is not legal.
    """
    automaton = compile_grammar(grammar, tokenizer)
    opening = (tokenizer.open_id, tokenizer.bare_open_id)
    roles, state, part, inside, first = [], 0, 0, False, False
    for token in sample.labels:
        if token == IGNORE:
            continue
        if automaton.forced(state) is not None:
            kind: Kind = "form"
        elif not inside or automaton.takes_words(state):
            kind = "words"
        else:
            decides_empty = first and bool(automaton.mask(state)[tokenizer.close_id])
            kind = "words" if decides_empty else "numbers"
        roles.append(Role(kind, part))
        first = token in opening
        inside = first or (inside and token != tokenizer.close_id)
        state = automaton.step(state, token)
        part += first or token == tokenizer.close_id or state == END
        if state == END:
            state, inside = 0, False  # the next turn's answer
    return roles


@dataclass(frozen=True, slots=True)
class LossWeights:
    """What a token of each kind weighs, in all answers of a source alike.

    Were the weight of each answer divided by its own length, then "none" would be many times likelier than any list of
    masks: what a token weighs must not depend on how the answer goes on.
    """

    words: float = 1.0
    numbers: float = 1.0
    form: float = 1.0

    @classmethod
    def by_decision(cls, answers: Sequence[Sequence[Role]]) -> "LossWeights":
        """Such that an answer weighs 1 on average, and all decisions of the answers weigh alike.

        Args:
            answers: the roles of the tokens of some answers of the source.
        """
        tokens = Counter(role.kind for role in chain.from_iterable(answers))
        decisions = Counter(role.kind for role in chain.from_iterable(map(set, answers)))
        form = tokens.pop("form", 0)
        total = decisions["words"] + decisions["numbers"]
        share = (1 - FORM_SHARE if form else 1.0) * len(answers) / max(1, total)  # of a decision
        weights = {kind: share * decisions[kind] / count for kind, count in tokens.items()}
        unseen = {"words": share, "numbers": share}
        return cls(**unseen | weights, form=FORM_SHARE * len(answers) / max(1, form))


def weigh_tokens(
    weights: Tensor, roles: Sequence[Sequence[Role]], by_source: Sequence[LossWeights]
) -> None:
    """Write what each token of a batch weighs in the loss.

    Args:
        weights: float (B, T), 1 where a token is learned, else 0; changed in place.
        roles: of the learned tokens of each sample.
        by_source: of each sample's source.
    """
    for row, own, source in zip(weights, roles, by_source, strict=True):
        learned = row > 0
        # A sample that cannot be used has roles, and no token is learned.
        if learned.any():
            row[learned] = torch.tensor([getattr(source, role.kind) for role in own])
