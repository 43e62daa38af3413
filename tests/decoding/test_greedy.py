"""Batched decoding with a cache and forced tokens against a loop that has neither, and against transformers."""

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.tiny import ask, logits_of, question, tiny_model, tokenizer
from vista.decoding import greedy as decoding
from vista.decoding.automaton import END
from vista.decoding.grammar import (
    Choice,
    Grammar,
    Literal,
    Regions,
    Text,
    TextWithBoxes,
    compile_grammar,
)
from vista.models.vistallm import VistaLLM

LIMIT = 24
MASKS = Regions(numbers=6, separator="<msep>", none=True)
GRAMMARS: list[Grammar] = [
    (Text(),),
    (Regions(numbers=4),),
    (MASKS,),
    (Choice(("That is True.", "That is False.", "Yes")),),
    (
        Literal("The masks are"),
        Regions(numbers=4, separator="<msep>", count=2, empty=True),
        Literal(".", glued=True),
    ),
    (Literal("Yes"),),
    (TextWithBoxes(),),
]
QUESTIONS = [
    question("<image> what is the color of the red circle on the left ?", "a"),
    question("<image> <image> is it true ?", "a", "b"),
    question("<image> where", "c"),
    question("<image> <image> <image> all of them", "a", "b", "c"),
]


def generate(*arguments: Any, **settings: Any) -> list[list[int]]:
    return [answer.token_ids for answer in decoding.generate(*arguments, **settings)]


def slowly(
    model: VistaLLM, batch: dict[str, Any], grammar: Grammar, layout: str, limit: int
) -> list[int]:
    """One sample, one token at a time, the whole sequence read again for each."""
    automaton = compile_grammar(grammar, tokenizer(layout))
    state, answer = 0, []
    while state != END and len(answer) < limit:
        ids = torch.cat([batch["input_ids"], torch.tensor([answer], dtype=torch.long)], dim=1)
        logits = logits_of(
            model, batch | {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        )[0, -1]
        legal = automaton.legal_tokens(state, limit - len(answer))
        answer.append(int(logits.masked_fill(~legal, -torch.inf).argmax()))
        state = automaton.step(state, answer[-1])
    return answer


def eager_to_end(model: VistaLLM, by: float = 1.5) -> VistaLLM:
    """Nudge the head towards the end token, so that some answers end and others do not."""
    head = model.language_model.get_output_embeddings()
    original = head.forward

    def forward(hidden: Tensor) -> Tensor:
        bias = torch.zeros(head.weight.shape[0])
        bias[tokenizer().eos_id] = by
        return original(hidden) + bias

    head.forward = forward
    return model


@torch.no_grad()
@pytest.mark.parametrize("layout", ["compact", "paper"])
def test_equals_a_plain_loop_token_for_token(layout):
    model = eager_to_end(tiny_model())
    automata = [compile_grammar(g, tokenizer(layout)) for g in GRAMMARS]
    questions = [QUESTIONS[i % len(QUESTIONS)] for i in range(len(GRAMMARS))]
    answers = generate(model, ask(*questions, layout=layout), automata, LIMIT)
    for q, grammar, answer in zip(questions, GRAMMARS, answers, strict=True):
        assert answer == slowly(model, ask(q, layout=layout), grammar, layout, LIMIT)
    assert len({len(a) for a in answers}) > 3  # they ended at different times


@torch.no_grad()
@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(1, 20)), min_size=1, max_size=5
    )
)
def test_a_batch_answers_as_each_question_alone(drawn):
    model = eager_to_end(tiny_model(seed=len(drawn)))
    automata = [compile_grammar(GRAMMARS[g], tokenizer()) for _, g, _ in drawn]
    limits = [limit for _, _, limit in drawn]
    questions = [QUESTIONS[q] for q, _, _ in drawn]
    left, right = (
        generate(model, ask(*questions, pad_left=p), automata, limits) for p in (True, False)
    )
    alone = [
        generate(model, ask(q), [a], n)[0]
        for q, a, n in zip(questions, automata, limits, strict=True)
    ]
    assert left == right == alone
    assert all(len(answer) <= n for answer, n in zip(left, limits, strict=True))


@torch.no_grad()
def test_free_text_equals_transformers_generate():
    model, batch = eager_to_end(tiny_model(seed=1)), ask(*QUESTIONS)
    t = tokenizer()
    expected = model.language_model.generate(
        inputs_embeds=model.embed(batch),
        attention_mask=batch["attention_mask"],
        max_new_tokens=LIMIT,
        do_sample=False,
        eos_token_id=t.eos_id,
        pad_token_id=t.pad_id,
        suppress_tokens=[t.bos_id, t.pad_id, t.image_id],
    )
    # One token more, for ours end at the limit, while `generate` cuts.
    answers = [
        a[:LIMIT]
        for a in generate(model, batch, [compile_grammar((Text(),), t)] * len(QUESTIONS), LIMIT + 1)
    ]
    assert {len(a) for a in answers} != {LIMIT}
    padded = [a + [t.pad_id] * (expected.shape[1] - len(a)) for a in answers]
    assert padded == expected.tolist()


@torch.no_grad()
def test_forced_tokens_cost_no_call_of_the_model():
    model, calls = tiny_model(), []
    model.language_model.register_forward_hook(lambda *_: calls.append(1))
    t = tokenizer("paper")
    box, yes = (compile_grammar(g, t) for g in ((Regions(numbers=4),), (Literal("Yes"),)))
    answers = generate(model, ask(QUESTIONS[0], QUESTIONS[1], layout="paper"), [box, yes])
    assert len(calls) == 4  # one for each number
    assert len(answers[0]) == 13 and answers[1] == [*t.encode("Yes"), t.eos_id]
    calls.clear()
    assert generate(model, ask(QUESTIONS[1], layout="paper"), [yes]) == [answers[1]]
    assert not calls


@torch.no_grad()
def test_a_row_without_forced_tokens_beside_one_with_them():
    """The first free token of a row comes from the end of its own prompt, whatever its neighbour is forced to say."""
    random.seed(0)
    for seed in range(5):
        model, pair = tiny_model(seed), random.sample(QUESTIONS, 2)
        automata = [compile_grammar(g, tokenizer()) for g in (GRAMMARS[0], GRAMMARS[4])]
        alone = generate(model, ask(pair[0]), automata[:1], 6)
        assert generate(model, ask(*pair), automata, 6)[0] == alone[0]
