"""`scores_test.json` holds the rows of one checkpoint, whatever was tested when."""

import json
import shutil
from collections import Counter

import pytest

from callbacks.scores import with_earlier
from tests.tiny import run


def test_scores_of_one_checkpoint_are_kept_together(finished_run, tmp_path, monkeypatch):
    folder = tmp_path / "runs" / "stage1"
    shutil.copytree(finished_run.folder, folder)
    monkeypatch.chdir(tmp_path)

    def test(task, *flags):
        outcome = run("test", "--task", task, "--data.scoring.max_test=4", *flags)
        assert outcome.code == 0, outcome.err
        return json.loads((folder / "scores_test.json").read_text())

    rec = test("rec")
    vqa = test("vqav2", "--ckpt_path", folder.absolute())
    names = [row["name"] for row in rec["table"]]
    assert len(names) == 3
    assert vqa["table"][:3] == rec["table"] and [r["name"] for r in vqa["table"][3:]] == [
        "vqav2_val"
    ]
    of_rec = {key: value for key, value in rec["all"].items() if key != "test/mean"}
    assert of_rec.items() <= vqa["all"].items() and "test/vqav2_val/accuracy" in vqa["all"]
    assert "test/mean" not in vqa["all"], "that is of the sources of one test"
    assert set(vqa["settings"]) == {*names, "vqav2_val"}
    again = test("rec", "--model.decoding.num_beams=2")
    assert Counter(row["name"] for row in again["table"]) == Counter([*names, "vqav2_val"])
    beams = {name: each["decoding"]["num_beams"] for name, each in again["settings"].items()}
    assert beams == {**dict.fromkeys(names, 2), "vqav2_val": 1}
    # Other weights under the same name.
    best = folder / json.loads((folder / "done.json").read_text())["checkpoint"]
    shutil.copy(finished_run.folder / "checkpoints" / "last.ckpt", best)
    best.with_name(f"{best.name}.sha256").unlink()
    assert [row["name"] for row in test("vqav2")["table"]] == ["vqav2_val"]


@pytest.mark.parametrize("before", ["", "{", "[]", '{"table": []}', '{"weights": 1, "table": 2}'])
def test_a_file_of_scores_that_is_damaged_or_old_is_replaced(tmp_path, before):
    content = {"weights": 1, "settings": {}, "table": [{"name": "a"}], "all": {}}
    (tmp_path / "scores_test.json").write_text(before)
    assert with_earlier(content, tmp_path / "scores_test.json", "test") == content
