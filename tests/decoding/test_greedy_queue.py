"""Answers that wait, leave early, are held to a length, drawn, or come from another family of language models."""

import math

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    Qwen2Config,
)

from tests.decoding.test_greedy import GRAMMARS, LIMIT, QUESTIONS, eager_to_end
from tests.tiny import ask, tiny_model, tokenizer
from vista.decoding.automaton import END
from vista.decoding.grammar import Choice, Literal, Regions, Text, TextWithBoxes, compile_grammar
from vista.decoding.greedy import Sampling, generate
from vista.decoding.hypothesis import Hypothesis
from vista.decoding.kv import KVBatch

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 64}
FAMILIES = [
    LlamaConfig(**SIZES, intermediate_size=32, num_key_value_heads=1),
    MistralConfig(
        **SIZES, intermediate_size=32, num_key_value_heads=2, sliding_window=None, head_dim=16
    ),
    Qwen2Config(**SIZES, intermediate_size=32, num_key_value_heads=2),
    GPTNeoXConfig(**SIZES, intermediate_size=32),
    GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=64),
    OPTConfig(**SIZES, ffn_dim=32, word_embed_proj_dim=32),
]


def automata(layout="compact"):
    return [compile_grammar(grammar, tokenizer(layout)) for grammar in GRAMMARS]


@torch.no_grad()
@pytest.mark.parametrize("max_rows", [1, 2, 5])
def test_rows_that_leave_and_wait_change_no_answer(max_rows):
    model = eager_to_end(tiny_model())
    batch, machines = ask(*(QUESTIONS * 4)[:14]), (automata() * 2)[:14]
    together = generate(model, batch, machines, LIMIT)
    waiting = generate(model, batch, machines, LIMIT, max_rows=max_rows)
    assert [a.token_ids for a in waiting] == [a.token_ids for a in together]
    for one, other in zip(waiting, together, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=1e-4)
        assert one.spreads == pytest.approx(other.spreads, rel=1e-3)


@torch.no_grad()
def test_no_more_rows_than_allowed_are_in_the_making():
    model, widths = tiny_model(), []
    model.language_model.register_forward_pre_hook(
        lambda _, args, kwargs: widths.append(len(kwargs["inputs_embeds"])), with_kwargs=True
    )
    answers = generate(
        model, ask(*QUESTIONS * 3), [compile_grammar((Regions(4),), tokenizer())] * 12, max_rows=5
    )
    assert max(widths) == 5 and len(widths) == 12 and all(a.done for a in answers)


@torch.no_grad()
@pytest.mark.parametrize("config", FAMILIES, ids=lambda config: config.model_type)
def test_any_causal_language_model(config):
    """Rows added late, repeated and dropped read the same as a sequence alone and without a cache."""
    torch.manual_seed(0)
    llm = AutoModelForCausalLM.from_config(config).eval()
    rows = KVBatch(llm)
    rows.add([rows.embed([1, 2, 3, 4, 5]), rows.embed([6, 7])])
    rows.feed([[8], [9, 10, 11]])
    rows.add([rows.embed([12, 13, 14])])
    rows.select([2, 1, 1])
    logits = rows.feed([[15, 16], [17], [18, 19, 20]])
    read = [12, 13, 14, 15, 16], [6, 7, 9, 10, 11, 17], [6, 7, 9, 10, 11, 18, 19, 20]
    for row, ids in zip(logits, read, strict=True):
        torch.testing.assert_close(
            row, llm(torch.tensor([ids])).logits[0, -1], atol=1e-4, rtol=1e-4
        )


def test_slots_that_no_row_uses_are_given_back():
    rows = KVBatch(tiny_model().language_model)
    with torch.no_grad():
        rows.add([rows.embed(list(range(3, 33))), rows.embed([3, 4])])
        rows.select([1])
        assert rows.mask.shape == (1, 2) and rows.cache.get_seq_length() == 2


