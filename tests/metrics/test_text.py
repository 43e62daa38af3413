import pytest
from hypothesis import given
from hypothesis import strategies as st

from vista.answers import extract_answer, extract_letter, first_word_decision


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is 2.", "2"),
        ("It is a cat. The answer is yes.", "yes"),
        ("red", "red"),
        ("The answer is 3.5.", "3.5"),
        ("The answer is", ""),
        ("", ""),
        ("The answer is 1. The answer is 2.", "2"),
        ("Answer: the answer is blue .", "blue"),
        ("The answer is 2. answer: 5..", "5."),
        (" Question: x\nAnswer:  two words \n", "two words"),
        ("THE ANSWER IS 2.", "THE ANSWER IS 2"),
    ],
)
def test_extract_answer(text, answer):
    assert extract_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("The answer is (B).", 1),
        ("(A) is wrong, so (c)", 2),
        ("( d )", 3),
        ("(A) or (E)", None),  # the last one decides, and lies beyond four options
        ("The answer is C", 2),
        ("the answer is: b.", 1),
        ("I take option D because of it", 3),
        ("option a is right", 0),
        ("my choice: B", 1),
        ("answer is A, no, answer is B", 1),
        ("The answer is a dog", None),
        ("B", 1),
        ("b.", 1),
        ("c)", 2),
        (" D: ", 3),
        ("F", None),
        ("dog", None),
        ("B or C", None),
        ("", None),
        ("the answer is (dog)", None),
        ("The answer is (B) the person(s) left.", 1),  # the first after the words that announce it
        ("The answer is B: person(s) (c) and (d).", 1),
        ("The answer is (B), not option (C).", 1),
        ("the answer is a cup (D)", 3),
        ("Answer: (C), since (a) is far away", 2),
        ("Answer: b", 1),
        ("The answer is not (A) but (B).", 1),
        ("(B) the person(s) left", 1),  # "(s)" is no letter
        ("The answer is (B). No: the answer is (D).", 3),
    ],
)
def test_extract_letter(text, index):
    assert extract_letter(text, 4) == index


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("That is True.", True),
        ("FALSE", False),
        ("no, that is true", False),
        ("don't know", None),
        ("nothing, untrue", None),
        ("", None),
        ("1 yes", True),
    ],
)
def test_first_word_decision(text, decision):
    assert first_word_decision(text, {"true", "yes"}, {"false", "no"}) is decision


@given(st.text())
def test_any_text_is_read_without_an_exception(text):
    answer = extract_answer(text)
    assert answer == answer.strip()
    assert extract_letter(text, 4) in (None, 0, 1, 2, 3)
    assert first_word_decision(text, {"yes"}, {"no"}) in (None, True, False)
