"""Beam search against transformers and against all answers there are; options against whole sequences."""

import pytest
import torch

from tests.decoding.test_greedy import GRAMMARS, LIMIT, QUESTIONS, eager_to_end
from tests.tiny import ask, logits_of, tiny_model, tokenizer
from vista.decoding.beam import beam_search
from vista.decoding.grammar import Choice, Literal, Regions, Text, compile_grammar
from vista.decoding.greedy import generate
from vista.decoding.options import option_probabilities

OPTIONS = ["red", "red cup", "The answer is (A).", "The answer is (B).", "no", "1", "10"]


def log_likelihood(model, question, tokens):
    """Of a whole answer, by one pass without a cache."""
    batch = ask(question)
    ids = torch.cat([batch["input_ids"], torch.tensor([tokens])], dim=1)
    logits = logits_of(model, batch | {"input_ids": ids, "attention_mask": torch.ones_like(ids)})[
        0, -len(tokens) - 1 : -1
    ]
    return logits.log_softmax(1).gather(1, torch.tensor(tokens)[:, None]).sum()


@torch.no_grad()
@pytest.mark.parametrize("eos", [True, False])
@pytest.mark.parametrize("max_rows", [3, 64])
def test_option_probabilities_equal_those_of_whole_sequences(eos, max_rows):
    model, t = tiny_model(1), tokenizer()
    texts = [OPTIONS, OPTIONS[2:4], [], OPTIONS[:1]]
    options = [[t.encode(text, eos=eos) for text in own] for own in texts]
    for i, probs in enumerate(option_probabilities(model, ask(*QUESTIONS), options, max_rows)):
        if texts[i]:
            expected = torch.stack(
                [log_likelihood(model, QUESTIONS[i], tokens) for tokens in options[i]]
            ).softmax(0)
            assert probs == pytest.approx(expected.tolist(), abs=1e-4)
        else:
            assert probs == []


@torch.no_grad()
def test_what_options_share_is_read_once():
    model, read = tiny_model(), []
    model.language_model.register_forward_pre_hook(
        lambda _, args, kwargs: read.append(tuple(kwargs["inputs_embeds"].shape[:2])),
        with_kwargs=True,
    )
    t = tokenizer()
    letters = [t.encode(f"The answer is ({letter}).", eos=True) for letter in "ABCD"]
    option_probabilities(model, ask(QUESTIONS[0]), [letters])
    prompt, rest = read
    assert prompt[0] == 1 and rest == (4, 3)  # the letter, `)` and `.`; the end is only asked for


@torch.no_grad()
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_free_text_equals_transformers_beam_search(seed, length_penalty):
    model, batch, t = eager_to_end(tiny_model(seed), 1.0), ask(*QUESTIONS), tokenizer()
    limit = 6
    expected = model.language_model.generate(
        inputs_embeds=model.embed(batch), attention_mask=batch["attention_mask"], max_new_tokens=limit, do_sample=False,
        num_beams=3, length_penalty=length_penalty, renormalize_logits=True, early_stopping=False,
        suppress_tokens=[t.bos_id, t.pad_id, t.image_id], eos_token_id=t.eos_id, pad_token_id=t.pad_id,
        forced_eos_token_id=t.eos_id,
    )  # fmt: skip
    answers = beam_search(
        model,
        batch,
        [compile_grammar((Text(),), t)] * 4,
        limit,
        num_beams=3,
        length_penalty=length_penalty,
    )
    width = expected.shape[1]
    assert [(a.token_ids + [t.pad_id] * width)[:width] for a in answers] == expected.tolist()


@torch.no_grad()
def test_enough_beams_find_the_likeliest_of_all_answers():
    model, t = tiny_model(2), tokenizer()
    automaton = compile_grammar((Choice(tuple(OPTIONS)),), t)
    answers = beam_search(model, ask(*QUESTIONS), [automaton] * 4, num_beams=16, length_penalty=0.0)
    for question, answer in zip(QUESTIONS, answers, strict=True):
        scores = {
            text: under_grammar(model, question, automaton, t.encode(text, eos=True))
            for text in OPTIONS
        }
        assert t.decode(answer.token_ids) == max(scores, key=scores.get)
        assert sum(answer.log_probs) == pytest.approx(max(scores.values()), abs=1e-4)


def under_grammar(model, question, automaton, tokens):
    """Log-likelihood among the legal tokens."""
    state, total = 0, 0.0
    for k, token in enumerate(tokens):
        batch = ask(question)
        ids = torch.cat([batch["input_ids"], torch.tensor([tokens[:k]], dtype=torch.long)], dim=1)
        logits = logits_of(
            model, batch | {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        )[0, -1]
        total += float(logits.masked_fill(~automaton.mask(state), -torch.inf).log_softmax(0)[token])
        state = automaton.step(state, token)
    return total


@torch.no_grad()
@pytest.mark.parametrize("layout", ["compact", "paper"])
def test_one_beam_is_greedy_and_beams_are_legal(layout):
    model, t = eager_to_end(tiny_model()), tokenizer(layout)
    automata = [compile_grammar(grammar, t) for grammar in GRAMMARS]
    batch = ask(*(QUESTIONS * 2)[:7], layout=layout)
    one, greedy = (
        beam_search(model, batch, automata, 30, num_beams=1),
        generate(model, batch, automata, 30),
    )
    assert [a.token_ids for a in one] == [a.token_ids for a in greedy]
    assert [a.spreads for a in one] == [pytest.approx(a.spreads, rel=1e-3) for a in greedy]
    few, many = (beam_search(model, batch, automata, 30, num_beams=3, max_rows=n) for n in (6, 64))
    assert [a.token_ids for a in few] == [a.token_ids for a in many]
    assert all(automaton.accepts(a.token_ids) for automaton, a in zip(automata, many, strict=True))


@torch.no_grad()
def test_beams_cost_a_step_for_each_free_token():
    model, calls = tiny_model(), []
    model.language_model.register_forward_hook(lambda *_: calls.append(1))
    t = tokenizer("paper")
    box, yes = (compile_grammar(g, t) for g in ((Regions(numbers=4),), (Literal("Yes"),)))
    answers = beam_search(model, ask(QUESTIONS[0], QUESTIONS[1], layout="paper"), [box, yes], LIMIT)
    assert (
        len(calls) == 4
        and len(answers[0].token_ids) == 13
        and t.decode(answers[1].token_ids) == "Yes"
    )
