"""Every family's tokenizer keeps texts, and no text can name a token: byte-level BPE and byte fallback alike."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tokens.families import BYTE_LEVEL, CONTROL, FAMILIES, TEMPLATES, save_family
from tests.tokens.test_tokenizer import PLAIN, bracket
from vista.data import InputError
from vista.decoding.grammar import Regions, Text, TextWithBoxes, compile_grammar
from vista.tokens.batch import IGNORE, encode_example, expand_images
from vista.tokens.batch_types import Example
from vista.tokens.byte_level import PLAIN_BRACKET
from vista.tokens.chat import chat_of
from vista.tokens.tokenizer import Tokenizer

LAYOUTS: list[dict[str, Any]] = [
    {},
    {"bracket_layout": "compact"},
    {"number_tokens": "everywhere"},
    {"bracket_layout": "compact", "number_tokens": "everywhere"},
    {"number_tokens": "digits"},
]
ALL_CONTROL = sorted({token for tokens in CONTROL.values() for token in tokens})
NAMES = [
    *ALL_CONTROL,
    "<think>",
    PLAIN_BRACKET,
    "<|12|>",
    "<0x5B>",
    "Ġ[",
    "▁[",
    "e\u0301",
    "[INST]",
]
plain = st.sampled_from([*PLAIN.split("|"), *NAMES, "\n", "\n\n", "\t  ", "   ", "[5", "[1 2]"])
texts = st.lists(st.one_of(bracket, plain, st.text(max_size=6)), max_size=8).flatmap(
    lambda parts: st.sampled_from(["", " "]).map(lambda joint: joint.join(parts))
)
MADE: dict[str, list[Tokenizer]] = {}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    name = str(request.param)
    if name not in MADE:
        folder = save_family(name, tmp_path_factory.mktemp(name))
        MADE[name] = [Tokenizer(folder, **layout) for layout in LAYOUTS]
    return name


def test_texts_come_back(family: str) -> None:
    @settings(max_examples=25)
    @given(text=texts)
    def check(text: str) -> None:
        for tokenizer in MADE[family]:
            ids = tokenizer.encode(text, bos=True, eos=True)
            assert tokenizer.decode(ids) == text.replace("<image>", "")

    check()


def test_no_text_names_a_token(family: str) -> None:
    """Control tokens, coordinates outside of brackets, the plain bracket: all are plain characters in a text."""

    @settings(max_examples=25)
    @given(text=texts)
    def check(text: str) -> None:
        tokenizer = MADE[family][0]
        ids = set(tokenizer.encode(text.replace("[", "(")))
        added = set(tokenizer.fast.get_added_vocab().values())
        marks = {tokenizer.image_id, tokenizer.bsep_id, tokenizer.msep_id}
        assert not ids & (added - marks)
        assert not ids & tokenizer.special_ids

    check()


def test_coordinates_act_inside_brackets_alone(family: str) -> None:
    paper, compact, *_ = MADE[family]
    for tokenizer, between in ((paper, [paper.comma_id, paper.space_id]), (compact, [])):
        n = tokenizer.number_ids
        ids = tokenizer.encode("2014 dogs (37) at [12, 345, 6, 999].")
        region = [tokenizer.open_id, n[12], *between, n[345], *between, n[6], *between, n[999]]
        region.append(tokenizer.close_id)
        begin = ids.index(tokenizer.open_id)
        assert (
            ids[begin : begin + len(region)] == region == tokenizer.bracket_ids([12, 345, 6, 999])
        )
        outside = ids[:begin] + ids[begin + len(region) :]
        assert not set(n[10:]) & set(outside)
    assert len(set(paper.number_ids)) == 1000
    vocabulary = paper.fast.get_vocab()
    assert paper.number_ids[:10] == [vocabulary[digit] for digit in "0123456789"]


def test_answers_are_legal_and_hold_no_control_token(family: str) -> None:
    for tokenizer in MADE[family][:2]:
        anything = compile_grammar((Text(),), tokenizer)
        control = [i for i in tokenizer.special_ids if i != tokenizer.eos_id]
        assert not anything.mask(0)[control].any() and anything.mask(0)[tokenizer.eos_id]
        for text in ("the big [one] of 2014", "[2014] (x)", "at [10, 20, 30, 40] it is."):
            assert anything.accepts(tokenizer.encode(text, eos=True))
        boxes = compile_grammar((Regions(numbers=4, separator="<bsep>"),), tokenizer)
        assert boxes.accepts(tokenizer.encode("[1, 2, 30, 40] <bsep> [5, 6, 70, 80]", eos=True))
        words = compile_grammar((TextWithBoxes(),), tokenizer)
        assert words.accepts(tokenizer.encode("it is at [1, 2, 30, 40].", eos=True))
        assert not words.mask(0)[tokenizer.fast.get_vocab()["]"]]


def test_ids_of_a_text_are_the_family_s_own(family: str) -> None:
    """As transformers cuts the same text behind a space, for text without brackets and odd spaces."""
    tokenizer, text = MADE[family][0], "the red circle was, it said: one of 10:30!"
    backend = tokenizer.fast.backend_tokenizer
    theirs = backend.encode(f" {text}" if family in BYTE_LEVEL else text, add_special_tokens=False)
    assert tokenizer.encode(text) == theirs.ids
    begins = family not in ("qwen", "smollm2")
    assert len(tokenizer.begin) == begins
    assert tokenizer.encode("", bos=True) == tokenizer.begin


def test_saved_and_carried(family: str, tmp_path: Path) -> None:
    text = "2014 dogs at [12, 345] <bsep> [[5, 6]] [2014]."
    for k, tokenizer in enumerate(MADE[family]):
        tokenizer.save(tmp_path / str(k))
        again = Tokenizer(tmp_path / str(k), **tokenizer.settings)
        carried = Tokenizer.from_json(tokenizer.to_json())
        for other in (again, carried):
            assert other.encode(text, True, True) == tokenizer.encode(text, True, True)
            assert len(other) == len(tokenizer) and other.special_ids == tokenizer.special_ids
            assert other.to_json() == tokenizer.to_json() and other.pad_id == tokenizer.pad_id


@pytest.mark.parametrize("template", ["plain", "vicuna_v1", "own"])
def test_the_end_of_an_answer_is_learned_where_it_also_pads(family: str, template: str) -> None:
    tokenizer = MADE[family][1]
    turns = (("<image> what is it?", "a circle"), ("where is it?", "at [1, 2, 30, 40]"))
    sample = encode_example(Example(("a",), turns), tokenizer, template)
    learned = [i for i in sample.labels if i != IGNORE]
    answers = [tokenizer.encode(target, eos=True) for _, target in turns]
    assert learned == answers[0] + answers[1]
    assert sample.input_ids[-1] == tokenizer.eos_id == sample.labels[-1]
    if family == "smollm2":
        assert tokenizer.pad_id == tokenizer.eos_id
    ids, labels = expand_images(sample, tokenizer.image_id, 3)
    assert len(ids) == len(labels) == len(sample.input_ids) + 2


def test_own_template_is_what_transformers_renders(family: str) -> None:
    """Control tokens are single ids, the begin token stands once, the question is cut together with what is around."""
    tokenizer = MADE[family][0]
    turns = (("the red circle?", "yes"), ("what is it?", ""))
    ids = encode_example(Example((), turns), tokenizer, "own", answer=False).input_ids
    messages = [
        {"role": "user", "content": turns[0][0]},
        {"role": "assistant", "content": " yes"},
        {"role": "user", "content": turns[1][0]},
    ]
    text = tokenizer.fast.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    pieces = tokenizer.fast.convert_ids_to_tokens(ids)
    written = "".join(
        piece if i in tokenizer.fast.get_added_vocab().values() else tokenizer._visible[i].decode()
        for piece, i in zip(pieces, ids, strict=True)
    )
    # What transformers trims or doubles around an answer is a space.
    assert written.replace(" ", "") == str(text).replace(" ", "")
    if tokenizer.begin:
        assert ids.count(tokenizer.begin[0]) == 1 and ids[0] == tokenizer.begin[0]
    if family in BYTE_LEVEL:
        backend = tokenizer.fast.backend_tokenizer
        one = encode_example(Example((), turns[:1]), tokenizer, "own", answer=False).input_ids
        asked = tokenizer.fast.apply_chat_template(
            messages[:1], tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        assert one == backend.encode(str(asked), add_special_tokens=False).ids


def test_an_answer_ends_as_the_template_ends_a_turn(family: str, tmp_path: Path) -> None:
    """Gemma's does with `<end_of_turn>`, not with its end of a text; without a template it is the end of a text."""
    ends = {"llama3": "<|eot_id|>", "gemma": "<end_of_turn>", "llama2": "</s>", "mistral": "</s>"}
    tokenizer = MADE[family][0]
    assert tokenizer.fast.convert_ids_to_tokens(tokenizer.eos_id) == ends.get(family, "<|im_end|>")
    assert tokenizer.eos_id in tokenizer.special_ids
    (save_family(family, tmp_path) / "chat_template.jinja").unlink()
    assert Tokenizer(tmp_path).eos_id == tokenizer.fast.eos_token_id


