"""What a token weighs in the loss: by what the answer decides."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import tokenizer
from vista.decoding.grammar import (
    Choice,
    Grammar,
    Literal,
    Regions,
    Text,
    TextWithBoxes,
)
from vista.decoding.loss_weights import FORM_SHARE, LossWeights, Role, token_roles, weigh_tokens
from vista.tokens.batch import IGNORE, Sample, encode_example
from vista.tokens.batch_types import Example
from vista.tokens.tokenizer import Tokenizer

OPEN = 1 - FORM_SHARE
MASKS = (Regions(numbers=6, separator="<msep>", none=True),)  # three points each
PAIR = (
    Choice(("The images are 1 and 2. The masks are", "The images are 1 and 3. The masks are")),
    Regions(numbers=6, separator="<msep>", count=2, empty=True),
    Literal(".", glued=True),
)
MASK = "[1, 2, 3, 4, 5, 6]"


def sample(*targets: str) -> Sample:
    turns = tuple(("<image> where?" if k == 0 else "and?", t) for k, t in enumerate(targets))
    return encode_example(Example(("a",), turns), tokenizer())


def roles(grammar: Grammar, *targets: str, of: Tokenizer | None = None) -> list[Role]:
    return token_roles(sample(*targets), grammar, tokenizer())


def words_of(grammar: Grammar, kind: str, *targets: str) -> str:
    """The text of the tokens of a kind."""
    learned = [label for label in sample(*targets).labels if label != IGNORE]
    chosen = [
        t for t, role in zip(learned, roles(grammar, *targets), strict=True) if role.kind == kind
    ]
    return tokenizer().decode(chosen)


def weights(answers: Sequence[Sequence[Role]], which: int = 0) -> list[float]:
    """Of the tokens of one answer, of a source that has all of them."""
    source = LossWeights.by_decision(answers)
    return [getattr(source, role.kind) for role in answers[which]]


def test_the_numbers_of_a_box_share_its_decision():
    found = weights([roles((Regions(numbers=4),), "[12, 345, 678, 901]")])
    assert found == pytest.approx([FORM_SHARE / 3] + [OPEN / 4] * 4 + [FORM_SHARE / 3] * 2)


def test_of_words_every_token_weighs_alike():
    found = weights([roles((Text(),), "a red circle.")])
    assert found == pytest.approx([1 / len(found)] * len(found))


def test_of_a_choice_the_word_that_decides_has_all_the_weight():
    choice = (Choice(("That is True.", "That is False.")),)
    assert words_of(choice, "words", "That is True.") == "True"
    assert max(weights([roles(choice, "That is True.")])) == pytest.approx(OPEN)


def test_a_pair_weighs_as_much_as_a_mask():
    target = f"The images are 1 and 3. The masks are {MASK} <msep> [7, 8, 9, 10, 11, 12]."
    own = roles(PAIR, target)
    found = weights([own])
    by_part = {part: 0.0 for _, part in own}
    for role, weight in zip(own, found, strict=True):
        by_part[role.part] += weight if role.kind != "form" else 0.0
    # The pair; of each mask whether it is empty (with its first number), then the rest.
    assert words_of(PAIR, "words", target).replace(" ", "") in ("3[1,7", "317")
    assert [w for w in by_part.values() if w] == pytest.approx(
        [OPEN / 5, 2 * OPEN / 5, 2 * OPEN / 5]
    )


def test_none_weighs_as_much_as_the_first_bracket_it_stands_for():
    """However long the answer is that was not given."""
    answers = [roles(MASKS, ""), roles(MASKS, MASK), roles(MASKS, f"{MASK} <msep> {MASK}")]
    first = [weights(answers, which)[0] for which in range(3)]
    assert first == pytest.approx([first[0]] * 3)
    # 1 + 3 + 5 decisions of three answers.
    assert first[0] == pytest.approx(OPEN * 3 / 9)


def test_a_word_between_two_boxes_is_a_decision_of_its_own():
    grammar = (TextWithBoxes(),)
    own = roles(grammar, "a dog [1, 2, 3, 4] and a cat [5, 6, 7, 8]")
    assert (
        len({role for role in own if role.kind != "form"}) == 5
    )  # words, box, words, box, the end


def test_brackets_among_free_words_are_words():
    assert {role.kind for role in roles((Text(),), "the list [1, 2] is short")} == {"words"}


def test_each_turn_of_a_conversation_decides_for_itself():
    own = roles((Text(),), "yes", "a red circle")
    assert {role.part for role in own} == {0, 1}


def test_an_answer_that_is_not_legal_is_refused():
    with pytest.raises(ValueError, match="not allowed"):
        roles((Regions(numbers=4),), "a red circle.")


ANSWERS = st.integers(0, 3).map(lambda k: f"{MASK} <msep> " * (k - 1) + MASK if k else "")


@given(st.lists(ANSWERS, min_size=1, max_size=6))
def test_an_answer_weighs_one_on_average(targets):
    answers = [roles(MASKS, target) for target in targets]
    total = sum(sum(weights(answers, which)) for which in range(len(answers)))
    assert total / len(answers) == pytest.approx(1.0)


def test_a_kind_that_no_probe_showed_weighs_a_decision():
    assert LossWeights.by_decision([roles(MASKS, "")]).numbers == pytest.approx(1.0)
    assert LossWeights.by_decision([]) == LossWeights(0.0, 0.0, 0.0)


def test_tokens_of_a_batch_are_weighed_where_they_are_learned():
    weights = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    own = [[Role("words", 0), Role("form", 0)], [Role("words", 0)], [Role("numbers", 1)]]
    weigh_tokens(weights, own, [LossWeights(0.5, 0.25, 0.125)] * 3)
    assert weights.tolist() == [[0, 0.5, 0.125], [0, 0, 0], [0, 0.25, 0]]
