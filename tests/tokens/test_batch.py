"""From examples to batches: what is learned, what is padded, what is shared."""

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import tokenizer
from vista.tokens.batch import IGNORE, VICUNA_SYSTEM, Sample, collate, encode_example, expand_images
from vista.tokens.batch_types import Example

L = 3  # visual tokens of an image
WORDS = st.text("abc 12[],.?", max_size=12).map(lambda text: " ".join(text.split()))
TURNS = st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=3)
TEMPLATES = st.sampled_from(["plain", "vicuna_v1"])


def learned_answers(sample: Sample) -> list[str]:
    """The runs of tokens that are learned, as text."""
    runs: list[list[int]] = [[]]
    for label in sample.labels:
        if label == IGNORE and runs[-1]:
            runs.append([])
        elif label != IGNORE:
            runs[-1].append(label)
    return [tokenizer().decode(run) for run in runs if run]


@given(TURNS, TEMPLATES)
def test_every_answer_is_learned_and_nothing_else(turns, template):
    turns = [(f"<image> {prompt}", answer) for prompt, answer in turns]
    sample = encode_example(Example(("a",) * len(turns), tuple(turns)), tokenizer(), template)
    assert learned_answers(sample) == [answer for _, answer in turns]
    assert len(sample.labels) == len(sample.input_ids)
    assert all(
        label in (IGNORE, token)
        for label, token in zip(sample.labels, sample.input_ids, strict=True)
    )
    assert sample.labels.count(tokenizer().eos_id) == len(turns)


@given(TURNS, TEMPLATES)
def test_a_question_is_its_example_without_the_last_answer(turns, template):
    example = Example((), tuple(turns))
    whole, asked = (encode_example(example, tokenizer(), template, answer=a) for a in (True, False))
    n = len(asked.input_ids)
    assert asked.input_ids == whole.input_ids[:n] and asked.labels == whole.labels[:n]
    assert whole.labels[n:] == [*tokenizer().encode(turns[-1][1]), tokenizer().eos_id]


def test_conversation_forms():
    turns = (("<image> what is it ?", "a cat"), ("where ?", "[1, 2, 3, 4]"))
    encode, bos, eos = tokenizer().encode, tokenizer().bos_id, tokenizer().eos_id
    plain = encode_example(Example(("a",), turns), tokenizer()).input_ids
    assert plain == [
        bos,
        *encode(turns[0][0]),
        *encode("a cat"),
        eos,
        *encode("where ?"),
        *encode(turns[1][1]),
        eos,
    ]
    vicuna = encode_example(Example(("a",), turns), tokenizer(), "vicuna_v1").input_ids
    first, second = (
        f"{VICUNA_SYSTEM}USER: <image> what is it ? ASSISTANT:",
        "USER: where ? ASSISTANT:",
    )
    assert vicuna == [
        bos,
        *encode(first),
        *encode("a cat"),
        eos,
        *encode(second),
        *encode(turns[1][1]),
        eos,
    ]


def test_the_instruction_is_the_turn_with_the_image_and_is_cut_with_one_warning():
    turns = (("hello", "hi"), ("<image> what is it ?", "a cat"))
    sample = encode_example(Example(("a",), turns), tokenizer())
    assert tokenizer().decode(sample.instruction_ids) == "what is it ?"
    long = Example(("a",), (("<image> " + "cat " * 600, "a cat"),))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        cut = [encode_example(long, tokenizer(), max_instruction=7) for _ in range(3)]
    assert [len(c.instruction_ids) for c in cut] == [7, 7, 7]
    assert [str(c.message) for c in caught] == [
        "the QFormer reads only the first 7 tokens of an instruction"
    ]
    assert len(cut[0].input_ids) > 600  # the LLM reads all of it


@pytest.mark.parametrize(
    ("prompt", "images"), [("<image> <image> x", ("a",)), ("x", ("a",)), ("<image> x", ())]
)
def test_marks_and_images_must_agree(prompt, images):
    with pytest.raises(ValueError, match=r"^\d images but \d <image> marks in a prompt$"):
        encode_example(Example(images, ((prompt, "y"),)), tokenizer())


def test_a_mark_in_an_answer_is_not_learned_as_an_image():
    with pytest.raises(ValueError, match="1 images but 2 <image> marks"):
        encode_example(Example(("a",), (("<image> x", "<image>"),)), tokenizer())


SAMPLES = st.lists(
    st.tuples(st.lists(st.sampled_from("abcd"), max_size=4), WORDS, WORDS), min_size=1, max_size=5
)


@given(SAMPLES, st.booleans())
def test_a_batch_holds_every_sample_unchanged(drawn, pad_left):
    examples = [Example(tuple(names), (("<image> " * len(names) + p, a),)) for names, p, a in drawn]
    samples = [encode_example(e, tokenizer()) for e in examples]
    images = {name: torch.full((3, 2, 2), float(ord(name))) for name in "abcd"}
    if not any(s.images for s in samples):
        return
    batch = collate(samples, images, tokenizer(), L, pad_left)
    shown = iter(batch["image_index"].tolist())
    for i, sample in enumerate(samples):
        keep = batch["attention_mask"][i].bool()
        ids, labels = expand_images(sample, tokenizer().image_id, L)
        assert batch["input_ids"][i][keep].tolist() == ids
        assert batch["labels"][i][keep].tolist() == labels
        assert (batch["labels"][i][~keep] == IGNORE).all() and (
            batch["input_ids"][i][~keep] == 0
        ).all()
        assert ids.count(tokenizer().image_id) == L * len(sample.images)
        assert (keep.sort(descending=not pad_left, stable=True).values == keep).all()
        instruction = batch["instruction_ids"][i][batch["instruction_mask"][i].bool()]
        assert instruction.tolist() == sample.instruction_ids
        assert [float(batch["pixel_values"][next(shown)].max()) for _ in sample.images] == [
            *map(ord, sample.images)
        ]
    assert batch["sample_index"].tolist() == [i for i, s in enumerate(samples) for _ in s.images]
    assert len(batch["pixel_values"]) == len({name for s in samples for name in s.images})
    assert all(batch[k].dtype == torch.long for k in batch if k != "pixel_values")
