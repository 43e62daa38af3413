"""The example of an outside dataset: its reader, its task, and a few steps of training by the command line."""

import json
import sys
from pathlib import Path

import pytest

from datamodules.readers import READERS, Reader
from main import main
from tasks import Task
from vista.app.plugins import load_plugin
from vista.codec.codec import Codec
from vista.data import InputError, Prediction
from vista.decoding.grammar import compile_grammar
from vista.tokens.tokenizer import Tokenizer

ROOT = Path(__file__).parents[1]
pytest.importorskip("easy_vqa", reason="the extra `examples` is not installed")


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example's task and reader, which no other test meets."""
    monkeypatch.setattr(Task, "known", dict(Task.known))
    monkeypatch.setitem(READERS, "easy_vqa", Reader)  # forgotten after the test
    monkeypatch.delitem(sys.modules, "plugin_easy_vqa", raising=False)
    load_plugin(ROOT / "examples" / "easy_vqa.py")


@pytest.mark.parametrize(
    ("split", "questions", "images"),
    [("train", 38575, 4000), ("train_words", 10168, 3816), ("test", 9673, 1000)],
)
def test_reader_reads_the_official_files(split: str, questions: int, images: int) -> None:
    reader = READERS["easy_vqa"](Path("/"), split)
    annotations = list(reader)
    assert (len(annotations), len({a.images for a in annotations})) == (questions, images)
    assert not reader.problems
    assert (Path("/") / annotations[-1].images[0]).is_file()


def test_root_that_does_not_hold_the_package(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"easy_vqa lies in .*, which is not below the data root"):
        list(READERS["easy_vqa"](tmp_path, "test"))


def test_target_is_legal_and_is_read_back() -> None:
    task = Task.known["easy_vqa"](Codec())
    tokenizer = Tokenizer(ROOT / "configs" / "tiny" / "tokenizer")
    annotations = list(READERS["easy_vqa"](Path("/"), "test"))[:200]
    evaluator = task.evaluator()
    for a in annotations:
        text = task.target(a)
        assert compile_grammar(task.grammar(a), tokenizer).accepts(tokenizer.encode(text, eos=True))
        evaluator.update([task.parse(text, a)], [task.reference(a)])
    assert {k: float(v) for k, v in evaluator.compute().items()} == {
        "accuracy": 100, "accuracy_yes_no": 100, "accuracy_other": 100, "n": 200, "parse_failures": 0
    }  # fmt: skip
    nonsense: list[Prediction] = [
        task.parse(text, annotations[0]) for text in ("", "maybe", "yes no", "[1, 2]")
    ]
    assert all(prediction.malformed for prediction in nonsense)


def test_train_and_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["main.py"])
    (tmp_path / "configs").symlink_to(ROOT / "configs")  # the tiny tokenizer and encoder
    few = [
        "--data.order.epoch_samples",
        "192",
        "--data.scoring.max_val",
        "40",
        "--data.num_workers",
        "0",
    ]
    main(
        [
            "fit",
            "--config",
            str(ROOT / "examples" / "easy_vqa.yaml"),
            "--trainer.max_epochs",
            "1",
            *few,
        ]
    )
    plugin = str(ROOT / "examples" / "easy_vqa.py")
    main(["test", "--plugin", plugin, "--data.scoring.max_test", "40", "--data.num_workers", "0"])
    scores = json.loads((tmp_path / "runs" / "easy_vqa" / "scores_test.json").read_text())
    (row,) = scores["table"]
    assert (row["name"], row["metric"], row["parse_failures"]) == ("easy_vqa_test", "accuracy", 0)
    assert (
        len((tmp_path / "runs/easy_vqa/predictions/easy_vqa_test.jsonl").read_text().splitlines())
        == row["n"]
    )
    assert "easy_vqa_test" in capsys.readouterr().out
