"""A test that was killed goes on where its answers end; a finished one, or one of another subject, begins anew."""

import json
import os
import shutil
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.distributed import checkpoint as distributed_checkpoint

from callbacks import predictions
from datamodules.source import LoadedSource, check_names
from tasks import Task
from tests.tiny import run
from vista.codec.codec import Codec
from vista.data import Annotation, Prediction
from vista.decoding.decoder import Decoder
from vista.predictions import from_record, prompt_of, read_records, still_asked, to_record


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


def test_a_link_in_a_folder_is_not_written_through(tested, tmp_path):
    folder, test, _ = tested
    (tmp_path / "own").write_text("mine")
    (folder / "predictions" / "unfinished.json").symlink_to(tmp_path / "own")
    test()
    assert (tmp_path / "own").read_text() == "mine"


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


@pytest.fixture
def subjects(monkeypatch):
    """Of what each test was, in order."""
    found, subject_of = [], predictions.subject_of
    monkeypatch.setattr(
        predictions, "subject_of", lambda *a: found.append(subject_of(*a)) or found[-1]
    )
    return found


def as_shards(file, folder):
    """A checkpoint as `ShardedStrategy` writes it."""
    content = torch.load(file, weights_only=True)
    weights = {"state_dict": content.pop("state_dict")}
    writer = distributed_checkpoint.FileSystemWriter(folder)
    distributed_checkpoint.save(weights, storage_writer=writer, no_dist=True)
    torch.save(content, folder / "meta.pt")
    return folder


def test_answers_of_another_checkpoint_of_a_sharded_run_are_not_taken(tested, subjects):
    folder, test, whole = tested
    total, checkpoints = sum(whole.values()), folder / "checkpoints"
    first, second = (as_shards(checkpoints / "best.ckpt", checkpoints / f"{k}.ckpt") for k in "ab")
    assert test(f"--ckpt_path={first}") == total
    kill(folder, subjects[-1])
    assert test(f"--ckpt_path={second}") == total
    kill(folder, subjects[0])
    assert test(f"--ckpt_path={first}") < total, "of the same weights they are"
    # The same folder, written anew by a training that went on.
    kill(folder, subjects[0])
    os.utime(first / "meta.pt", (1, 1))
    assert test(f"--ckpt_path={first}") == total


@pytest.mark.parametrize(
    "change", [[], ["--data.template=vicuna_v1"], ["--trainer.precision=bf16-true"]]
)
def test_answers_are_taken_under_the_same_settings_alone(tested, subjects, change):
    folder, test, whole = tested
    test()
    kill(folder, subjects[-1])
    assert (test(*change) == sum(whole.values())) is bool(change)


def test_an_answer_to_another_question_is_not_taken(tested, subjects):
    folder, test, whole = tested
    test()
    file = folder / "predictions" / "rec_refcoco_val.jsonl"
    before = contents(folder)
    kill(folder, subjects[-1])
    records = [json.loads(line) for line in file.read_text().splitlines()]
    records[0]["prompt"] = records[0]["prompt"].replace("the ", "a ", 1)
    records[-1]["images"] = ["another.png"]
    file.write_text("".join(predictions.as_line(record) for record in records))
    # One batch of four is taken of testA, none of testB; of the first source two batches are asked again.
    last_batch = (whole["rec_refcoco_val"] - 1) % 4 + 1
    rest = sum(whole.values()) - whole["rec_refcoco_val"] - 4
    assert test() == rest + 4 + last_batch
    after = contents(folder)
    assert sorted(after[1]["rec_refcoco_val.jsonl"].splitlines()) == sorted(
        before[1]["rec_refcoco_val.jsonl"].splitlines()
    ), "each question has one answer, the one of today"


