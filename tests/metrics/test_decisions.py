"""POPE, NLVR2, Hateful Memes, VCR and IconQA: a decision or a choice read from text."""

import itertools

import numpy as np
import pytest

from tasks.hateful_memes import NO_WORDS, YES_WORDS
from tasks.nlvr2 import FALSE_WORDS, TRUE_WORDS
from tests.metrics.cases import score
from vista.answers import first_word_decision, says_yes
from vista.data import Prediction
from vista.metrics.hateful_memes import HatefulMemesMetric, auroc, yes_share
from vista.metrics.iconqa import IconQAMetric, choose_option
from vista.metrics.nlvr2 import NLVR2Metric, consistency, statement_of
from vista.metrics.pope import POPEMetric
from vista.metrics.vcr import VCRMetric, joint_accuracy


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("No", False),
        ("no", False),
        ("No, there is no dog.", False),
        ("The answer is no.", False),
        ("There is not a dog", False),
        ("Yes. No dog", True),  # only the part before the first full stop
        ("no.", False),
        ("", True),
        ("NO", True),
        ("No!", True),
        ("no\n", True),
        (" no", False),
        ("There isn't", True),
        ("nothing", True),
        ("Yes", True),
    ],
)
def test_pope_reads_the_raw_text(text, yes):
    assert says_yes(text) is yes


def test_pope_metric():
    texts = ["Yes", "No", "Yes", "No", "NO"]
    labels = ["yes", "yes", "no", "no", "no"]
    made = [
        (Prediction(decision=says_yes(t)), {"label": label})
        for t, label in zip(texts, labels, strict=True)
    ]
    assert score(POPEMetric(), made) == pytest.approx(
        {
            "accuracy": 40,
            "precision": 100 / 3,
            "recall": 50,
            "f1": 40,
            "yes_ratio": 60,
            "n": 5,
            "parse_failures": 0,
        }
    )
    unread = [(Prediction(malformed=True), {"label": label}) for label in ("yes", "no")]
    assert score(POPEMetric(), unread)["accuracy"] == 0
    undecided = [(Prediction(text="Yes"), {"label": label}) for label in ("yes", "no")]
    result = score(POPEMetric(), undecided)
    assert (result["accuracy"], result["parse_failures"]) == (0, 2)  # no text is read a second time
    no = score(POPEMetric(), [(Prediction(decision=False), {"label": "no"})])
    assert (no["accuracy"], no["precision"], no["recall"], no["f1"]) == (
        100,
        0,
        0,
        0,
    )  # ratios without a denominator


def test_nlvr2_metric():
    def judge(answer, label, identifier, **fields):
        decision = first_word_decision(answer, TRUE_WORDS, FALSE_WORDS)
        return Prediction(decision=decision, **fields), {"label": label, "identifier": identifier}

    made = [
        judge("That is True.", "True", "dev-1-0-0"),
        judge("False", "false", "dev-1-1-0"),  # the label's case does not matter
        judge("yes", "True", "dev-1-0-1"),
        judge("no", "True", "dev-1-1-1"),  # the statement dev-1--1 is not consistent
        judge("perhaps", "False", "dev-2-0-0"),  # unreadable is wrong
        judge("True", "True", "dev-2-0-1", malformed=True),
    ]
    result = score(NLVR2Metric(), made)
    assert result == pytest.approx({"accuracy": 50, "consistency": 25, "n": 6, "parse_failures": 2})


def test_nlvr2_statements():
    assert statement_of("dev-850-2-1") == statement_of("dev-850-0-1") != statement_of("dev-850-2-0")
    assert consistency([]) == 0
    assert consistency([("a", True), ("a", True), ("b", True), ("b", False)]) == 50


def hateful(answer, label, scores=None, **fields):
    decision = first_word_decision(answer, YES_WORDS, NO_WORDS)
    return Prediction(decision=decision, scores=scores or {}, **fields), {"label": label}


