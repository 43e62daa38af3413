"""Intervals: by hand, against the evaluators themselves, and how often they hold the truth."""

import numpy as np
import pytest

from tasks import Task
from tests.task_sources import ON_FORMATS, annotations
from vista.app.intervals import headline_interval, sampled_score
from vista.codec.codec import Codec
from vista.data import Prediction
from vista.metrics.bootstrap import DRAWS, SampledScore, draw, middle, paired, resample
from vista.metrics.evaluator import CorpusEvaluator, Evaluator
from vista.metrics.nlvr2 import NLVR2Metric
from vista.metrics.per_sample import Parts, from_records, ratio
from vista.metrics.rec import RECMetric
from vista.metrics.res import RESMetric

BOX, OTHER = (0.0, 0.0, 10.0, 10.0), (20.0, 20.0, 30.0, 30.0)


def answered(task, own):
    """Right and wrong answers in turn, with their references."""
    texts = [task.target(a) if i % 2 else "no [1, 2" for i, a in enumerate(own)]
    return [task.parse(text, a) for text, a in zip(texts, own, strict=True)], [
        task.reference(a) for a in own
    ]


def filled(task, preds, references, images=None):
    side = SampledScore(task.evaluator(), task.headline)
    side.evaluator.tokenizer = "python"
    images = images or [str(index) for index in range(len(preds))]
    for pred, reference, image in zip(preds, references, images, strict=True):
        side.add(pred, reference, image)
    return side


def own_score(task, preds, references):
    evaluator = task.evaluator()
    evaluator.quick = True
    evaluator.tokenizer = "python"
    evaluator.update(preds, references)
    return float(evaluator.compute()[task.headline])


def boxes(rights, images=None):
    """REC's score of one box an image, right or wrong."""
    references = [{"boxes": [BOX if right else OTHER]} for right in rights]
    preds = [Prediction(boxes=[BOX])] * len(references)
    return filled(Task.known["rec"](Codec()), preds, references, images)


def test_draws_by_hand():
    """Two images, one right: the four draws of two give 100, 50, 50 and 0."""
    side = boxes([True, False])
    assert side(np.array([[2, 0], [1, 1], [0, 2]])).tolist() == [100, 50, 0]
    assert (side.score, side.malformed, side.interval()) == (50, 0, (0, 100))


def test_questions_about_one_image_are_drawn_together():
    """Image a has three right answers, b a wrong one: each is drawn whole."""
    side = boxes([True, True, False, True], ["a", "a", "b", "a"])
    assert side(np.array([[2, 0], [1, 1], [0, 2]])).tolist() == [100, 75, 0]
    assert set(resample([side], 50)[0].tolist()) == {100, 75, 0}
    assert boxes([True, False], ["a", "a"]).interval() is None, "one image says nothing of others"


def test_a_ratio_of_sums_is_that_of_the_drawn_totals():
    """oIoU: of pixels, so that a large object counts more; mIoU is a mean."""
    size = (20, 10)
    small, large = np.zeros(size, bool), np.ones(size, bool)
    small[:2] = True  # 20 pixels of 200
    side = SampledScore(RESMetric(paper_style=False), "oIoU")
    side.add(Prediction(masks=[small]), {"mask": small}, "a")
    side.add(Prediction(masks=[small]), {"mask": large}, "b")
    expected = [100, 100 * 40 / 220, 10]
    assert side(np.array([[2, 0], [1, 1], [0, 2]])) == pytest.approx(expected)


def test_the_middle_by_hand():
    assert middle(np.arange(101.0)[::-1]) == pytest.approx((2.5, 97.5))
    assert middle(np.arange(5.0), percent=50) == (1, 3)


def test_a_draw_is_as_large_as_the_set_and_the_same_again(monkeypatch):
    counts = draw(np.random.default_rng(0), 7, 2000)
    assert counts.shape == (2000, 7) and set(counts.sum(1)) == {7}
    assert counts.mean() == 1
    assert abs(counts.var() - 6 / 7) < 0.05  # binomial: 7 draws of one in seven
    side = boxes([True, False, True])
    drawn = resample([side, side], 100)
    assert (drawn[0] == drawn[1]).all(), "the same draws for both"
    assert (drawn == resample([side, side], 100)).all()
    assert (drawn != resample([side, side], 100, seed=1)).any()
    monkeypatch.setattr("vista.metrics.bootstrap.CELLS", 30)  # ten draws at once
    assert resample([side], 100).shape == (1, 100)


