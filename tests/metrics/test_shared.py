"""What holds for every evaluator: batches, processes and order do not matter, an empty one gives zeros."""

import multiprocessing
import random

import pytest
import torch
from torchmetrics import Metric, MetricCollection

from datamodules.source import LoadedSource
from tasks import Task
from tests.metrics.cases import CASES, N, in_calls, samples, score, score_in_process
from vista.app.report import score_row
from vista.codec.codec import Codec
from vista.data import Annotation, Prediction
from vista.metrics.caption import CaptionMetric
from vista.metrics.rec import RECMetric

pytestmark = pytest.mark.filterwarnings("ignore:.* VCR questions have only one")


def near(scores):
    return pytest.approx(scores, rel=1e-12, abs=1e-12)


@pytest.fixture(scope="session")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gloo")
    spawn = multiprocessing.get_context("spawn")
    processes = [
        spawn.Process(target=score_in_process, args=(rank, 2, str(folder))) for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
        if process.is_alive():
            process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("name", CASES)
def test_two_processes_say_what_one_says(name, two_processes):
    alone = score(CASES[name][0](), samples(name))
    for rank in range(2):
        assert two_processes[rank][name] == pytest.approx(alone, rel=1e-12, abs=1e-12)
    assert two_processes[0][name] == two_processes[1][name]


@pytest.mark.parametrize("name", CASES)
def test_two_processes_score_their_own_batches(name, two_processes):
    """A call scores the batch of its own process; `compute` scores all, also where one process has none of them."""
    make, _ = CASES[name]
    whole = score(make(), samples(name))
    for rank in range(2):
        alone = [score(make(), [sample]) for sample in samples(name)[rank::2]]
        assert two_processes[rank][f"{name} in calls"] == [near(scores) for scores in alone]
        for key in (f"{name} after calls", f"{name} of one"):
            assert two_processes[rank][key] == near(whole)


def test_both_processes_raise_where_one_finds_an_error(two_processes):
    for result in two_processes:
        assert "more than one caption" in result["duplicate"]["raised"]
        assert result["failure"]["raised"] == "the first process failed"


@pytest.mark.parametrize("name", CASES)
def test_batch_size_and_order_do_not_matter(name):
    make, _ = CASES[name]
    made = samples(name)
    whole = score(make(), made)
    assert score(make(), made, batch=1) == pytest.approx(whole, rel=1e-12)
    random.Random(0).shuffle(made)
    assert score(make(), made, batch=4) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_call_scores_its_samples_alone_and_adds_them(name):
    make, _ = CASES[name]
    made, metric = samples(name), make()
    parts = [made[start : start + 5] for start in range(0, N, 5)]
    alone = [score(make(), part) for part in parts]
    assert in_calls(metric, made, batch=5) == [near(scores) for scores in alone]
    assert score(metric, []) == near(score(make(), made))


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
@pytest.mark.parametrize("name", CASES)
def test_merged_evaluators_say_what_one_says(name):
    make, _ = CASES[name]
    made = samples(name)
    whole, metric, by_state = near(score(make(), made)), make(), make()
    others = [make(), make()]
    score(metric, made[:3])  # a score that was asked for before is forgotten
    score(others[0], made[3:8], batch=2)
    in_calls(others[1], made[8:], batch=2)
    for other in others:
        metric.merge_state(other)
        by_state.merge_state(other.metric_state)
    assert score(metric, []) == whole
    by_state.update([pred for pred, _ in made[:3]], [ref for _, ref in made[:3]])
    assert score(by_state, []) == whole
    assert score(others[0], []) == near(score(make(), made[3:8]))


def test_a_state_without_records_is_refused():
    metric, other = (CASES["nlvr2"][0]() for _ in range(2))
    score(other, samples("nlvr2"))
    sums = {key: value for key, value in other.metric_state.items() if key.startswith("sum_")}
    with pytest.raises(ValueError, match="stored"):
        metric.merge_state(sums)


def test_evaluators_of_a_collection_share_their_records():
    """Of metrics with the same state torchmetrics updates one and hands its state to the others."""
    both = {name: CaptionMetric((name,), tokenizer="python") for name in ("CIDEr", "ROUGE_L")}
    made, collection = samples("caption"), MetricCollection(both)
    for start in range(0, N, 4):
        part = made[start : start + 4]
        collection.update([pred for pred, _ in part], [ref for _, ref in part])
    whole = score(CASES["caption"][0](), made)
    for name, metric in collection.items():
        assert float(metric.compute()[name]) == pytest.approx(whole[name])


def test_a_batch_that_is_refused_leaves_nothing_behind():
    metric, made = CASES["vcr"][0](), samples("vcr")
    refused = [(made[2][0], made[2][1]), (made[3][0], made[3][1] | {"mode": "no mode"})]
    with pytest.raises(ValueError, match="mode"):
        score(metric, refused)
    assert score(metric, made) == score(CASES["vcr"][0](), made)


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
@pytest.mark.parametrize("name", CASES)
def test_empty_evaluator_gives_zeros_and_warns(name):
    make, _ = CASES[name]
    metric = make()
    with pytest.warns(UserWarning, match="has seen no samples"):
        empty = {key: float(value) for key, value in metric.compute().items()}
    assert set(empty.values()) == {0.0}
    whole = score(make(), samples(name))
    assert set(whole) - set(empty) <= {"J_cow", "J_009_big_bird"}
    assert set(empty) <= set(whole)


@pytest.mark.parametrize("name", CASES)
def test_keys_scale_and_counts(name):
    metric = CASES[name][0]()
    result = score(metric, samples(name))
    assert not any(mark in key for key in result for mark in "@. /")
    assert result["n"] == N
    assert result["parse_failures"] >= 2 or name == "pope"
    assert all(0 <= value <= (1000 if key == "CIDEr" else 100) for key, value in result.items())
    assert all(
        value.ndim == 0 and value.dtype == torch.float64 for value in metric.compute().values()
    )


@pytest.mark.parametrize("name", CASES)
def test_reset_forgets_everything(name):
    metric = CASES[name][0]()
    first = score(metric, samples(name))
    metric.reset()
    assert score(metric, samples(name)) == first


@pytest.mark.parametrize("name", CASES)
def test_malformed_answers_earn_nothing(name):
    made = samples(name)
    for pred, _ in made:
        pred.malformed = True
    result = score(CASES[name][0](), made)
    free = {
        "n",
        "parse_failures",
        "yes_ratio",
        "auroc",
        "P",
        "P_image",
        "P_pooled",
    }  # P counts background
    assert {key: value for key, value in result.items() if key not in free and value} == {}


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError):
        RECMetric().update([Prediction()], [])


