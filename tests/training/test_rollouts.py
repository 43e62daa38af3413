"""Groups of answers: drawn under the grammar, and as likely when they are learned from as when they were drawn."""

from dataclasses import replace

import pytest
import torch

from tests.decoding.test_greedy import GRAMMARS, LIMIT, QUESTIONS
from tests.tiny import QUERIES, ask, picture, tiny_model, tokenizer
from vista.decoding.automaton import END
from vista.decoding.grammar import compile_grammar
from vista.decoding.greedy import generate
from vista.tokens.batch import collate, encode_example
from vista.tokens.batch_types import Example
from vista.training.rollouts import draw_answers, questions_of, token_log_probs

GROUP = 3
AUTOMATA = [compile_grammar(grammar, tokenizer()) for grammar in GRAMMARS]
ASKED = [QUESTIONS[k % len(QUESTIONS)] for k in range(len(GRAMMARS))]
SEEDS = [(0, 5, position) for position in range(len(GRAMMARS))]


def draw(model, which=None, temperature=1.0):
    which = range(len(GRAMMARS)) if which is None else which
    batch = ask(*(ASKED[k] for k in which))
    automata = [AUTOMATA[k] for k in which]
    seeds = [SEEDS[k] for k in which]
    limits = [LIMIT] * len(automata)
    return draw_answers(model, batch, automata, limits, seeds, GROUP, temperature)


@pytest.mark.parametrize("groups", [1, 3])
def test_tokens_are_as_likely_as_when_they_were_drawn(groups):
    """Forced ones have no probability; rows of any grammar, length and number of images in one batch."""
    model = tiny_model()
    model.length_groups = groups
    rollout = draw(model)
    answers, found = rollout.answers, token_log_probs(model, rollout)
    for index, answer in enumerate(answers):
        own = found.log_probs[found.answer == index]
        assert own.tolist() == pytest.approx(answer.log_probs, abs=2e-5)
        assert len(own) == len(answer.log_probs) <= len(answer.token_ids)
    assert len(answers[GROUP * 5].log_probs) == 0  # the grammar of a single word
    found.log_probs.sum().backward()
    assert model.query_tokens.grad.isfinite().all() and model.query_tokens.grad.any()


def test_a_temperature_is_of_drawing_and_of_the_policy():
    """At 0.5 log-probabilities are those of the doubled logits; entropies are the distributions' own."""
    model = tiny_model()
    rollout = draw(model, temperature=0.5)
    answers = rollout.answers
    assert [a.token_ids for a in answers] != [a.token_ids for a in draw(model).answers]
    with torch.no_grad():
        found = token_log_probs(model, rollout)
        head = model.language_model.get_output_embeddings()
        original = head.forward  # its weights are those of the inputs, too
        head.forward = lambda hidden: 2 * original(hidden)
        doubled = token_log_probs(model, replace(rollout, temperature=1.0))
    assert torch.allclose(found.log_probs, doubled.log_probs, atol=1e-5)
    assert torch.allclose(found.entropies, doubled.entropies, atol=1e-5)
    box = [k for k in range(len(answers)) if k // GROUP == 1]
    of_boxes = found.entropies[torch.isin(found.answer, torch.tensor(box))]
    assert (of_boxes > 0).all() and (of_boxes <= torch.tensor(1000.0).log()).all()


def test_answers_depend_on_their_own_seeds_alone():
    """In another batch, and beside other questions, the same ones are drawn; those of a group differ."""
    model = tiny_model()
    together = draw(model).answers
    for k in range(len(GRAMMARS)):
        ids = [answer.token_ids for answer in draw(model, [k]).answers]
        assert ids == [a.token_ids for a in together[k * GROUP : (k + 1) * GROUP]]
    assert len({tuple(a.token_ids) for a in together[GROUP : 2 * GROUP]}) == GROUP


def test_all_that_is_drawn_is_legal():
    rollout = draw(tiny_model(), temperature=2.0)
    for answer, open_tokens in zip(rollout.answers, rollout.open_tokens, strict=True):
        ended = answer.state == END
        assert ended == answer.automaton.accepts(answer.token_ids)
        assert all(legal[answer.token_ids[position]] for position, legal in open_tokens)
        assert len(open_tokens) == len(answer.log_probs)


def test_copies_of_greedy_answers_are_the_answer():
    model, batch = tiny_model(), ask(*ASKED)
    once = generate(model, batch, AUTOMATA, LIMIT)
    for rows in (1, 2, 64):
        thrice = generate(model, batch, AUTOMATA, LIMIT, max_rows=rows, copies=GROUP)
        wanted = [answer.token_ids for answer in once for _ in range(GROUP)]
        assert [answer.token_ids for answer in thrice] == wanted


def test_a_training_sample_is_asked_without_its_last_answer():
    """Of a conversation the earlier answers stay; the padding of a batch goes, too."""
    turns = (("<image> what ?", "a circle"), ("which color ?", "red"))
    examples = [
        Example(("a",), turns),
        Example(("b",), turns[:1]),
        Example(("b",), turns + turns[1:]),
    ]
    samples = [encode_example(example, tokenizer()) for example in examples]
    pictures = {name: picture(name) for name in "ab"}
    questions = questions_of(collate(samples, pictures, tokenizer(), QUERIES))
    asked = [encode_example(example, tokenizer(), answer=False) for example in examples]
    wanted = collate(asked, pictures, tokenizer(), QUERIES)
    for k in range(3):
        kept = questions["input_ids"][k][questions["attention_mask"][k].bool()]
        assert kept.tolist() == wanted["input_ids"][k][wanted["attention_mask"][k].bool()].tolist()
