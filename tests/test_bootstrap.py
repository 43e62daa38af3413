"""The paired bootstrap of `benchmarks/bootstrap.py`: by hand, and against the evaluators themselves."""

import numpy as np
import pytest

from benchmarks.bootstrap import VALUES, Headline, draw, interval
from tasks import Task
from tests.task_sources import ON_FORMATS, annotations
from vista.codec.codec import Codec
from vista.data import Prediction


def answered(task, own):
    """Right and wrong answers in turn, with their references."""
    texts = [task.target(a) if i % 2 else "no [1, 2" for i, a in enumerate(own)]
    return [task.parse(text, a) for text, a in zip(texts, own, strict=True)], [
        task.reference(a) for a in own
    ]


def filled(task, preds, references):
    side = Headline(task)
    if hasattr(side.evaluator, "tokenizer"):
        side.evaluator.tokenizer = "python"
    for pred, reference in zip(preds, references, strict=True):
        side.add(pred, reference)
    return side


def own_score(task, preds, references):
    evaluator = task.evaluator()
    evaluator.quick = True
    if hasattr(evaluator, "tokenizer"):
        evaluator.tokenizer = "python"
    evaluator.update(preds, references)
    return float(evaluator.compute()[task.headline])


def test_draws_by_hand():
    """Two boxes, one right: the four draws of two give 100, 50, 50 and 0."""
    task = Task.known["rec"](Codec())
    box, other = (0.0, 0.0, 10.0, 10.0), (20.0, 20.0, 30.0, 30.0)
    side = filled(task, [Prediction(boxes=[box])] * 2, [{"boxes": [box]}, {"boxes": [other]}])
    assert side(np.array([[2, 0], [1, 1], [0, 2]])).tolist() == [100, 50, 0]
    assert (len(side), side.malformed) == (2, 0)


def test_the_interval_by_hand():
    assert interval(np.arange(101.0)[::-1]) == pytest.approx((2.5, 97.5))
    assert interval(np.arange(5.0), percent=50) == (1, 3)


def test_a_draw_is_as_large_as_the_set_and_the_same_again():
    counts = draw(7, 2000)
    assert counts.shape == (2000, 7) and set(counts.sum(1)) == {7}
    assert (
        counts.mean() == 1 and abs(counts.var() - 6 / 7) < 0.05
    )  # binomial: 7 draws of one in seven
    assert (counts == draw(7, 2000)).all() and (counts != draw(7, 2000, seed=1)).any()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "dataset", "split"), dict.fromkeys((t, d, s) for t, d, s in ON_FORMATS)
)
def test_every_question_once_is_the_score(name, dataset, split):
    task, own = Task.known[name](Codec()), annotations(name, dataset, split)
    preds, references = answered(task, own)
    side = filled(task, preds, references)
    assert side(np.ones((1, len(side)), int)) == pytest.approx(
        [own_score(task, preds, references)], abs=1e-9
    )
    if task.headline not in VALUES:  # a caption may not be scored twice
        counts = [2 * (i % 3) + 1 for i in range(len(own))]
        repeated = [
            [x for x, n in zip(each, counts, strict=True) for _ in range(n)]
            for each in (preds, references)
        ]
        assert side(np.array([counts])) == pytest.approx([own_score(task, *repeated)], abs=1e-9)