def test_longest_answer():
    paper = tokenizer("paper")
    bracket = f"[{', '.join(['10'] * 64)}]"
    two_masks = (
        Literal("The masks are"),
        Regions(numbers=64, separator="<msep>", count=2, empty=True),
    )
    for grammar, longest in [
        ((Regions(numbers=4),), "[10, 20, 30, 40]"),
        ((Regions(numbers=64),), bracket),
        ((Regions(numbers=64, none=True),), bracket),
        ((Literal("Yes"),), "Yes"),
        ((Choice(("1", "red cup", "10")),), "red cup"),
        (two_masks, f"The masks are {bracket} <msep> {bracket}"),
    ]:
        assert compile_grammar(grammar, paper).longest_answer == len(
            paper.encode(longest, eos=True)
        )
    for piece in (Text(), Regions(numbers=4, separator="<bsep>", none=True), TextWithBoxes()):
        assert compile_grammar((piece,), paper).longest_answer is None


@torch.no_grad()
@pytest.mark.parametrize("layout", ["paper", "compact"])
@pytest.mark.parametrize("seed", range(3))
def test_an_answer_held_to_a_length_still_ends_legally(layout, seed):
    model = tiny_model(seed)
    for grammar, automaton in zip(GRAMMARS, automata(layout), strict=True):
        for limit in (1, 14, 30, 60):
            limit = max(limit, automaton.shortest_endings[0])
            for answer in generate(model, ask(*QUESTIONS, layout=layout), [automaton] * 4, limit):
                assert automaton.accepts(answer.token_ids), (
                    grammar,
                    tokenizer(layout).decode(answer.token_ids),
                )
                assert len(answer.token_ids) <= limit


def test_what_is_legal_near_the_limit():
    boxes = compile_grammar((TextWithBoxes(),), tokenizer())
    openers = [tokenizer().open_id, tokenizer().bare_open_id]
    assert boxes.legal_tokens(0, 7)[openers].all(), "a box of six tokens and the end"
    assert not boxes.legal_tokens(0, 6)[openers].any()
    assert boxes.legal_tokens(0, 1).nonzero().flatten().tolist() == [tokenizer().eos_id]
    opened = boxes.step(0, tokenizer().open_id)
    assert boxes.legal_tokens(opened, 3).equal(boxes.mask(opened)), "too late: the answer is cut"


def test_confidence_and_spread_by_hand():
    t = tokenizer("paper")
    model = tiny_model()
    head = nn.Linear(32, len(t))
    nn.init.zeros_(head.weight)
    with torch.no_grad():
        head.bias.fill_(-50.0)
        head.bias[[t.number_ids[100], t.number_ids[300]]] = torch.tensor([0.0, math.log(3)])
        model.language_model.set_output_embeddings(head)
        (mask,) = generate(model, ask(QUESTIONS[0]), [compile_grammar((Regions(numbers=2),), t)])
    assert t.decode(mask.token_ids) == "[300, 300]"
    assert mask.log_probs == pytest.approx(
        [math.log(0.75)] * 2
    ) and mask.confidence == pytest.approx(math.log(0.75))
    assert mask.spreads == pytest.approx([200 * math.sqrt(0.25 * 0.75)] * 2, rel=1e-4)


def test_a_forced_answer_is_certain_and_words_have_no_spread():
    yes = Hypothesis(compile_grammar((Literal("Yes"),), tokenizer()), 8)
    assert yes.done and yes.state == END and yes.confidence == 0 and yes.spreads == []
    with torch.no_grad():
        (words,) = generate(
            tiny_model(), ask(QUESTIONS[0]), [compile_grammar((Text(),), tokenizer())], 8
        )
    assert words.spreads == [] and len(words.log_probs) == 7 and words.confidence < 0


@torch.no_grad()
def test_drawn_answers_are_legal_repeatable_and_free_of_their_batch():
    model = eager_to_end(tiny_model())
    batch, machines = ask(*QUESTIONS), automata()[:4]
    first, again, other = (
        generate(model, batch, machines, LIMIT, Sampling(seed=s)) for s in (0, 0, 1000)
    )
    assert (
        [a.token_ids for a in first] == [a.token_ids for a in again] != [a.token_ids for a in other]
    )
    alone = generate(model, ask(QUESTIONS[0]), machines[:1], LIMIT, Sampling(seed=0))
    assert alone[0].token_ids == first[0].token_ids
    assert all(m.accepts(a.token_ids) for m, a in zip(machines, first, strict=True))
    greedy = generate(model, batch, machines, LIMIT)
    for cold in (Sampling(temperature=1e-4), Sampling(top_p=1e-6)):
        drawn = generate(model, batch, machines, LIMIT, cold)
        assert [a.token_ids for a in drawn] == [a.token_ids for a in greedy]