def test_what_is_still_asked(tmp_path):
    turns = [["What is it?", "A cup."], ["Is it full?", "No."]]
    several = Annotation("2", ("b.png",), answers=("A cup.", "No."), extra={"turns": turns})
    one = Annotation("1", ("a.png",), question="Why?", answers=("because",), extra={})
    for task, annotation in (("vqav2", one), ("llava", several)):
        source = LoadedSource("s", Task.known[task](Codec()), tmp_path, [annotation])
        asked = source.question(annotation)
        prompt = prompt_of(asked)
        assert prompt == "\n".join(text for turn in asked for text in turn if text)
        record = to_record(annotation, prompt, Prediction(text="x"))
        stale: list[dict] = [
            {**record, "prompt": prompt.replace("?", "??", 1)},
            {**record, "images": ["c.png"]},
            {**record, "text": "", "malformed": True},  # the image could not be read
            {**record, "id": "3"},
            {"id": record["id"]},
        ]
        assert still_asked(source, [record]) == [record]
        assert [still_asked(source, [each]) for each in stale] == [[]] * len(stale)


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

    read = parse


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
        datamodule=SimpleNamespace(eval_sources=[SimpleNamespace(name="rec_val", scored=True)]),
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
    (tmp_path / "a.jsonl").write_bytes('{"id": "1"}\n{"id": "é'.encode()[:-1])
    assert [r["id"] for r in read_records(tmp_path / "a.jsonl")] == ["1"]


@pytest.mark.parametrize("bad", ['{"id": "2", "te', '["2"]', '{"id": 2}', "\x1c", "{}"])
def test_any_other_bad_line_is_named(tmp_path, bad):
    for end in ("\n", '\n{"id": "3"}\n', '\n{"id": "3"}'):
        (tmp_path / "a.jsonl").write_text(f'{{"id": "1"}}\n{bad}{end}')
        with pytest.raises(ValueError, match=r"a\.jsonl, line 2: this is no"):
            list(read_records(tmp_path / "a.jsonl"))


ENDS = (
    "a\u2028b\u2029c\u0085d\x0be\x1cf\rg\nh\ud800"  # of a line to Python, and what no file can hold
)


def test_a_text_may_hold_any_end_of_a_line(tmp_path):
    callback = predictions.Predictions(tmp_path)
    callback.folder.mkdir()
    records = []
    for k in range(40):
        annotation, prediction = Annotation(str(k), ()), Prediction(text=ENDS if k == 3 else "x")
        records.append(to_record(annotation, ENDS, prediction))
    callback._keep("s", records)
    assert callback._records("s") == records
    assert len((callback.folder / "s.jsonl").read_bytes().split(b"\n")) == 41


def test_names_that_differ_in_dots_have_files_of_their_own(tmp_path):
    names = ["rec", "rec.testA", "rec.testB"]
    callback = predictions.Predictions(tmp_path)
    callback.folder.mkdir()
    for name in names:
        for part in (f"{name}.jsonl", f"{name}.1.jsonl"):
            (callback.folder / part).write_text(f'{{"id": "{part}"}}\n')
    trainer: Any = SimpleNamespace(
        strategy=SimpleNamespace(barrier=lambda: None),
        is_global_zero=True,
        datamodule=SimpleNamespace(eval_sources=[SimpleNamespace(name=n, scored=True) for n in names]),
    )  # fmt: skip
    callback.on_test_end(trainer, None)  # type: ignore[arg-type]
    assert {f.name for f in callback.folder.iterdir()} == {f"{name}.jsonl" for name in names}
    for name in names:
        found = [r["id"] for r in read_records(callback.folder / f"{name}.jsonl")]
        assert sorted(found) == [f"{name}.1.jsonl", f"{name}.jsonl"]
    task: Any = None
    sources = [LoadedSource(name, task, tmp_path, []) for name in names]
    check_names(sources)
    for clash in ("rec.1", "rec"):
        with pytest.raises(ValueError, match="'rec"):
            check_names([*sources, LoadedSource(clash, task, tmp_path, [])])
