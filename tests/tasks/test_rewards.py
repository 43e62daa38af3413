"""What one answer is worth, by hand, and against the evaluator that scores a whole set."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from pycocoevalcap.cider.cider import Cider
from torchmetrics import Metric

from tasks import Task
from vista.codec.codec import Codec
from vista.data import Annotation, Prediction
from vista.metrics.cider import CiderOfOne

BOX = (10.0, 10.0, 30.0, 30.0)
CAPTIONS = [
    ["a red circle left of a blue square", "there is a red circle"],
    ["a blue square above a green star", "a green star below a blue square"],
    ["two red circles", "a pair of red circles beside a star"],
]


def task(name):
    return Task.known[name](Codec(num_points=8))


def mask(rows):
    drawn = np.zeros((40, 40), dtype=bool)
    drawn[10 : 10 + rows, 10:30] = True
    return drawn


def of_boxes(*boxes, **rest):
    return Prediction(boxes=list(boxes), **rest)


@pytest.mark.parametrize(
    ("name", "prediction", "reference", "reward"),
    [
        ("rec", of_boxes((10, 10, 30, 20)), {"boxes": [BOX]}, 0.5),
        ("rec", of_boxes(BOX, BOX), {"boxes": [BOX]}, 0),
        ("grec", of_boxes(), {"boxes": []}, 1),
        ("grec", of_boxes(), {"boxes": [BOX]}, 0),
        ("grec", of_boxes(BOX), {"boxes": []}, 0),
        ("grec", of_boxes(BOX, (0, 0, 1, 1)), {"boxes": [BOX]}, 2 / 3),
        ("res", Prediction(masks=[mask(10)]), {"mask": mask(20), "target_mask": mask(20)}, 0.5),
        ("gres", Prediction(), {"masks": [], "target_masks": []}, 1),
        ("gres", Prediction(masks=[mask(1)]), {"masks": [], "target_masks": []}, 0),
        ("gres", Prediction(), {"masks": [mask(1)], "target_masks": [mask(1)]}, 0),
        (
            "coseg",
            Prediction(masks=[mask(10), mask(20)]),
            {"masks": [mask(20), mask(20)], "class": "dog", "count": [True, True]},
            0.75,
        ),
        (
            "attcoseg",
            Prediction(numbers=[1, 2], masks=[mask(10), mask(20)]),
            {"pair": [1, 2], "masks": [mask(20), mask(20), mask(0)]},
            0.875,
        ),
        (
            "attcoseg",
            Prediction(numbers=[3, 3], masks=[mask(9), mask(9)]),
            {"pair": [1, 2], "masks": [mask(20), mask(20), mask(0)]},
            0,
        ),
        ("pope", Prediction(decision=False), {"label": "no"}, 1),
        ("pope", Prediction(decision=True), {"label": "no"}, 0),
        ("vcr", Prediction(choice=2), {"annot_id": "a", "mode": "qa_r", "label": 2}, 1),
        ("vcr", Prediction(), {"annot_id": "a", "mode": "q_a", "label": 0}, 0),
        ("pqa", Prediction(answer="two"), {"answer": "2", "granularity": "obj_question"}, 1),
        ("bqa", Prediction(choice=1), {"boxes": [BOX] * 4, "label": 1}, 1),
        ("nlvr2", Prediction(decision=True), {"label": "True", "identifier": "dev-1-0-1"}, 1),
        ("vqav2", Prediction(answer="red"), {"answers": ["red"] * 3 + ["blue"] * 7}, 0.9),
        ("textvqa", Prediction(answer="red"), {"answers": ["Red"] * 3 + ["blue"] * 7}, 0.9),
        ("iconqa", Prediction(choice=1), {"label": 1, "skills": []}, 1),
        ("hateful_memes", Prediction(decision=True), {"label": 1}, 1),
        ("llava", Prediction(answer="it is red"), {"answer": "it is red"}, 1),
    ],
)  # fmt: skip
def test_rewards_by_hand(name, prediction, reference, reward):
    own = task(name)
    assert own.reward(prediction, reference) == pytest.approx(reward)
    prediction.malformed = True
    assert own.reward(prediction, reference) == 0


def test_a_caption_with_boxes_is_paid_for_right_phrases_alone():
    """One of two phrases is found: F1 is 2/3, with a box for nothing beside it 1/2, with all phrases 1."""
    own, far = task("spot_caption"), (0.0, 0.0, 1.0, 1.0)
    phrases = [
        {"phrase": "A man", "boxes": [BOX]},
        {"phrase": "a dog", "boxes": [(30.0, 0.0, 40.0, 9.0)]},
    ]
    reference = {"captions": ["A man holds a dog"], "phrases": phrases}
    for boxes, words, reward in (
        ([BOX], ["A man "], 2 / 3),
        ([BOX, far], ["A man ", "a bird "], 1 / 2),
        ([BOX, (30.0, 0.0, 40.0, 9.0)], ["A man ", "a dog "], 1),
        ([far, far], ["A man ", "a dog "], 0),
    ):
        said = Prediction(answer="x", boxes=boxes, phrases=words)
        assert own.reward(said, reference) == pytest.approx(reward)


def test_rewards_fall_with_the_overlap():
    """Boxes and masks that leave the true one step by step: REC, GREC, RES, GRES, CoSeg."""
    steps = range(0, 21, 2)
    boxes = [of_boxes((10.0 + k, 10.0, 30.0 + k, 30.0)) for k in steps]
    masks = [Prediction(masks=[np.roll(mask(20), k, axis=1)]) for k in steps]
    truth = {"masks": [mask(20)], "target_masks": [mask(20)], "class": "a", "count": [True]}
    whole = {"mask": mask(20), "target_mask": mask(20)}
    for name, preds, reference in (
        ("rec", boxes, {"boxes": [BOX]}),
        ("grec", boxes, {"boxes": [BOX]}),
        ("res", masks, whole),
        ("gres", masks, truth),
        ("coseg", masks, truth),
    ):
        earned = [task(name).reward(pred, reference) for pred in preds]
        assert earned[0] == pytest.approx(1) and earned[-1] == pytest.approx(0)
        assert all(more >= less for more, less in pairwise(earned)), name
        assert name == "grec" or len(set(earned)) == len(earned)  # its pairs are matched or not


def test_cider_of_one_caption_is_the_librarys():
    """Where the training set is the set that is scored, one caption has what it has in the set."""
    said = ["a red circle and a square", "a green star", "two red circles"]
    gts = dict(enumerate(CAPTIONS))
    _, scores = Cider().compute_score(gts, {k: [caption] for k, caption in enumerate(said)})
    one = CiderOfOne(CAPTIONS)
    found = [one(caption, own) for caption, own in zip(said, CAPTIONS, strict=True)]
    assert found == pytest.approx((scores / 10).tolist()) and max(found) > 0.3
    assert one("", CAPTIONS[0]) == 0
    assert CiderOfOne()("a red circle there", ["a red circle there"]) == pytest.approx(1)


def test_captions_are_rewarded_by_the_words_of_the_training_set():
    """What all images have is worth nothing; before any set is known all words are alike."""
    shown = []
    for k, own in enumerate(CAPTIONS):
        shown.append(Annotation(str(k), (f"{k}.jpg",), captions=(f"here {own[0]} now",)))
    own = task("caption")
    reference = own.reference(shown[0])
    common = Prediction(answer="here now and then")
    before = own.reward(common, reference)
    own.prepare_rewards(shown)
    assert own.reward(common, reference) < before
    assert own.reward(Prediction(answer=shown[0].captions[0]), reference) == pytest.approx(1)


def test_any_evaluator_of_torchmetrics_will_do():
    class Share(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("right", torch.zeros(()), dist_reduce_fx="sum")

        def update(self, preds, target):
            self.right += sum(p.answer == t["answer"] for p, t in zip(preds, target, strict=True))

        def compute(self):
            return {"share": 100 * self.right}

    known = dict(Task.known)
    try:

        class Mine(Task.known["vqav2"]):
            name = "mine"
            headline = "share"

            def evaluator(self):
                return Share()

        own = Mine(Codec())
    finally:
        Task.known.clear()
        Task.known.update(known)
    for said, reward in (("red", 1.0), ("blue", 0.0), ("red", 1.0)):
        assert own.reward(Prediction(answer=said), {"answer": "red"}) == reward
