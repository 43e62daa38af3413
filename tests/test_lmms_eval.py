"""The tasks for lmms-eval: their files load, and their functions score as `score` does; lmms-eval is not needed."""

import importlib.util
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

FOLDER = Path(__file__).parents[1] / "examples" / "lmms_eval"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.fixture(scope="module")
def utils():
    spec = importlib.util.spec_from_file_location("lmms_eval_utils", FOLDER / "utils.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def load(file, utils):
    """A file as lmms-eval reads it: `!function utils.name` is a function of the file beside it."""

    class Loader(yaml.SafeLoader):
        pass

    def function(loader, node):
        module, name = loader.construct_scalar(node).split(".")
        assert module == "utils"
        return getattr(utils, name)

    Loader.add_constructor("!function", function)
    return yaml.load(file.read_text(), Loader)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_loads_and_its_metrics_are_computed(file, utils):
    task = load(file, utils)
    assert task["task"] == file.stem
    doc = {**DOC, "answer": "yes", "question": "Is there a cup?"}
    found = task["process_results"](doc, ["[0, 0, 9, 9]"])
    for metric in task["metric_list"]:
        assert 0 <= metric["aggregation"]([found[metric["metric"]]]) <= 100
    assert task["doc_to_visual"](doc)[0].mode == "RGB" and task["doc_to_text"](doc)


DOC = {
    "question_id": 7,
    "image": Image.new("L", (200, 100)),
    "answer": "the cup",
    "bbox": [20.0, 10.0, 100.0, 50.0],
}


def test_a_row_for_each_expression(utils):
    class Dataset:
        def map(self, function, batched):
            assert batched
            return function({"answer": [["a", "b"], ["c"]], "question_id": [1, 2]})

    assert utils.one_row_an_expression(Dataset()) == {
        "answer": ["a", "b", "c"],
        "question_id": [1, 1, 2],
    }


def test_boxes_are_scored(utils):
    """200 x 100: pixels 20..120 and 10..60 are thousandths 100..600 of each side."""
    right = utils.rec_results(DOC, ["[100, 100, 600, 600]"])
    wrong = utils.rec_results(DOC, ["[0, 0, 99, 99]"])
    unread = utils.rec_results(DOC, ["I cannot see it."])
    assert utils.rec_pr50([right["pr50"], wrong["pr50"]]) == 50
    assert utils.rec_pr50([right["pr50"], wrong["pr50"], unread["pr50"]]) == pytest.approx(100 / 3)
    assert utils.rec_mean_iou([right["mean_iou"]]) > 97
    assert "the cup" in utils.ask_box(DOC)


def test_yes_and_no_are_scored(utils):
    docs = [
        {"question_id": k, "question": "Is there a cup?", "answer": answer}
        for k, answer in enumerate(("yes", "yes", "no"))
    ]
    found = [utils.pope_results(doc, ["Yes, there is."])["f1"] for doc in docs]
    assert utils.pope_f1(found) == pytest.approx(80)  # precision 2/3, recall 1
    assert utils.pope_accuracy(found) == pytest.approx(200 / 3)
