"""Questions that come and go while others are answered: each answer is what it is alone."""

import torch

from tests.tiny import ask, question, tiny_model, tokenizer
from vista.decoding.grammar import Regions, Text, compile_grammar
from vista.decoding.greedy import generate, read_prompts
from vista.decoding.hypothesis import Hypothesis
from vista.decoding.live import LiveAnswers

QUESTIONS = [
    question("<image> what is the color of the red circle on the left ?", "a"),
    question("<image> <image> is it true ?", "a", "b"),
    question("<image> where", "c"),
]
GRAMMARS = [(Regions(6, "<msep>", none=True),), (Text(),), (Regions(4),)]
LIMIT = 24


def alone(model) -> list[list[int]]:
    answers = []
    for asked, grammar in zip(QUESTIONS, GRAMMARS, strict=True):
        automaton = compile_grammar(grammar, tokenizer())
        (answer,) = generate(model, ask(asked), [automaton], LIMIT)
        answers.append(answer.token_ids)
    return answers


def begun(model, number: int):
    automaton = compile_grammar(GRAMMARS[number], tokenizer())
    with torch.inference_mode():
        (prompt,) = read_prompts(model, ask(QUESTIONS[number]))
    return prompt, [Hypothesis(automaton, LIMIT)]


def test_whoever_joins_later_gets_the_same_answer():
    model = tiny_model()
    asked = [begun(model, number) for number in range(3)]
    live = LiveAnswers(model.language_model)
    live.step(asked[:1])
    live.step()
    live.step(asked[1:2])
    live.step(asked[2:])
    while live.answers:
        live.step()
    assert [answer.token_ids for _, (answer,) in asked] == alone(model)


def test_whoever_leaves_changes_no_other_answer():
    model = tiny_model()
    asked = [begun(model, number) for number in range(3)]
    live = LiveAnswers(model.language_model)
    live.step(asked)
    (first,), (left,), (last,) = (answers for _, answers in asked)
    live.drop(left)
    live.drop(left)  # it is gone already
    written = list(left.token_ids)
    while live.answers:
        live.step()
    assert left.token_ids == written
    assert (first.token_ids, last.token_ids) == (alone(model)[0], alone(model)[2])


def test_a_new_one_begins_where_all_have_left():
    model = tiny_model()
    live = LiveAnswers(model.language_model)
    live.step([begun(model, 1)])
    live.drop(live.answers[0])
    prompt, (answer,) = begun(model, 2)
    live.step([(prompt, [answer])])
    while live.answers:
        live.step()
    assert answer.token_ids == alone(model)[2]
