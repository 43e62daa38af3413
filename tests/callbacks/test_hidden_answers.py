"""Splits whose answers are hidden: they are answered, nothing is scored, the benchmark's server gets its file."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from datamodules.readers import READERS
from datamodules.source import LoadedSource, Source, check_source
from datamodules.splits import Splits
from tasks import Task
from tasks.vcr import ANSWERS
from tests.tiny import run
from vista.app.report import print_table, score_row
from vista.codec.codec import Codec
from vista.data import Annotation, Prediction
from vista.draw import save_png
from vista.metrics.vcr import leaderboard
from vista.predictions import write_submission

FORMATS = Path(__file__).parents[1] / "formats"
SOURCES = {
    "vqav2": {
        "task": "vqav2",
        "dataset": "vqav2",
        "test": {"vqav2_test_dev": "test-dev", "vqav2_test": "test", "vqav2_val": "val"},
    },
    "textvqa": {"task": "textvqa", "dataset": "textvqa", "test": {"textvqa_test": "test"}},
    "vcr": {"task": "vcr", "dataset": "vcr", "test": {"vcr_test": "test"}},
}
HIDDEN = ("vqav2_test_dev", "vqav2_test", "textvqa_test", "vcr_test")
NOTHING = "no answers in this split"
HEADER = (
    "annot_id,answer_0,answer_1,answer_2,answer_3,rationale_conditioned_on_a0_0,"
    "rationale_conditioned_on_a0_1,rationale_conditioned_on_a0_2,rationale_conditioned_on_a0_3,"
    "rationale_conditioned_on_a1_0,rationale_conditioned_on_a1_1,rationale_conditioned_on_a1_2,"
    "rationale_conditioned_on_a1_3,rationale_conditioned_on_a2_0,rationale_conditioned_on_a2_1,"
    "rationale_conditioned_on_a2_2,rationale_conditioned_on_a2_3,rationale_conditioned_on_a3_0,"
    "rationale_conditioned_on_a3_1,rationale_conditioned_on_a3_2,rationale_conditioned_on_a3_3"
)


@pytest.fixture
def answered(finished_run, tmp_path, monkeypatch):
    """The folder of a run that was tested on hidden and other answers, the config, and what was printed."""
    root, folder = tmp_path / "root", tmp_path / "runs" / "stage1"
    for name in ("vqav2", "textvqa", "vcr"):
        shutil.copytree(FORMATS / name, root / name)
    grey = np.full((40, 60, 3), 128, dtype=np.uint8)
    for source in SOURCES.values():
        for split in source["test"].values():
            for annotation in READERS[source["dataset"]](root, split):
                save_png(root / annotation.images[0], grey)
    shutil.copytree(finished_run.folder, folder)
    config = tmp_path / "hidden.yaml"
    config.write_text(yaml.safe_dump({"data": {"root": str(root), "sources": SOURCES}}))
    monkeypatch.chdir(tmp_path)
    words = ["--config", config, "--data.tasks=[vqav2,textvqa,vcr]", "--data.replay_tasks=null"]
    outcome = run("test", *words, "--data.scoring.unseen_prompts=2")
    assert outcome.code == 0, outcome.err
    return folder, config, outcome.out


def submissions(folder):
    return {f.name: f.read_text() for f in folder.glob("*.submission.*")}


def test_they_are_answered_and_not_scored(answered):
    folder, _, printed = answered
    assert printed.count(f"{NOTHING}; for its server: ") == len(HIDDEN)
    files = submissions(folder)
    assert set(files) == {
        "vqav2_test_dev.submission.json", "vqav2_test.submission.json", "textvqa_test.submission.json",
        "vcr_test.submission.csv",
    }  # fmt: skip
    for name, content in files.items():
        if name.endswith("json"):
            rows = json.loads(content)
            assert rows and all(list(row) == ["question_id", "answer"] for row in rows)
            assert all(isinstance(row["question_id"], int) for row in rows)
            assert all(isinstance(row["answer"], str) for row in rows)
    assert [row["question_id"] for row in json.loads(files["vqav2_test_dev.submission.json"])] == [
        1000
    ]
    assert files["vcr_test.submission.csv"].splitlines()[0] == HEADER
    (row,) = csv.DictReader(files["vcr_test.submission.csv"].splitlines())
    assert row.pop("annot_id") == "test-0"
    values = np.array(list(row.values()), dtype=float).reshape(5, 4)
    assert np.allclose(values.sum(1), 1, atol=1e-4) and (values > 0).all()
    content = json.loads((folder / "scores_test.json").read_text())
    by_name = {row["name"]: row for row in content["table"]}
    assert set(by_name) == {*HIDDEN, "vqav2_val", "vqav2_val_unseen_wording"}
    for name in HIDDEN:
        row = by_name[name]
        assert (
            row["score"] is None
            and row["what"] == NOTHING
            and row["n"] == (5 if "vcr" in name else 1)
        )
        assert not any(key.startswith(f"test/{name}/") for key in content["all"])
    assert by_name["vqav2_val"]["score"] is not None
    # The likelier option is the answer that was given.
    lines = (folder / "predictions" / "vcr_test.jsonl").read_text().splitlines()
    for record in map(json.loads, lines):
        assert record["text"] == max(ANSWERS, key=record["scores"].__getitem__)


def test_score_makes_the_same_files_of_the_answers(answered, capsys):
    folder, config, _ = answered
    made = submissions(folder)
    predictions = [folder / "predictions" / f"{name}.jsonl" for name in HIDDEN]
    outcome = run("score", "--config", config, "--predictions", *predictions)
    assert outcome.code == 0, outcome.err
    assert submissions(folder / "predictions") == made
    assert outcome.out.count(NOTHING) == 2 * len(HIDDEN)  # a line and a row of the table each


def test_captions_go_to_cocos_server(tmp_path):
    """As https://cocodataset.org/#format-results has it: image_id is a number, caption a text, one of each image."""
    source = Source("caption", "coco", test={"caption_coco_test": "test2014"})
    check_source("caption", source)
    splits = Splits(FORMATS, Codec(), tmp_path)
    (asked,) = splits.load({"caption": source}, "test")
    assert not asked.scored and [a.id for a in asked.annotations] == ["1", "16"]
    assert [a.images for a in asked.annotations] == [
        ("coco/test2014/COCO_test2014_000000000001.jpg",),
        ("coco/test2014/COCO_test2014_000000000016.jpg",),
    ]
    assert asked.question(asked.annotations[0])[0][1] == ""
    file = write_submission(
        tmp_path / "caption_coco_test", asked, lambda a: asked.task.parse(f"a cat  {a.id}", a)
    )
    assert file is not None and file.name == "caption_coco_test.submission.json"
    assert json.loads(file.read_text()) == [
        {"image_id": 1, "caption": "a cat 1"},
        {"image_id": 16, "caption": "a cat 16"},
    ]


