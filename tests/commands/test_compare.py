"""`score --compare A B`: paired differences of runs and of files."""

import json
import shutil

import pytest
import yaml

from datamodules.commands.configured import read_setup
from datamodules.commands.score import read_scored
from tests.commands.scored_files import main, rec_answers, write
from tests.tiny import run
from vista.data import InputError


@pytest.fixture
def pair(setup, tmp_path):
    """Files of two systems; the second one is wrong on the first question."""
    answers = rec_answers(setup)
    right = write(tmp_path / "rec_val.jsonl", answers)
    answers[0] = {**answers[0], "text": "[0, 0, 10, 10]"}
    return right, write(tmp_path / "theirs.jsonl", answers)


def compared(folder, name):
    return json.loads((folder / f"compared_with_{name}.json").read_text())


def test_two_files(setup, config, pair, tmp_path, capsys):
    first, second = map(str, pair)
    main(["--compare", first, second, "--config", config, "--source", "rec_val"])
    content = compared(tmp_path, "theirs")
    (row,) = content["table"]
    assert (content["first"], content["second"]) == ("rec_val", "theirs")
    assert (row["first"], row["second"], row["difference"], row["n"]) == (100.0, 50.0, 50.0, 2)
    assert row["changed"] == [rec_answers(setup)[0]["id"]]
    assert row["interval"] is None, "one image says nothing of others"
    assert "cannot be drawn" in capsys.readouterr().out


def test_a_question_that_one_side_answers_is_wrong_on_the_other(
    setup, config, pair, tmp_path, capsys
):
    second = write(tmp_path / "part.jsonl", rec_answers(setup)[1:])
    main(["--compare", str(pair[0]), str(second), "--config", config, "--source", "rec_val"])
    (row,) = compared(tmp_path, "part")["table"]
    assert (row["first"], row["second"]) == (100.0, 50.0)
    assert "1 questions are answered by one side alone" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--compare", "a.jsonl"], "--compare takes two runs or two files"),
        (["--compare", "no_such_run", "another"], "no_such_run is neither a file of answers nor"),
        ([], "name files by --predictions, or two runs or files by --compare A B"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_sentence(config, words, sentence):
    with pytest.raises(InputError, match=sentence):
        main([*words, "--config", config])


def test_a_run_and_its_copy(finished_run, tmp_path, monkeypatch, capsys):
    """The interval of `test` is that of `score`, and stands in table and file; each run has its own codec."""
    for name in ("a", "b"):
        shutil.copytree(finished_run.folder, tmp_path / "runs" / name)
    monkeypatch.chdir(tmp_path)
    words = ("--data.scoring.max_test=6", "--task", "rec")
    outcome = run("test", "--ckpt_path", tmp_path / "runs" / "a", *words)
    assert outcome.code == 0, outcome.err
    assert "95 %" in outcome.out
    scores = json.loads((tmp_path / "runs/a/scores_test.json").read_text())
    rows = {row["name"]: row for row in scores["table"]}
    for row in rows.values():
        low, high = row["interval"]
        assert 0 <= low <= row["score"] + 0.01 and row["score"] - 0.01 <= high <= 100
    shutil.copytree("runs/a/predictions", "runs/b/predictions", dirs_exist_ok=True)
    name = next(iter(rows))
    file = tmp_path / "runs/a/predictions" / f"{name}.jsonl"
    main(["--predictions", str(file), "--data.scoring.max_test", "6"])
    (row,) = json.loads(file.with_name(f"{name}.scores.json").read_text())["table"]
    assert row["interval"] == rows[name]["interval"]

    capsys.readouterr()
    main(["--compare", "a", "runs/b", "--data.scoring.max_test", "6"])
    table = compared(tmp_path / "runs/a/predictions", "b")["table"]
    assert {row["name"] for row in table} == set(rows)
    assert all(row["difference"] == 0 and not row["changed"] for row in table)
    assert all(row["interval"] == [0, 0] for row in table)
    assert "rec_refcoco_val" in capsys.readouterr().out


def test_each_run_is_read_with_its_own_codec(finished_run, tmp_path, monkeypatch):
    """The same text is right of 1,000 bins and wrong of 500."""
    configs = []
    for name in ("a", "b"):
        (tmp_path / "runs" / name / "predictions").mkdir(parents=True)
        configs.append(tmp_path / "runs" / name / "config.yaml")
        shutil.copy(finished_run.folder / "config.yaml", configs[-1])
    monkeypatch.chdir(tmp_path)
    settings = yaml.safe_load(configs[0].read_text())
    scored = read_scored(read_setup([str(configs[0])], None, []), "rec_refcoco_val")
    answers = [{"id": a.id, "text": scored.task.target(a)} for a in scored.annotations]
    for config in configs:
        write(config.parent / "predictions/rec_refcoco_val.jsonl", answers)
    settings["codec"]["num_bins"] //= 2
    configs[1].write_text(yaml.safe_dump(settings))
    main(["--compare", "a", "b"])
    (row,) = compared(tmp_path / "runs/a/predictions", "b")["table"]
    assert row["first"] == 100.0 and row["second"] < 20
    assert row["interval"][0] > 80 and len(row["changed"]) > 0.8 * row["n"]
