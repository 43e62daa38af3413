"""Coordinates read as the median of their distribution: against twins that count, and where nothing may change."""

import re
import statistics
from collections.abc import Mapping
from itertools import accumulate

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.decoding.test_greedy import GRAMMARS, LIMIT, QUESTIONS, eager_to_end
from tests.tiny import ROOT, ask, logits_of, tiny_model, tokenizer
from vista.decoding.automaton import END
from vista.decoding.coordinates import NextCoordinates
from vista.decoding.decoder import Decoder, Decoding
from vista.decoding.grammar import Choice, Grammar, Regions, Text, compile_grammar
from vista.decoding.greedy import generate
from vista.decoding.hypothesis import Hypothesis
from vista.models.vistallm import VistaLLM
from vista.tokens.tokenizer import Tokenizer

EVERYWHERE = Tokenizer(ROOT / "configs/tiny/tokenizer", number_tokens="everywhere")
DIGITS = Tokenizer(ROOT / "configs/tiny/tokenizer", number_tokens="digits")
POLYGON: Grammar = (Regions(numbers=6),)
MASK: Grammar = (Regions(numbers=6, empty=True),)


def opened(grammar: Grammar, t: Tokenizer, *numbers: int) -> Hypothesis:
    """An answer that stands in its first bracket, behind these numbers."""
    answer = Hypothesis(compile_grammar(grammar, t), 200)
    for token in t.bracket_ids(numbers)[len(answer.token_ids) : -1]:
        answer._push(token)
    answer._append_forced()
    return answer


def chosen(answer: Hypothesis, weights: Mapping[int, float]) -> int:
    """The token that is read where tokens have these weights."""
    log_probs = torch.full((1, answer.automaton.vocab_size), -torch.inf)
    log_probs[0, list(weights)] = torch.tensor(list(weights.values())).float().log()
    log_probs = log_probs.masked_fill(~answer.legal(), -torch.inf).log_softmax(1)
    return int(NextCoordinates([answer], log_probs).read_medians(log_probs.argmax(1))[0])


def chosen_number(weights: Mapping[int, float], t: Tokenizer) -> int:
    """The same of numbers behind the bracket of a polygon, whose numbers are all legal."""
    by_token = {t.number_ids[number]: weight for number, weight in weights.items()}
    return t.number_ids.index(chosen(opened(POLYGON, t), by_token))


@given(st.dictionaries(st.integers(0, 999), st.integers(1, 9), min_size=1, max_size=12))
def test_equals_the_median_of_numbers_written_as_often_as_they_weigh(weights):
    total = sum(weights.values())
    cumulated = accumulate(weights[number] for number in sorted(weights))
    assume(all(2 * below != total for below in cumulated))
    written = [number for number, weight in weights.items() for _ in range(weight)]
    for layout in ("compact", "paper"):
        assert chosen_number(weights, tokenizer(layout)) == statistics.median(written)


@given(st.sets(st.integers(0, 999), min_size=1, max_size=400))
def test_of_two_medians_the_lower_is_taken(numbers):
    assert chosen_number(dict.fromkeys(numbers, 1), tokenizer()) == statistics.median_low(numbers)


@given(st.integers(0, 999), st.integers(0, 999))
def test_a_certain_coordinate_is_its_mode(number, other):
    assert chosen_number({other: 1e-30, number: 1.0}, tokenizer()) == number


def test_only_legal_numbers_count():
    t = tokenizer("paper")
    weights = {t.number_ids[number]: 1 for number in (100, 200, 300, 400, 500)}
    assert chosen(opened((Regions(4),), t), weights) == t.number_ids[300]
    # The second corner lies behind the first: of 400 and 500 the lower.
    assert chosen(opened((Regions(4),), t, 320, 10), weights) == t.number_ids[400]


def test_what_is_likelier_than_any_number_stays():
    """The likeliest token decides between kinds: all numbers together do not outvote a closing bracket."""
    t = tokenizer()
    numbers = {t.number_ids[100]: 0.25, t.number_ids[200]: 0.22, t.number_ids[300]: 0.23}
    assert chosen(opened(MASK, t), numbers | {t.close_id: 0.3}) == t.close_id
    assert chosen(opened(MASK, t), numbers | {t.close_id: 0.2}) == t.number_ids[200]


@pytest.mark.parametrize("t", [tokenizer("paper"), tokenizer("compact"), EVERYWHERE])
def test_free_words_know_where_a_bracket_has_a_coordinate(t):
    """Behind `[`, or behind a comma within; a number among words is none, nor are the digits of another one."""
    text = "2 of 37 dogs, 4 [104, 250, 9, 541] and 5, 6 [1, 2]. 7"
    ids, numbers = t.encode(text), set(t.number_ids)
    answer, coordinates = Hypothesis(compile_grammar((Text(),), t), 200), []
    for token in ids:
        if token in numbers and answer.automaton.asks_coordinate(answer.state):
            coordinates.append(t.number_ids.index(token))
        answer._push(token)
    assert coordinates == [104, 250, 9, 541, 1, 2]
    words = {t.number_ids[number]: 1 + (number == 3) / 2 for number in (3, 7, 8)}
    assert chosen(answer, words) == t.number_ids[3]
    assert chosen(opened((Text(),), t), words) == t.number_ids[7]


def test_numbers_to_choose_from_and_digits_are_no_coordinates():
    automaton = compile_grammar((Choice(("10", "20", "30")),), EVERYWHERE)
    answer = Hypothesis(automaton, 8)
    weights = {EVERYWHERE.number_ids[number]: 1 + (number == 10) / 2 for number in (10, 20, 30)}
    assert chosen(answer, weights) == EVERYWHERE.number_ids[10]
    for grammar in (POLYGON, (Text(),)):
        written = opened(grammar, DIGITS)
        assert not written.automaton.asks_coordinate(written.state)


