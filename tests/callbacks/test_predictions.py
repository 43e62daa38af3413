"""A test that was killed goes on where its answers end; a finished one, or one of another subject, begins anew."""

import json
import shutil
from types import SimpleNamespace
from typing import Any

import pytest

from callbacks import predictions
from tests.tiny import run
from vista.data import Annotation, Prediction
from vista.decoding.decoder import Decoder
from vista.predictions import from_record, read_records, to_record


@pytest.fixture
def tested(finished_run, tmp_path, monkeypatch):
    """A copy of the finished run after a test; how to test it again: flags -> questions that the model was asked."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "stage1"
    shutil.copytree(finished_run.folder, folder)
    asked, answer = [], Decoder.__call__

    def counted(self, model, batch, tasks, annotations):
        asked.extend(a.id for a in annotations)
        return answer(self, model, batch, tasks, annotations)

    monkeypatch.setattr(Decoder, "__call__", counted)

    def test(*flags):
        asked.clear()
        outcome = run(
            "test",
            "--task",
            "rec",
            "--data.scoring.eval_batch_size=4",
            "--data.scoring.max_test=10",
            *flags,
        )
        assert outcome.code == 0, outcome.err
        return len(asked)

    whole = {f"rec_refcoco_{split}": 0 for split in ("val", "testA", "testB")}
    total = test()
    for name in whole:
        whole[name] = len((folder / "predictions" / f"{name}.jsonl").read_text().splitlines())
    assert total == sum(whole.values())
    return folder, test, whole


def contents(folder):
    scores = json.loads((folder / "scores_test.json").read_text())
    return scores, {f.name: f.read_text() for f in (folder / "predictions").iterdir()}


def kill(folder, subject):
    """What a test leaves that is killed after five answers of the second source, in the middle of a line."""
    files = folder / "predictions"
    whole = (files / "rec_refcoco_testA.jsonl").read_text().splitlines(keepends=True)
    (files / "rec_refcoco_testA.jsonl").write_text("".join(whole[:5]) + whole[5][:20])
    (files / "rec_refcoco_testB.jsonl").unlink()
    (files / "unfinished.json").write_text(subject)


def test_goes_on_where_the_answers_end(tested, monkeypatch):
    folder, test, whole = tested
    before, total, subjects, subject_of = (
        contents(folder),
        sum(whole.values()),
        [],
        predictions.subject_of,
    )
    monkeypatch.setattr(
        predictions, "subject_of", lambda *a: subjects.append(subject_of(*a)) or subjects[-1]
    )
    assert test() == total, "a finished test is not gone on with"
    kill(folder, subjects[-1])
    rest = whole["rec_refcoco_testA"] - 4 + whole["rec_refcoco_testB"]
    assert test() == rest, "one batch is taken; of the next only one answer was there"
    assert contents(folder) == before
    kill(folder, subjects[-1])
    assert test("--model.decoding.num_beams=2") == total, "another way of decoding"
    assert test() == total and contents(folder) == before


def test_without_a_grammar_nothing_is_forced(tested):
    folder, test, _ = tested
    texts = [
        json.loads(line)
        for line in (folder / "predictions/rec_refcoco_val.jsonl").read_text().splitlines()
    ]
    assert not any(record["malformed"] for record in texts)
    assert all(record["confidence"] < 0 and len(record["spreads"]) == 4 for record in texts)
    test("--model.decoding.grammar=false")
    free = [
        json.loads(line)
        for line in (folder / "predictions/rec_refcoco_val.jsonl").read_text().splitlines()
    ]
    assert [r["id"] for r in free] == [r["id"] for r in texts] and free != texts


class Words:
    """A task that reads any text."""

    @staticmethod
    def parse(text, annotation):
        return Prediction(text=text, answer=text, scores={"of": 1.0}, malformed=not text)


def test_records_and_back():
    annotation = Annotation(id="7", images=())
    full = Prediction(
        text="rot",
        answer="rot",
        scores={"of": 1.0, "yes": 0.1 + 0.2},
        confidence=-0.25,
        spreads=[1.5],
    )
    unreadable = Prediction(malformed=True)
    for prediction in (full, unreadable, Prediction(text="a", answer="a", scores={"of": 1.0})):
        record = json.loads(json.dumps(to_record(annotation, "?", prediction)))
        assert record["id"] == "7" and record["prompt"] == "?"
        assert from_record(Words, annotation, record) == prediction


def test_answers_of_all_processes_end_in_one_file(tmp_path):
    folder = tmp_path / "predictions"
    folder.mkdir()
    (folder / "rec_val.jsonl").write_text('{"id": "1"}\n{"id": "3"}\n')
    (folder / "rec_val.1.jsonl").write_text('{"id": "2"}\n')
    (folder / "rec_val_unseen_wording.jsonl").write_text('{"id": "1"}\n')
    trainer: Any = SimpleNamespace(
        strategy=SimpleNamespace(barrier=lambda: None),
        is_global_zero=True,
        datamodule=SimpleNamespace(eval_sources=[SimpleNamespace(name="rec_val")]),
    )
    predictions.Predictions(tmp_path).on_test_end(trainer, None)  # type: ignore[arg-type]
    assert sorted(r["id"] for r in read_records(folder / "rec_val.jsonl")) == ["1", "2", "3"]
    assert {path.name for path in folder.iterdir()} == {
        "rec_val.jsonl",
        "rec_val_unseen_wording.jsonl",
    }


def test_a_cut_line_ends_the_file(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "1"}\n{"id": "2"}\n{"id": "3", "te')
    assert [r["id"] for r in read_records(tmp_path / "a.jsonl")] == ["1", "2"]
