"""IoU and GIoU, REC, GREC, Visual7W and the phrase boxes of spot captions."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.spot_caption import words_before_boxes
from tests.metrics.cases import score
from vista.boxes import box_iou
from vista.data import Prediction
from vista.metrics.grec import GRECMetric, f1_score, match_boxes
from vista.metrics.overlap import box_giou, enclosing_box
from vista.metrics.rec import RECMetric, rec_iou
from vista.metrics.spot_caption import (
    SpotCaptionMetric,
    content_words,
    link_phrases,
    spotted_phrases,
)
from vista.metrics.visual7w import Visual7WMetric, candidate_at, chosen_candidate, nearest_candidate

UNIT = (0.0, 0.0, 10.0, 10.0)
HALF = (0.0, 0.0, 10.0, 5.0)
FAR = (50.0, 50.0, 60.0, 60.0)
CORNERS = st.tuples(*[st.integers(0, 9)] * 4).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]) + 1, max(c[1], c[3]) + 1)
)


def cells(box):
    return set(itertools.product(range(box[0], box[2]), range(box[1], box[3])))


@given(CORNERS, CORNERS)
def test_overlap_as_counted_cells(a, b):
    shared, union = len(cells(a) & cells(b)), len(cells(a) | cells(b))
    hull = len(cells(enclosing_box((a, b))))
    assert box_iou(a, b) == pytest.approx(shared / union)
    assert box_giou(a, b) == pytest.approx(shared / union - (hull - union) / hull)
    assert box_iou(a, b) == box_iou(b, a)


def test_boxes_without_area_overlap_nothing():
    point = (3.0, 3.0, 3.0, 3.0)
    assert box_iou(point, point) == box_iou(point, UNIT) == box_giou(point, point) == 0
    assert box_iou((10.0, 10.0, 0.0, 0.0), UNIT) == 0  # swapped corners


def test_rec_is_strict_at_one_half():
    assert box_iou(UNIT, HALF) == 0.5
    made = [
        (Prediction(boxes=[HALF]), {"boxes": [UNIT]}),
        (Prediction(boxes=[(0, 0, 10, 5.001)]), {"boxes": [UNIT]}),
    ]
    assert score(RECMetric(), made)["pr50"] == 50


def test_rec_wants_exactly_one_box():
    assert rec_iou([], UNIT) == rec_iou([UNIT, UNIT], UNIT) == 0
    made = [
        (Prediction(boxes=[UNIT]), {"boxes": [UNIT]}),
        (Prediction(boxes=[UNIT, UNIT]), {"boxes": [UNIT]}),
        (Prediction(boxes=[UNIT], malformed=True), {"boxes": [UNIT]}),
        (Prediction(), {"boxes": [UNIT]}),
    ]
    assert score(RECMetric(), made) == {"pr50": 25, "mean_iou": 25, "n": 4, "parse_failures": 1}


def twin_matches(boxes, truth):
    pairs = sorted(
        (-box_giou(box, true), i, j)
        for (i, box), (j, true) in itertools.product(enumerate(boxes), enumerate(truth))
    )
    rows, columns = set(), set()
    for negative, i, j in pairs:
        if -negative >= 0.5 and i not in rows and j not in columns:
            rows.add(i)
            columns.add(j)
    return len(rows)


@given(st.lists(CORNERS, max_size=5), st.lists(CORNERS, max_size=5))
def test_grec_matching_as_the_twin(boxes, truth):
    assert match_boxes(boxes, truth) == twin_matches(boxes, truth)


def test_grec_matches_by_giou_not_iou():
    # IoU is 54/106 > 0.5, but the enclosing box is larger than the union.
    a, b = (0.0, 0.0, 8.0, 10.0), (2.0, 1.0, 10.0, 11.0)
    assert box_iou(a, b) > 0.5 > box_giou(a, b)
    assert match_boxes([a], [b]) == 0
    assert match_boxes([HALF], [UNIT]) == 1  # exactly 0.5 is a match


def test_grec_f1():
    assert f1_score([UNIT, FAR], [FAR, UNIT]) == 1
    assert f1_score([UNIT, UNIT], [UNIT]) == pytest.approx(2 / 3)  # a duplicate is a false positive
    assert f1_score([UNIT], [UNIT, FAR]) == pytest.approx(2 / 3)
    assert f1_score([], [UNIT]) == 0


def test_grec_metric():
    made = [
        (Prediction(boxes=[UNIT, FAR]), {"boxes": [FAR, UNIT]}),  # right
        (Prediction(boxes=[UNIT]), {"boxes": [FAR, UNIT]}),  # a miss, but not taken for no target
        (Prediction(), {"boxes": [UNIT]}),  # taken for no target
        (Prediction(boxes=[UNIT], malformed=True), {"boxes": [UNIT]}),  # wrong, a miss in t_acc too
        (Prediction(text="nothing here"), {"boxes": []}),  # right
        (Prediction(boxes=[UNIT]), {"boxes": []}),
        (Prediction(malformed=True), {"boxes": []}),  # a malformed attempt is not "no target"
    ]
    assert score(GRECMetric(), made) == pytest.approx(
        {"pr_f1": 200 / 7, "n_acc": 100 / 3, "t_acc": 50, "n": 7, "parse_failures": 2}
    )
    assert score(GRECMetric(), made[:1])["n_acc"] == 0  # no such samples
    assert score(GRECMetric(), made[4:5])["t_acc"] == 0


CANDIDATES = [UNIT, (0.0, 0.0, 4.0, 4.0), FAR, (50.0, 50.0, 60.0, 60.0)]


def test_visual7w_choice_from_a_box():
    assert nearest_candidate((1.0, 1.0, 9.0, 9.0), CANDIDATES) == 0
    assert nearest_candidate(FAR, CANDIDATES) == 2  # ties go to the lowest index
    assert nearest_candidate((20.0, 20.0, 30.0, 30.0), CANDIDATES) is None


def test_visual7w_choice_from_a_point():
    assert candidate_at(2, 2, CANDIDATES) == 1  # the smallest that holds it
    assert candidate_at(8, 8, CANDIDATES) == 0
    assert candidate_at(30, 30, CANDIDATES) is None
    assert chosen_candidate(Prediction(boxes=[(2.0, 2.0, 2.0, 2.0)]), CANDIDATES) == 1


def test_visual7w_metric():
    def ask(label, **fields):
        pred = Prediction(**fields)
        pred.choice = chosen_candidate(pred, CANDIDATES)
        return pred, {"boxes": CANDIDATES, "label": label}

    made = [
        ask(0, boxes=[UNIT]),
        ask(1, text="(B)"),
        ask(3, choice=3),
        ask(0, boxes=[UNIT, UNIT]),  # two boxes: wrong
        ask(0, boxes=[UNIT], malformed=True),
        ask(0, text="the dog"),
        ask(0, boxes=[(20.0, 20.0, 30.0, 30.0)]),  # well-formed, but beside all candidates
        ask(0, text="(F)"),
    ]
    assert score(Visual7WMetric(), made) == {"accuracy": 37.5, "n": 8, "parse_failures": 4}


def test_spotted_phrases():
    text = "A man [1, 2, 3, 4] <bsep> [5, 6, 7, 8] holds the dog [1, 1, 9, 9] ."
    phrases = words_before_boxes(text)
    assert spotted_phrases(phrases, [UNIT, FAR, HALF]) == [
        (["man"], UNIT),
        (["holds", "dog"], HALF),
    ]
    assert spotted_phrases(phrases, [UNIT]) == []
    assert content_words("The man's well-worn Hat ,") == ["man's", "well-worn", "hat"]


def test_phrases_are_linked_by_their_words():
    spotted = [(["man"], UNIT), (["holds", "brown", "dog"], HALF), (["and", "man"], FAR)]
    assert link_phrases(spotted, ["a man", "the dog", "A brown dog", "The man"]) == {
        0: UNIT,
        2: HALF,
        3: FAR,
    }
    assert link_phrases(spotted, ["men", "the"]) == {}


def test_spot_caption_recall():
    two = [UNIT, (20.0, 0.0, 30.0, 10.0)]
    phrases = [
        {"phrase": "A man", "boxes": two, "types": ["people"]},
        {"phrase": "the dog", "boxes": [HALF], "types": ["animals", "other"]},
        {"phrase": "the sky", "boxes": [], "types": ["scene"]},  # no box: skipped
        {"phrase": "a hat", "boxes": [FAR], "types": ["clothing"]},  # not in the caption: a miss
    ]
    ref = {"captions": ["A man holds the dog ."], "phrases": phrases}
    text = "a man [0, 0, 9, 9] holds the dog [0, 0, 9, 9]"
    metric = SpotCaptionMetric(metrics=("ROUGE_L",), tokenizer="python")
    fields = {
        "answer": "a man holds the dog",
        "boxes": [UNIT, UNIT],
        "phrases": words_before_boxes(text),
    }
    result = score(metric, [(Prediction(**fields), ref)])
    assert result["recall_at_1"] == pytest.approx(200 / 3)  # IoU 0.5 is a hit
    assert result["recall_at_1_merged"] == pytest.approx(
        100 / 3
    )  # the man's two boxes as one: IoU 1/3
    assert (
        result["recall_at_1_people"],
        result["recall_at_1_animals"],
        result["recall_at_1_other"],
    ) == (100, 100, 100)
    assert result["recall_at_1_clothing"] == result["recall_at_1_scene"] == 0
    assert result["ROUGE_L"] == pytest.approx(100)
    metric.reset()
    malformed = score(metric, [(Prediction(**fields, malformed=True), ref)])
    assert malformed["recall_at_1"] == malformed["ROUGE_L"] == 0


def test_boxes_may_be_numpy():
    assert box_iou(tuple(np.array(UNIT)), tuple(np.array(HALF))) == 0.5
