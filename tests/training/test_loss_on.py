"""`loss_on: free`: only the tokens that a grammar leaves open are learned."""

import pytest

from tests.tiny import tokenizer
from vista.decoding.free_tokens import learn_free_tokens
from vista.decoding.grammar import Choice, Regions, Text, compile_grammar
from vista.tokens.batch import IGNORE, encode_example
from vista.tokens.batch_types import Example


def learned(target: str, *grammar) -> list[int]:
    example = Example(("a",), (("<image> where?", target),))
    sample = learn_free_tokens(
        encode_example(example, tokenizer()), compile_grammar(grammar, tokenizer())
    )
    return [label for label in sample.labels if label != IGNORE]


def test_of_a_box_only_the_numbers_are_learned():
    numbers = [tokenizer().number_ids[n] for n in (12, 345, 678, 901)]
    assert learned("[12, 345, 678, 901]", Regions(numbers=4)) == numbers


def test_of_words_everything_is_learned():
    assert learned("a red circle.", Text()) == [
        *tokenizer().encode("a red circle."),
        tokenizer().eos_id,
    ]


def test_of_a_choice_only_the_word_that_decides_is_learned():
    assert learned(
        "That is True.", Choice(("That is True.", "That is False."))
    ) == tokenizer().encode("True")


def test_an_answer_that_is_not_legal_is_refused():
    with pytest.raises(ValueError, match="not allowed"):
        learned("a red circle.", Regions(numbers=4))