def slowly(model: VistaLLM, batch: dict[str, Tensor], grammar: Grammar, limit: int) -> list[int]:
    """One question, one token at a time without a cache; what a coordinate is, is read off the text."""
    t = tokenizer()
    automaton = compile_grammar(grammar, t)
    state, answer = 0, []
    while state != END and len(answer) < limit:
        ids = torch.cat([batch["input_ids"], torch.tensor([answer], dtype=torch.long)], dim=1)
        whole = batch | {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        legal = automaton.legal_tokens(state, limit - len(answer))
        logits = logits_of(model, whole)[0, -1].masked_fill(~legal, -torch.inf)
        token = int(logits.argmax())
        if token in t.number_ids and re.search(r"\[(\d+, )*\d+$", t.decode([*answer, token])):
            probs = logits[t.number_ids].double().softmax(0).tolist()
            below = list(accumulate(probs))
            token = t.number_ids[next(n for n in range(1000) if below[n] >= below[-1] / 2)]
        answer.append(token)
        state = automaton.step(state, token)
    return answer


def writes_brackets(seed: int, sharpness: float = 3.0) -> VistaLLM:
    """A model of random weights that is fond of brackets and of every fortieth number."""
    model, t = tiny_model(seed), tokenizer()
    head = model.language_model.get_output_embeddings()
    original = head.forward
    bias = torch.zeros(head.weight.shape[0])
    bias[[t.open_id, t.close_id]] = 5.0
    bias[t.number_ids[::40]] = 4.0

    def forward(hidden: Tensor) -> Tensor:
        return sharpness * (original(hidden) + bias)

    head.forward = forward
    return model


@torch.no_grad()
@pytest.mark.parametrize("seed", [2, 4])
def test_equals_a_plain_loop_token_for_token(seed):
    model = writes_brackets(seed)
    automata = [compile_grammar(grammar, tokenizer()) for grammar in GRAMMARS]
    questions = [QUESTIONS[i % len(QUESTIONS)] for i in range(len(GRAMMARS))]
    answers = generate(model, ask(*questions), automata, LIMIT, coordinates="median")
    modes = generate(model, ask(*questions), automata, LIMIT)
    for question, grammar, answer in zip(questions, GRAMMARS, answers, strict=True):
        assert answer.token_ids == slowly(model, ask(question), grammar, LIMIT)
    free = answers[0]
    assert "[" in tokenizer().decode(free.token_ids) and free.spreads, "words with a coordinate"
    assert sum(a.token_ids != b.token_ids for a, b in zip(answers, modes, strict=True)) >= 2


DRAWN = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(1, 20)), min_size=1, max_size=5
)


@torch.no_grad()
@settings(max_examples=25)
@given(DRAWN)
def test_a_batch_answers_as_each_question_alone(drawn):
    model = writes_brackets(seed=len(drawn))
    automata = [compile_grammar(GRAMMARS[g], tokenizer()) for _, g, _ in drawn]
    limits = [limit for _, _, limit in drawn]
    questions = [QUESTIONS[q] for q, _, _ in drawn]
    together = generate(model, ask(*questions), automata, limits, coordinates="median")
    waiting = generate(model, ask(*questions), automata, limits, max_rows=2, coordinates="median")
    for question, machine, limit, one, other in zip(
        questions, automata, limits, together, waiting, strict=True
    ):
        (alone,) = generate(model, ask(question), [machine], limit, coordinates="median")
        assert alone.token_ids == one.token_ids == other.token_ids


@torch.no_grad()
@settings(max_examples=25)
@given(DRAWN)
def test_a_model_that_is_certain_answers_by_its_modes(drawn):
    model = writes_brackets(seed=len(drawn), sharpness=1e9)
    automata = [compile_grammar(GRAMMARS[g], tokenizer()) for _, g, _ in drawn]
    limits = [limit for _, _, limit in drawn]
    batch = ask(*(QUESTIONS[q] for q, _, _ in drawn))
    modes = generate(model, batch, automata, limits)
    medians = generate(model, batch, automata, limits, coordinates="median")
    assert [a.token_ids for a in medians] == [a.token_ids for a in modes]


@torch.no_grad()
@pytest.mark.parametrize("layout", ["paper", "compact"])
@pytest.mark.parametrize("seed", range(3))
def test_no_grammar_is_broken(layout, seed):
    model = eager_to_end(tiny_model(seed))
    for grammar in GRAMMARS:
        automaton = compile_grammar(grammar, tokenizer(layout))
        for limit in (14, 30, 60):
            limit = max(limit, automaton.shortest_endings[0])
            batch = ask(*QUESTIONS, layout=layout)
            for answer in generate(model, batch, [automaton] * 4, limit, coordinates="median"):
                assert automaton.accepts(answer.token_ids)
                assert len(answer.token_ids) <= limit


@pytest.mark.parametrize(
    ("settings", "t", "sentence"),
    [
        ({"coordinates": "mean"}, tokenizer(), "coordinates is 'mean'; it must be mode or median"),
        ({"num_beams": 2}, tokenizer(), "with num_beams 2 and temperature 0.0 take .* mode"),
        ({"temperature": 0.5}, tokenizer(), "with num_beams 1 and temperature 0.5 take .* mode"),
        ({}, DIGITS, "needs one token per number; with number_tokens digits take .* mode"),
    ],
)
def test_what_has_no_median_is_refused(settings, t, sentence):
    with pytest.raises(ValueError, match=sentence):
        Decoder(t, Decoding(**{"coordinates": "median"} | settings))
