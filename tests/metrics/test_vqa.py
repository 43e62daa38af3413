"""VQAv2, TextVQA and PointingQA: answers in words."""

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics.cases import score
from vista.data import Prediction
from vista.metrics.contractions import CONTRACTIONS
from vista.metrics.counting import PointingQAMetric, same_answer
from vista.metrics.textvqa import TextVQAMetric, normalize_text, textvqa_accuracy
from vista.metrics.vqa import (
    VQAMetric,
    evalai_results,
    normalize,
    soft_score,
    strip_punctuation,
    vqa_accuracy,
)


def twin_normalize(text):
    """The rules of the official evaluation, one character at a time."""
    grouped = re.search(r"[0-9],[0-9]", text)
    characters = []
    for i, mark in enumerate(text):
        if mark in ';/[]"{}()=+\\_-><@`,?!':
            deleted = grouped or mark + " " in text or " " + mark in text
            characters.append("" if deleted else " ")
        elif mark == ".":
            characters.append("." if _next_is_digit(text, i) else "")
        else:
            characters.append(mark)
    numbers = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
    ]
    words = []
    for word in "".join(characters).lower().split():
        word = "0" if word == "none" else str(numbers.index(word)) if word in numbers else word
        if word not in ("a", "an", "the"):
            words.append(CONTRACTIONS.get(word, word))
    return " ".join(words)


def _next_is_digit(text, i):
    """A deleted mark lets the digit behind it come next; marks that become blanks do not."""
    grouped = re.search(r"[0-9],[0-9]", text)
    for mark in text[i + 1 :]:
        if mark not in ';/[]"{}()=+\\_-><@`,?!':
            return mark.isdecimal()
        if not (grouped or mark + " " in text or " " + mark in text):
            return False
    return False


def twin_accuracy(answer, references):
    answer, references = answer.strip(), [r.strip() for r in references]
    if any(r != references[0] for r in references):
        answer, references = twin_normalize(answer), [twin_normalize(r) for r in references]
    total = 0.0
    for left_out in range(len(references)):
        others = references[:left_out] + references[left_out + 1 :]
        total += min(1.0, others.count(answer) / 3)
    return total / len(references)


@pytest.mark.parametrize("matches", range(11))
def test_soft_score_by_number_of_matches(matches):
    expected = {0: 0, 1: 30, 2: 60, 3: 90}.get(matches, 100)
    assert 100 * soft_score("dog", ["dog"] * matches + ["cat"] * (10 - matches)) == pytest.approx(
        expected
    )


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The two dogs!", "2 dogs"),
        ("a", ""),
        ("none", "0"),
        ("Ten", "10"),
        ("someone", "someone"),
        ("dont", "don't"),
        ("somebody'd", "somebodyd"),
        ("Im", "im"),  # the table's `Im` has a capital and never matches
        ("3.5", "3.5"),
        (".5", ".5"),
        ("u.s.a.", "usa"),
        ("red, blue", "red blue"),  # beside a blank: deleted
        ("red,blue", "red blue"),  # not beside a blank: becomes a blank
        ("red-blue", "red blue"),
        ("t-shirt and -x", "tshirt and x"),  # beside a blank once: deleted everywhere
        ("1,000", "1000"),
        ("1,000 a/b", "1000 ab"),  # a grouped number deletes every mark
        (
            "it's 5:30 #1 $2 50% a&b *",
            "it's 5:30 #1 $2 50% a&b *",
        ),  # marks that are not in the list
        ("", ""),
    ],
)
def test_normalize(text, normal):
    assert normalize(text) == normal == twin_normalize(text)


def test_contraction_table():
    assert len(CONTRACTIONS) == 120
    assert CONTRACTIONS["couldnt've"] == "couldn't've"


@given(st.text(alphabet="ab 1.,?'!-/;\tA", max_size=12))
def test_normalize_as_the_twin(text):
    assert normalize(text) == twin_normalize(text)


@given(
    st.lists(st.sampled_from(["a dog", "dog", "Dog!", "two", "2", "no"]), min_size=10, max_size=10)
)
def test_accuracy_as_the_twin(references):
    for answer in ("dog", "2", "", "No"):
        assert vqa_accuracy(answer, references) == pytest.approx(twin_accuracy(answer, references))