def test_hateful_memes_metric():
    made = [
        hateful("Yes", 1, {"yes": 0.6, "no": 0.2}),
        hateful("no.", 1, {"yes": 0.1, "no": 0.1}),
        hateful("It is not hateful", 0, {"yes": 0.2, "no": 0.2}),  # `not` comes first
        hateful("maybe", 0, {"yes": 0.0, "no": 0.5}),  # unreadable is wrong for either label
        hateful("maybe", 1, {"yes": 0.0, "no": 0.0}),
    ]
    result = score(HatefulMemesMetric(), made)
    # Scores of label 1: 0.75, 0.5, 0.5; of label 0: 0.5, 0. Of 6 pairs 4 are right and 2 are ties.
    assert result == pytest.approx(
        {"accuracy": 40, "auroc": 100 * 5 / 6, "n": 5, "parse_failures": 2}
    )


def test_hateful_memes_from_text_only():
    made = [hateful("Yes", 1), hateful("No", 0), hateful("what", 1), hateful("Yes", 0)]
    result = score(HatefulMemesMetric(), made)
    assert "auroc" not in result
    assert result["auroc_from_text"] == pytest.approx(100 * (1 + 0.5 + 1 + 0) / 4)


def test_hateful_memes_with_some_scores_missing():
    made = [hateful("Yes", 1, {"yes": 0.9, "no": 0.1}), hateful("", 0, malformed=True)]
    assert score(HatefulMemesMetric(), made)["auroc"] == 100  # the missing one counts 0.5


def test_auroc_as_counted_pairs():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 40).tolist()
    scores = (rng.integers(0, 6, 40) / 5).tolist()
    good, bad = (
        [s for s, label in zip(scores, labels, strict=True) if label == wanted] for wanted in (1, 0)
    )
    pairs = [(a > b) + (a == b) / 2 for a, b in itertools.product(good, bad)]
    assert auroc(scores, labels) == pytest.approx(100 * np.mean(pairs))


@pytest.mark.filterwarnings("ignore:No .* samples in targets")
def test_auroc_of_one_class_is_0():
    assert auroc([0.2, 0.4], [1, 1]) == 0
    assert auroc([], []) == 0


def test_yes_share():
    assert yes_share({"yes": 0.3, "no": 0.1}) == pytest.approx(0.75)
    assert yes_share({"yes": 0.0, "no": 0.0}) == 0.5
    assert yes_share({"yes": 0.3}) is None
    assert yes_share({"yes": float("nan"), "no": 0.1}) is None
    assert yes_share({"yes": -1.0, "no": 0.5}) is None  # log-probabilities are no probabilities


def vcr(choice, label, question, mode, **fields):
    return Prediction(choice=choice, **fields), {"annot_id": question, "mode": mode, "label": label}


def test_vcr_metric():
    made = [
        vcr(0, 0, "val-1", "q_a"),
        vcr(2, 2, "val-1", "qa_r"),
        vcr(1, 1, "val-2", "q_a"),
        vcr(None, 0, "val-2", "qa_r"),  # unreadable: not option A
        vcr(3, 3, "val-3", "qa_r", malformed=True),
        vcr(3, 3, "val-3", "q_a"),
        vcr(0, 0, "val-4", "q_a"),  # without its rationale: not in q_ar
    ]
    with pytest.warns(UserWarning, match="1 VCR questions have only one"):
        result = score(VCRMetric(), made)
    assert result == pytest.approx(
        {"q_a": 100, "qa_r": 100 / 3, "q_ar": 100 / 3, "n": 7, "parse_failures": 2}
    )
    with pytest.raises(ValueError, match="mode"):
        VCRMetric().update([Prediction()], [{"annot_id": "x", "mode": "q_ar", "label": 0}])


def test_vcr_joint_needs_both_of_the_same_question():
    assert joint_accuracy([("1", "q_a", True), ("2", "qa_r", True)]) == (0, 2)
    assert joint_accuracy([]) == (0, 0)