def test_a_checkpoint_holds_the_template(family: str) -> None:
    tokenizer = MADE[family][0]
    carried = Tokenizer.from_json(tokenizer.to_json())
    assert carried.eos_id == tokenizer.eos_id
    conversation = Example((), (("the red circle?", "yes"), ("what is it?", "a circle")))
    ids, others = (
        encode_example(conversation, each, "own").input_ids for each in (tokenizer, carried)
    )
    assert ids == others


@settings(max_examples=15)
@given(text=texts)
def test_no_question_names_a_control_token_of_the_template(text: str) -> None:
    for made in MADE.values():
        tokenizer, added = made[0], set(made[0].fast.get_added_vocab().values())
        sober = encode_example(Example((), (("x", ""),)), tokenizer, "own", answer=False)
        prompt = text.replace("<image>", "").replace("<bsep>", "").replace("<msep>", "")
        asked = encode_example(
            Example((), ((prompt.replace("[", "("), ""),)), tokenizer, "own", answer=False
        )
        count = [[i for i in ids if i in added] for ids in (sober.input_ids, asked.input_ids)]
        assert count[0] == count[1]


def test_templates_that_cannot_be_used_are_one_sentence(tmp_path: Path) -> None:
    for k, (template, sentence) in enumerate(
        [
            (None, "holds no chat template"),
            ("{{ raise_exception('only systems') }}", "cannot be rendered: only systems"),
            ("{{ messages[0].role }}", "leaves out what the user says"),
        ]
    ):
        tokenizer = Tokenizer(save_family("qwen", tmp_path / str(k)))
        tokenizer.fast.chat_template = template
        with pytest.raises(InputError, match=sentence):
            chat_of(tokenizer)
    assert TEMPLATES.keys() == CONTROL.keys()


def test_a_byte_or_digit_without_a_token_is_one_sentence(tmp_path: Path) -> None:
    save_family("qwen", tmp_path)
    file = tmp_path / "tokenizer.json"
    text = file.read_text()
    for piece, named in (("7", "digit 7"), ("Ġ[", "piece 'Ġ\\['"), ("Ã", "piece 'Ã'")):
        content = json.loads(text)
        model = content["model"]
        model["vocab"][piece * 9] = model["vocab"].pop(piece)
        model["merges"] = [pair for pair in model["merges"] if piece not in (*pair, "".join(pair))]
        file.write_text(json.dumps(content))
        with pytest.raises(InputError, match=f"no token of its own for the {named}"):
            Tokenizer(tmp_path)