def test_the_order_of_the_answers_does_not_matter():
    one = boxes([True, False, True, True], ["a", "b", "c", "a"])
    other = boxes([True, True, False, True], ["c", "a", "b", "a"])
    assert one.interval() == other.interval()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "dataset", "split"), dict.fromkeys((t, d, s) for t, d, s in ON_FORMATS)
)
def test_every_image_once_is_the_score(name, dataset, split):
    task, own = Task.known[name](Codec()), annotations(name, dataset, split)
    preds, references = answered(task, own)
    side = filled(task, preds, references)
    assert side.score == pytest.approx(own_score(task, preds, references), abs=1e-9)
    assert side.can_be_drawn == (len(own) > 1)
    if side.take_apart is None:  # a caption may not be scored twice
        counts = [2 * (i % 3) + 1 for i in range(len(own))]
        repeated = [
            [x for x, n in zip(each, counts, strict=True) for _ in range(n)]
            for each in (preds, references)
        ]
        in_order = [counts[int(image)] for image in sorted(side.images)]
        assert side(np.array([in_order])) == pytest.approx([own_score(task, *repeated)], abs=1e-9)


def test_a_score_that_needs_the_whole_set_has_no_interval():
    """Consistency of NLVR2 is a share of statements, which its sums do not know."""
    for metric, can in (("accuracy", True), ("consistency", False)):
        side = SampledScore(NLVR2Metric(), metric)
        for image, right in (("a", True), ("b", False), ("c", True)):
            reference = {"label": "True", "identifier": f"dev-{image}-0-0"}
            side.add(Prediction(decision=right), reference, image)
        assert side.can_be_drawn == can and (side.interval() is not None) == can


def test_records_of_an_evaluator_from_outside_are_not_taken_for_ours():
    class Own(CorpusEvaluator):
        pass

    assert from_records(Own(), "CIDEr") is None and from_records(Evaluator(), "J") is None


def test_a_difference_of_two_sets_of_answers():
    """The same draws: where B is wrong on one of A's images alone, the difference is never negative."""
    first, second = boxes([True] * 8 + [False] * 8), boxes([True] * 5 + [False] * 11)
    found = paired(first, second)
    assert found.value == pytest.approx(100 * 3 / 16) and found.changed == [5, 6, 7]
    low, high = found.interval
    assert 0 <= low < found.value < high
    # Of independent draws the difference would seem to be anything.
    apart = resample([first])[0] - resample([second], seed=1)[0]
    assert middle(apart)[0] < 0
    assert paired(first, first).interval == (0, 0) and not paired(first, first).changed


class Simulated(SampledScore):
    """A score of simulated samples: a ratio of two sums."""

    def __init__(self, rows, images):
        self.images, self.take_apart, self.evaluator = images, ratio, None
        self.parts = Parts(rows, ratio)


def simulated(rng, is_clustered=True):
    """150 images of one to six questions; half of what makes an answer right is common to an image. Truth: 50."""
    sizes = rng.integers(1, 7, size=150)
    images = np.repeat(np.arange(len(sizes)), sizes)
    right = (rng.normal(size=len(sizes))[images] + rng.normal(size=len(images))) > 0
    rows = np.stack([100.0 * right, np.ones(len(images))], axis=1)
    return Simulated(rows, list(images) if is_clustered else list(range(len(images))))


def coverage(sets, is_clustered=True, draws=1000):
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(sets):
        low, high = simulated(rng, is_clustered).interval(draws)
        held += low <= 50 <= high
    return held / sets


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Of 1,000 sets 95 %, give or take 2; drawn question by question it would be too narrow."""
    assert 0.93 <= coverage(1000) <= 0.97
    assert coverage(300, is_clustered=False) < 0.92


def test_the_number_of_draws():
    assert DRAWS == 10_000


def test_an_interval_of_a_source_is_clustered_by_its_images():
    class Source:
        name, root, scored = "rec_val", None, True
        task = Task.known["rec"](Codec())
        annotations = annotations("rec", "refcoco", "val")

    right = headline_interval(Source, lambda a: Source.task.parse(Source.task.target(a), a))
    images = {a.images[0] for a in Source.annotations}
    assert right == ((100, 100) if len(images) > 1 else None)
    found = sampled_score(Source, lambda a: None)
    assert not found.images and found.score == 0 and found.interval() is None


def test_some_samples_of_a_score():
    """Of each sample by itself; of a part the score, its interval, and none where it has one image."""
    found = SampledScore(RECMetric(), "mean_iou")
    true = (0.0, 0.0, 10.0, 10.0)
    for index, width in enumerate((10.0, 5.0, 2.0, 1.0)):
        prediction = Prediction(boxes=[(0.0, 0.0, width, 10.0)])
        found.add(prediction, {"boxes": [true]}, f"image {index // 2}")
    assert found.of_samples.tolist() == pytest.approx([100.0, 50.0, 20.0, 10.0])
    part = found.only([0, 2])
    assert part.score == pytest.approx(60.0) and part.images == ["image 0", "image 1"]
    low, high = part.interval(100)
    assert 20 <= low < high <= 100
    assert found.only([0, 1]).interval(100) is None
    assert found.score == pytest.approx(45.0), "the whole is as it was"
