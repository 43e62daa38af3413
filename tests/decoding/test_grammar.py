"""Answers are legal exactly where the grammar says so, and whatever it lets through can be read."""

import random
from pathlib import Path

import pytest

from vista.codec.codec import Codec
from vista.decoding.automaton import END
from vista.decoding.grammar import (
    Choice,
    Literal,
    Regions,
    Text,
    TextWithBoxes,
    compile_grammar,
)
from vista.tokens.tokenizer import Tokenizer

FOLDER = Path(__file__).parents[2] / "configs/tiny/tokenizer"
TOKENIZERS = {
    "paper": Tokenizer(FOLDER),
    "compact": Tokenizer(FOLDER, "compact"),
    "digits": Tokenizer(FOLDER, number_tokens="digits"),
}
BOX, BOXES = Regions(numbers=4), Regions(numbers=4, separator="<bsep>", none=True)
MASKS = (
    Literal("The masks are"),
    Regions(numbers=6, separator="<msep>", count=3, empty=True),
    Literal(".", glued=True),
)


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request):
    return TOKENIZERS[request.param]


def accepts(grammar, text, tokenizer):
    return compile_grammar(grammar, tokenizer).accepts(tokenizer.encode(text, eos=True))


def walk(grammar, tokenizer, rng, limit=400):
    """A random legal answer as text; None where it got too long."""
    automaton, state, ids = compile_grammar(grammar, tokenizer), 0, []
    while state != END:
        forced = automaton.forced(state)
        allowed = automaton.mask(state).nonzero().flatten().tolist()
        assert allowed and (forced is None or allowed == [forced])
        # The end is taken where there is one, now and then: a loop would hardly ever be left.
        token = (
            tokenizer.eos_id
            if tokenizer.eos_id in allowed and rng.random() < 0.3
            else rng.choice(allowed)
        )
        state = automaton.step(state, token)
        ids.append(token)
        if len(ids) > limit:
            return None
    assert automaton.accepts(ids)
    return tokenizer.decode(ids)


@pytest.mark.parametrize(("grammar", "legal", "illegal"), [
    ((BOX,), ["[0, 0, 1, 1]", "[104, 250, 396, 541]", "[998, 998, 999, 999]"],
     ["", "[1, 2, 3]", "[1, 2, 3, 4, 5]", "[1, 2, 3, 4] <bsep> [1, 2, 3, 4]", "box", "[]", "[1, 2, 3, 4"]),
    ((BOXES,), ["", "[1, 2, 30, 40]", " <bsep> ".join(["[1, 2, 30, 40]"] * 9)],
     ["[1, 2, 30, 40] <bsep>", "<bsep>", "."]),
    (MASKS, ["The masks are [1, 2, 3, 4, 5, 6] <msep> [] <msep> [600, 5, 4, 30, 2, 1]."],
     ["The masks are [].", "The masks are [] <msep> [] <msep> []", "The masks are [] <msep> [1, 2] <msep> []."]),
    ((Literal("The answer is"), Text()), ["The answer is 4.", "The answer is"], ["4", "The answer"]),
    ((Choice(("1", "10", "red", "red cup")),), ["1", "10", "red", "red cup"], ["", "1 0", "cup", "red cup red"]),
    ((TextWithBoxes(),), ["a man", "", "two men [1, 2, 30, 40] <bsep> [0, 0, 9, 9] in a shirt [5, 5, 6, 6] ."],
     ["a man [1, 2]", "a man [1, 2, 3, 4", "a man] ", "a ] man [1, 2, 30, 40]", "[sic]"]),
])  # fmt: skip
def test_legal_and_illegal(grammar, legal, illegal, tokenizer):
    assert [text for text in legal if not accepts(grammar, text, tokenizer)] == []
    assert [text for text in illegal if accepts(grammar, text, tokenizer)] == []


@pytest.mark.parametrize("name", ["paper", "compact"])
@pytest.mark.parametrize(
    "text", ["[5, 5, 5, 6]", "[5, 5, 6, 5]", "[9, 5, 4, 6]", "[5, 999, 6, 999]", "[999, 0, 999, 1]"]
)
def test_the_second_corner_lies_behind_the_first(name, text):
    for grammar in ((BOX,), (BOXES,), (TextWithBoxes(),)):
        assert not accepts(grammar, text, TOKENIZERS[name])
        assert not accepts(grammar, f"[1, 2, 30, 40] <bsep> {text}", TOKENIZERS[name])
    assert accepts((Regions(numbers=6),), "[5, 5, 5, 5, 5, 5]", TOKENIZERS[name]), (
        "a polygon may go anywhere"
    )


def test_a_box_needs_few_nodes():
    automaton = compile_grammar((BOX,), TOKENIZERS["compact"])
    for number in range(200):
        assert automaton.accepts(TOKENIZERS["compact"].encode(f"[{number}, 3, 500, 600]", eos=True))
    assert len(automaton.edges) == 7 and len(automaton._masks) <= 7


@pytest.mark.parametrize("grammar", [(BOX,), (BOXES,), MASKS, (Regions(6, "<msep>", none=True),)])
def test_whatever_is_legal_can_be_read(grammar, tokenizer):
    codec, rng = Codec(num_points=3), random.Random(0)
    boxes = grammar in ((BOX,), (BOXES,))
    if boxes and tokenizer is TOKENIZERS["digits"]:
        pytest.skip("the order of numbers in digits is left to the parser")
    for text in filter(None, (walk(grammar, tokenizer, rng) for _ in range(60))):
        regions, malformed = (codec.parse_boxes if boxes else codec.parse_masks)(text, (48, 64))
        assert not malformed and (len(regions) == 3 if grammar == MASKS else regions)


@pytest.mark.parametrize("num_bins", [10, 100, 500])
def test_numbers_stay_below_the_number_of_bins(num_bins):
    grammar = (Regions(numbers=4, num_bins=num_bins),)
    for name in ("paper", "compact"):
        assert accepts(grammar, f"[0, 0, {num_bins - 1}, 1]", TOKENIZERS[name])
        assert not accepts(grammar, f"[0, 0, {num_bins}, 1]", TOKENIZERS[name])
    assert not accepts(grammar, f"[0, 0, 1, {10 * num_bins}]", TOKENIZERS["digits"])


def test_digits_have_no_leading_zero():
    automaton, tokenizer = compile_grammar((BOX,), TOKENIZERS["digits"]), TOKENIZERS["digits"]
    opened = automaton.step(0, tokenizer.open_id)
    zero = automaton.step(opened, tokenizer.number_ids[0])
    assert automaton.forced(zero) == tokenizer.comma_id


def test_special_tokens_are_never_words(tokenizer):
    automaton = compile_grammar((Text(),), tokenizer)
    for token in (tokenizer.bos_id, tokenizer.pad_id, tokenizer.image_id):
        assert not automaton.mask(0)[token]
        with pytest.raises(ValueError, match="not allowed"):
            automaton.step(0, token)
    assert automaton.mask(0)[tokenizer.eos_id]
    unfinished = compile_grammar((Literal("yes"), Choice(("no",))), tokenizer)
    assert not unfinished.mask(0)[tokenizer.eos_id]


def test_words_after_the_end_are_refused(tokenizer):
    automaton = compile_grammar((Literal("yes"),), tokenizer)
    ids = tokenizer.encode("yes", eos=True)
    assert (
        automaton.accepts(ids)
        and not automaton.accepts([*ids, ids[0]])
        and not automaton.accepts(ids[:-1])
    )
