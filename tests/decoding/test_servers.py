"""Grammars for servers: llguidance and xgrammar accept our legal answers and refuse what they can know to be illegal.

Both are extras (`servers`); `PYTHONPATH` may name a folder that holds them.
"""

import random
from functools import cache
from pathlib import Path

import pytest

from tasks import Task
from tests.decoding.test_grammar import BOXES, MASKS, walk
from tests.task_sources import ON_FORMATS, annotations
from vista.codec.codec import Codec
from vista.decoding.grammar import Choice, Literal, Regions, Text, TextWithBoxes, compile_grammar
from vista.decoding.servers import fault, to_ebnf, to_lark
from vista.tokens.tokenizer import Tokenizer

TOKENIZER = Tokenizer(Path(__file__).parents[2] / "configs/tiny/tokenizer")
DIGITS = Tokenizer(Path(__file__).parents[2] / "configs/tiny/tokenizer", number_tokens="digits")
BOX = Regions(numbers=4, num_bins=100)
GRAMMARS = {
    "box": (BOX,),
    "boxes": (BOXES,),
    "masks": MASKS,
    "choice": (Literal("The answer is"), Choice(("yes", "no", "(A) a dog"))),
    "text": (Text(),),
    "caption": (TextWithBoxes(num_bins=100),),
}


class Words:
    """A vocabulary for llguidance; what the tokens spell does not matter to a grammar of ids."""

    def __init__(self, tokenizer):
        self.eos_token_id, self.bos_token_id = tokenizer.eos_id, tokenizer.bos_id
        self.tokens = spelled(tokenizer)
        self.special_token_ids = [tokenizer.eos_id]

    def __call__(self, text):
        return []


def spelled(tokenizer):
    return [f"token {token};".encode() for token in range(len(tokenizer))]


@cache
def of_llguidance(tokenizer):
    library = pytest.importorskip("llguidance", reason="the extra `servers` is not installed")
    vocabulary = library.LLTokenizer(library.TokenizerWrapper(Words(tokenizer)))

    def prepare(automaton):
        grammar = library.LLMatcher.grammar_from_lark(to_lark(automaton))
        matcher = library.LLMatcher(vocabulary, grammar)
        assert not matcher.is_error(), matcher.get_error()

        def accepts(ids):
            own = matcher.deep_copy()
            return own.try_consume_tokens(ids[:-1]) == len(ids) - 1 and own.is_accepting()

        return accepts

    return prepare


@cache
def of_xgrammar(tokenizer):
    library = pytest.importorskip("xgrammar", reason="the extra `servers` is not installed")
    info = library.TokenizerInfo(
        spelled(tokenizer),
        vocab_type=library.VocabType.RAW,
        vocab_size=len(tokenizer),
        stop_token_ids=[tokenizer.eos_id],
    )

    def prepare(automaton):
        grammar = library.Grammar.from_ebnf(to_ebnf(automaton))
        compiled = library.GrammarCompiler(info).compile_grammar(grammar)

        def accepts(ids):
            matcher = library.GrammarMatcher(compiled)
            return all(map(matcher.accept_token, ids)) and matcher.is_terminated()

        return accepts

    return prepare


SERVERS = {"llguidance": of_llguidance, "xgrammar": of_xgrammar}


@pytest.fixture(params=SERVERS)
def server(request):
    return SERVERS[request.param]


def answers(grammar, count, tokenizer=TOKENIZER):
    """Token ids of random legal answers."""
    rng, found = random.Random(0), []
    while len(found) < count:
        if (text := walk(grammar, tokenizer, rng, limit=150)) is not None:
            found.append(tokenizer.encode(text, eos=True))
    automaton = compile_grammar(grammar, tokenizer)
    return [ids for ids in found if automaton.accepts(ids)]


def box(numbers):
    return [*TOKENIZER.bracket_ids(numbers), TOKENIZER.eos_id]


def numbers_of(rng, count, most=99):
    return [rng.randrange(most) for _ in range(count)]


def spoiled(kind, rng):
    """An illegal answer to the question for a box of 100 bins."""
    x, y = rng.randrange(50), rng.randrange(50)
    right = box([x, y, x + 1 + rng.randrange(49), y + 1 + rng.randrange(49)])
    if kind == "too few numbers":
        return box(numbers_of(rng, rng.choice((0, 2))))
    if kind == "too many numbers":
        return box(numbers_of(rng, 6))
    if kind == "a number beyond the bins":
        return box([x, y, 100 + rng.randrange(900), 99])
    if kind == "words instead":
        return TOKENIZER.encode(rng.choice(("the dog", "here", "none at all")), eos=True)
    if kind == "words behind it":
        return [*right[:-1], *TOKENIZER.encode("or so"), TOKENIZER.eos_id]
    if kind == "cut":
        return [*right[: rng.randrange(len(right) - 1)], TOKENIZER.eos_id]
    if kind == "a token left out":
        index = rng.randrange(len(right) - 1)
        return right[:index] + right[index + 1 :]
    assert kind == "two boxes"
    return [*right[:-1], *right]