def test_sums_stay_float64_when_the_module_is_cast():
    metric = RECMetric()
    torch.nn.ModuleList([metric]).half()
    assert metric.sum_n.dtype == torch.float64


class RightAnswers(Metric):
    """A metric of another library: it knows nothing of our evaluators."""

    full_state_update = False

    def __init__(self):
        super().__init__()
        for name in ("right", "n"):
            self.add_state(name, torch.zeros(()), dist_reduce_fx="sum")

    def update(self, preds, target):
        self.right += sum(p.answer == t["answer"] for p, t in zip(preds, target, strict=True))
        self.n += len(preds)

    def compute(self):
        return {"right": 100 * self.right / self.n, "n": self.n, "parse_failures": torch.zeros(())}


def test_a_metric_of_another_library_will_do(tmp_path, monkeypatch):
    metric, task = RightAnswers(), Task.known["pqa"](Codec())
    monkeypatch.setattr(task, "evaluator", lambda: metric)
    monkeypatch.setattr(type(task), "headline", "right")
    annotations = [Annotation(str(k), (), label=label) for k, label in enumerate("aab")]
    source = LoadedSource("s", task, tmp_path, annotations)
    scores = {"test/s/right": 50.0, "test/s/n": 3, "test/s/parse_failures": 0}
    row = score_row(source, "test", scores)
    assert (row["score"], row["baseline"], row["n"]) == (50, pytest.approx(66.67), 3)
    assert not hasattr(metric, "quick")  # nothing is set that it does not declare