@pytest.mark.parametrize(
    ("text", "choices", "index"),
    [
        ("The answer is  Odd .", ["even", "odd"], 1),  # 1: equal but for case, blanks, final marks
        ("ten o'clock!?", ["nine o'clock", "Ten  O'clock."], 1),
        ("The answer is two.", ["1", "2"], 1),  # 2: VQA's normal form
        ("the dog", ["cat", "dog"], 1),
        ("a", ["a", "b"], 0),  # 1 comes first: a choice that is itself an article
        ("(B)", ["cat", "dog"], 1),  # 3: a letter
        ("(B)", ["b", "a"], 0),  # 2 comes before 3
        ("C", ["cat", "dog"], None),
        ("it shows a dog here", ["cat", "dog"], 1),  # 4: the choice as whole words
        ("a dog house", ["dog", "dog house"], 1),  # the longest
        ("dogs", ["cat", "dog"], None),  # not a whole word
        ("cat or dog", ["cat", "dog"], None),  # two longest
        ("it is 5 + 3 here", ["5 + 3", "5"], 0),
        ("", ["cat", ""], None),
        ("The answer is", ["cat", "dog"], None),
        ("bird", ["cat", "dog"], None),
    ],
)
def test_iconqa_choice(text, choices, index):
    assert choose_option(text, choices) == index


@pytest.mark.parametrize(
    ("text", "choices", "index"),
    [
        ("3.5", ["3", "4"], None),
        ("The answer is 3.5.", ["3", "5"], None),
        ("12:30", ["12", "1"], None),
        ("it is 12:30 now", ["12", "30"], None),
        ("1/2", ["1", "3"], None),
        ("1 / 2", ["1", "3"], None),
        ("2 1/2", ["2", "1/2"], None),
        ("$1.50", ["$1", "$2"], None),
        ("1,500", ["1", "500"], None),
        ("1,5", ["15", "1"], None),  # VQA's normal form takes the comma
        ("-5", ["5", "4"], None),  # and the sign
        (".5", ["5", "4"], None),
        ("2^3", ["2", "3"], None),
        ("3-4", ["3", "5"], None),
        ("twenty-five", ["five", "six"], None),
        ("two hundred and five", ["two", "six"], None),
        ("two and a half", ["two", "three"], None),
        ("it is 3.", ["3", "4"], 0),  # whole numbers
        ("3, not 3.5", ["3", "4"], 0),
        ("3.5, not 3", ["3", "4"], 0),
        ("at 12:30 sharp", ["12:30", "12"], 0),
        ("-5 degrees", ["-5", "5"], 0),
        ("$3", ["3", "4"], 0),
        ("about 1,000 dogs", ["1,000", "1"], 0),
        ("1,000", ["1000", "100"], 0),
        ("twenty-five dogs", ["twenty-five", "five"], 0),
        ("5 + 3 = 8", ["5 + 3", "5"], 0),
    ],
)
def test_iconqa_a_part_of_a_number_is_another_number(text, choices, index):
    assert choose_option(text, choices) == index


def test_iconqa_metric():
    def ask(label, skills, text="", **fields):
        fields = {"choice": choose_option(text, ["cat", "dog"])} | fields
        return Prediction(text=text, **fields), {"label": label, "skills": skills}

    made = [
        ask(1, ["counting", "time"], text="dog"),
        ask(0, ["counting", "an unknown skill"], text="dog"),
        ask(0, [], choice=0),  # ranked by likelihood
        ask(0, ["time"], text="bird"),
        ask(0, ["time"], text="cat", malformed=True),
    ]
    result = score(IconQAMetric(), made)
    assert (result["accuracy"], result["parse_failures"]) == (40, 2)
    assert (result["accuracy_counting"], result["accuracy_time"]) == (50, pytest.approx(100 / 3))
    assert result["accuracy_geometry"] == 0
    assert set(score(IconQAMetric(skills=("time",)), made)) == {
        "accuracy",
        "accuracy_time",
        "n",
        "parse_failures",
    }