def test_vcr_is_asked_for_the_reason_of_each_answer():
    task = Task.known["vcr"](Codec())
    annotations = task.regroup(list(READERS["vcr"](FORMATS, "test")))
    assert [a.id for a in annotations] == [f"test-0_{mode}" for mode in
                                           ("q_a", "qa_r_a0", "qa_r_a1", "qa_r_a2", "qa_r_a3")]  # fmt: skip
    first, *others = (task.question(a)[0][0] for a in annotations)
    assert "The answer is:" not in first
    named = [
        task._name(text, annotations[0])
        for text in annotations[0].extra["marked"]["answer_choices"]
    ]
    for prompt, answer in zip(others, named, strict=True):
        assert f"The answer is: {answer} Why?" in prompt
    known = task.regroup(list(READERS["vcr"](FORMATS, "val")))
    assert [a.extra["mode"] for a in known] == ["q_a", "qa_r"]


def test_the_leaderboards_table():
    modes = ("q_a", "qa_r_a0", "qa_r_a1", "qa_r_a2", "qa_r_a3")
    results = [("test-1", mode, (0.1, 0.2, 0.3, 0.4)) for mode in modes]
    header, one, two = leaderboard([*results, ("test-0", "q_a", (1.0, 0.0, 0.0, 0.0))]).splitlines()
    assert header == HEADER
    assert one == "test-1" + ",0.1,0.2,0.3,0.4" * 5
    assert two == "test-0,1,0,0,0" + ",0.25,0.25,0.25,0.25" * 4
    task = Task.known["vcr"](Codec())
    extra = {"annot_id": "test-0", "mode": "q_a"}
    for prediction, expected in (
        (Prediction(choice=2), "0,0,1,0"),  # a letter alone
        (Prediction(malformed=True), "0.25,0.25,0.25,0.25"),  # an image that could not be read
    ):
        _, text = task.submission([(Annotation("a", (), extra=extra), prediction)])  # type: ignore[misc]
        assert text.splitlines()[1].startswith(f"test-0,{expected},0.25")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (Source("vqav2", "vqav2", train="test"), "the split test of reader vqav2 gives none, it can only be asked"),
        (Source("vqav2", "vqav2", val="test-dev"), "task vqav2 needs answers, label; the split test-dev"),
        (Source("vcr", "vcr", val="test"), "task vcr needs label; the split test of reader vcr"),
        (Source("textvqa", "textvqa", val="test"), "task textvqa needs answers, label"),
        (Source("rec", "refcoco", test={"x": "testC"}), "source s: refcoco has no split 'testC'; it has"),
    ],
)  # fmt: skip
def test_fields_are_those_of_the_split(source, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_source("s", source)
    if source.val:
        check_source("s", Source(source.task, source.dataset, test={"hidden": source.val}))


def test_sizes_that_karpathys_splits_do_not_state_are_missed(monkeypatch):
    monkeypatch.setattr(Task.known["caption"], "fields", frozenset({"captions", "sizes"}))
    check_source("s", Source("caption", "coco", val="val2017"))
    with pytest.raises(
        ValueError, match=r"needs sizes; the split karpathy_test of reader coco gives none$"
    ):
        check_source("s", Source("caption", "coco", test={"x": "karpathy_test"}))


def test_a_vcr_record_without_its_labels_is_left_out(tmp_path):
    shutil.copytree(FORMATS / "vcr", tmp_path / "vcr")
    file = tmp_path / "vcr/vcr1annots/val.jsonl"
    record = json.loads(file.read_text())
    del record["rationale_label"]
    file.write_text(file.read_text() + json.dumps(record | {"annot_id": "val-9"}) + "\n")
    reader = READERS["vcr"](tmp_path, "val")
    assert [a.id for a in reader] == ["val-0"]
    assert reader.problems == [("val-9", "it has no label of one of four options")]


def test_the_table_says_so(tmp_path, capsys):
    task = Task.known["vqav2"](Codec())
    source = LoadedSource("vqav2_test", task, tmp_path, [Annotation("1", ("a",))], scored=False)
    row = score_row(source, "test", {})
    assert row is not None and (row["score"], row["baseline"], row["n"]) == (None, None, 1)
    print_table([row])
    assert NOTHING in capsys.readouterr().out