def test_unanimous_references_are_not_normalised():
    assert vqa_accuracy("Yes", ["yes"] * 10) == 0
    assert vqa_accuracy(" yes\n", ["yes", "yes\t"] * 5) == 1  # equal once they are stripped
    assert vqa_accuracy("Yes", ["yes"] * 9 + ["no"]) == 1
    assert vqa_accuracy("a dog", ["the dog"] * 10) == 0


def test_empty_answer_takes_the_normal_path():
    assert vqa_accuracy("", ["yes"] * 9 + ["no"]) == 0
    assert vqa_accuracy("", ["a"] * 4 + ["no"] * 6) == 1  # `a` normalises to nothing


def test_strip_punctuation_keeps_what_is_not_listed():
    assert strip_punctuation("it's 5:30.") == "it's 5:30"


def test_vqa_metric():
    result = score(
        VQAMetric(),
        [
            (Prediction(answer="yes"), {"answers": ["yes"] * 10, "answer_type": "yes/no"}),
            (Prediction(answer="2"), {"answers": ["two"] * 3 + ["3"] * 7, "answer_type": "number"}),
            (
                Prediction(answer="2", malformed=True),
                {"answers": ["2"] * 10, "answer_type": "number"},
            ),
            (Prediction(answer="dog"), {"answers": ["cat"] * 10, "answer_type": "other"}),
            (
                Prediction(answer="dog"),
                {"answers": [], "answer_type": "other"},
            ),  # hidden answers: not scored
        ],
    )
    assert result == pytest.approx(
        {
            "accuracy": 190 / 4,
            "accuracy_yes_no": 100,
            "accuracy_number": 45,
            "accuracy_other": 0,
            "n": 4,
            "parse_failures": 1,
        }
    )


def test_evalai_results():
    assert evalai_results([5], [Prediction(answer="2")]) == [{"question_id": 5, "answer": "2"}]


@pytest.mark.skipif("VISTA_REALDATA" not in os.environ, reason="VISTA_REALDATA names no folder")
def test_vqa_on_official_answers():
    path = Path(os.environ["VISTA_REALDATA"]) / "vqav2" / "v2_mscoco_train2014_annotations.json"
    for record in json.loads(path.read_text())["annotations"]:
        references = [answer["answer"] for answer in record["answers"]]
        for answer in {references[0], record["multiple_choice_answer"].upper(), "the two"}:
            assert vqa_accuracy(answer, references) == pytest.approx(
                twin_accuracy(answer, references)
            )


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("NOKIA's", "nokia 's"),
        ("7,000", "7000"),
        ("stop?", "stop"),
        ("The  End", "end"),
        ("a\tb", "b"),
        ("x-y", "x y"),
    ],
)
def test_textvqa_normalises_first_by_its_own_rules(text, normal):
    assert normalize_text(text) == normal


def test_textvqa_always_normalises():
    assert textvqa_accuracy("Yes!", ["yes"] * 10) == 1
    assert textvqa_accuracy("nokia", ["Nokia"] * 3 + ["x"] * 7) == pytest.approx(0.9)


def test_textvqa_wants_ten_references():
    with pytest.raises(ValueError, match="has 10 answers, not 9"):
        TextVQAMetric().update([Prediction(answer="a")], [{"answers": ["a"] * 9}])


def test_pointingqa_compares_normal_forms():
    assert same_answer("Two.", "2")
    assert same_answer("the dogs", "dogs")
    assert not same_answer("2 dogs", "2")
    assert not same_answer("", "a")


def test_pointingqa_metric():
    result = score(
        PointingQAMetric(),
        [
            (Prediction(answer="two"), {"answer": "2", "granularity": "general_question"}),
            (Prediction(answer="3"), {"answer": "2", "granularity": "any"}),
            (Prediction(answer="3"), {"answer": 3, "granularity": "obj_question"}),
            (Prediction(answer=""), {"answer": "3", "granularity": "superclass"}),
            (Prediction(answer="red"), {"answer": "red"}),
        ],
    )
    assert result == {
        "accuracy_any": 50,
        "accuracy_superclass": 0,
        "accuracy_object": 100,
        "accuracy": 60,
        "n": 5,
        "parse_failures": 1,
    }
    assert set(
        score(PointingQAMetric(granularities=()), [(Prediction(answer="red"), {"answer": "red"})])
    ) == {
        "accuracy",
        "n",
        "parse_failures",
    }