KINDS = (
    "too few numbers", "too many numbers", "a number beyond the bins", "words instead", "words behind it", "cut",
    "a token left out", "two boxes",
)  # fmt: skip


@pytest.mark.parametrize("name", GRAMMARS)
def test_a_thousand_legal_answers_are_accepted(server, name):
    accepts = server(TOKENIZER)(compile_grammar(GRAMMARS[name], TOKENIZER))
    legal = answers(GRAMMARS[name], 1000 if name != "text" else 200)
    assert len(legal) > 0.9 * (1000 if name != "text" else 200)
    assert all(accepts(ids) for ids in legal)


@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_illegal_answers_of_a_kind_are_refused(server, kind):
    automaton, rng = compile_grammar((BOX,), TOKENIZER), random.Random(0)
    accepts = server(TOKENIZER)(automaton)
    illegal = [spoiled(kind, rng) for _ in range(1000)]
    assert all(fault(automaton, ids) for ids in illegal)
    assert not any(accepts(ids) for ids in illegal)


def test_a_word_that_is_no_option_is_refused(server):
    accepts = server(TOKENIZER)(compile_grammar(GRAMMARS["choice"], TOKENIZER))
    for text in ("The answer is maybe", "yes", "The answer is yes yes", "The answer is"):
        assert not accepts(TOKENIZER.encode(text, eos=True))


def test_digits_one_by_one(server):
    """Where numbers have no tokens of their own, the form of a number is all that is known."""
    accepts = server(DIGITS)(compile_grammar((BOX,), DIGITS))
    assert all(accepts(ids) for ids in answers((BOX,), 300, DIGITS))
    for text in ("[1, 2, 3, 100]", "[01, 2, 3, 4]", "[1, 2, 3]", "[1, 2, 3, 4"):
        assert not accepts(DIGITS.encode(text, eos=True))


@pytest.mark.parametrize(("name", "dataset", "split"), ON_FORMATS)
def test_the_target_of_every_task_is_accepted(server, name, dataset, split):
    task = Task.known[name](Codec())
    for annotation in annotations(name, dataset, split)[:3]:
        automaton = compile_grammar(task.grammar(annotation), TOKENIZER)
        ids = TOKENIZER.encode(task.target(annotation), eos=True)
        assert server(TOKENIZER)(automaton)(ids) and not fault(automaton, ids)


def test_what_they_cannot_say_is_said_afterwards(server):
    automaton = compile_grammar((BOX,), TOKENIZER)
    accepts = server(TOKENIZER)(automaton)
    swapped = box([50, 50, 40, 60])
    assert accepts(swapped), "a grammar of tokens cannot compare two numbers"
    assert "second corner" in fault(automaton, swapped)


def test_faults_by_hand():
    automaton = compile_grammar((BOX,), TOKENIZER)
    right = box([1, 2, 3, 4])
    assert fault(automaton, right) == ""
    assert fault(automaton, right[:-1]) == fault(automaton, []) == "it was cut before its end"
    assert fault(automaton, [*right, 5]) == f"token {len(right)} comes after the end"
    assert fault(automaton, [5]) == "token 0 is not allowed there"
    assert "token 7" in fault(automaton, box([9, 2, 3, 4])), "of [ 9 , _ 2 , _ 3"


def test_the_text_of_a_grammar_by_hand():
    automaton = compile_grammar((Choice(("yes",)),), TOKENIZER)
    chain = TOKENIZER.encode("yes")
    rules = [f"n{k}: t{k} n{k + 1}" for k in range(len(chain))] + [f'n{len(chain)}: ""']
    sets = [f"t{k}: <[{token}]>" for k, token in enumerate(chain)]
    assert to_lark(automaton).splitlines() == ["start: n0", *rules, *sets]
    ebnf = to_ebnf(automaton).splitlines()
    assert (
        ebnf[:2] == ["root ::= n0", "n0 ::= t0 n1"]
        and ebnf[-1] == f"t{len(chain) - 1} ::= Token({chain[-1]})"
    )
