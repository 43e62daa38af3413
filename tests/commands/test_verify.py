"""`data verify`: what is damaged or missing is named, and every sound split is looked at all the same."""

import json
import shutil
from pathlib import Path

import pytest

from tests.tiny import run

ROOT = Path(__file__).parents[1]
SOURCES = """
data:
  cache: {cache}
  sources:
    caption: {{task: caption, dataset: coco, train: train2017, val: val2017}}
    rec: {{task: rec, dataset: refcoco, val: val}}
    vqa: {{task: vqav2, dataset: vqav2, train: train, val: val}}
    nlvr2: {{task: nlvr2, dataset: nlvr2, val: dev}}
    gres: {{task: gres, dataset: grefcoco, val: val}}
    hateful_memes: {{task: hateful_memes, dataset: hateful_memes, val: dev_seen}}
    pope: {{task: pope, dataset: pope, test: {{pope_random: random}}}}
"""


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Between sound splits a pointer, a page, half a file, another data set's file, and one that is not there."""
    root = tmp_path / "root"
    shutil.copytree(ROOT / "formats", root)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (root / "coco/annotations/captions_train2017.json").write_text(pointer)
    (root / "refer/refcoco/refs(unc).p").write_text("<!doctype html><title>Sign in</title>")
    questions = root / "vqav2/v2_OpenEnded_mscoco_train2014_questions.json"
    questions.write_text(questions.read_text()[:90])
    (root / "grefcoco/grefs(unc).json").write_text(json.dumps([{"id": "1", "conversations": []}]))
    (root / "nlvr2/dev.json").unlink()
    (tmp_path / "some.yaml").write_text(SOURCES.format(cache=tmp_path / "compiled"))
    return root


def test_verify_goes_on_and_lists_all(damaged: Path, tmp_path: Path) -> None:
    words = ["--config", str(tmp_path / "some.yaml"), "--data.root", str(damaged)]
    outcome = run("data", "verify", *words)
    assert outcome.code == 0 and "Traceback" not in outcome.err, outcome.err
    lines = outcome.out.splitlines()
    sound = {line.split(":")[0] for line in lines if " samples" in line or " images" in line}
    assert sound == {"coco (val2017)", "vqav2 (val)", "hateful_memes (dev_seen)", "pope (random)"}
    assert sum(line.endswith("stated, 4 cannot be read") for line in lines) == 1
    for what, file, looks in (
        ("coco (train2017)", "captions_train2017.json", "a Git LFS pointer"),
        ("refcoco (val)", "refs(unc).p", "a web page"),
        ("vqav2 (train)", "v2_OpenEnded_mscoco_train2014_questions.json", "cut short"),
        ("grefcoco (val)", "grefs(unc).json", "looks like conversations of LLaVA"),
    ):
        (line,) = (line for line in lines if line.startswith(f"cannot be read: {what}: "))
        assert file in line and looks in line
    assert any(line.startswith("not looked at: nlvr2 (dev): ") for line in lines)


def test_a_run_on_a_pointer_ends_in_one_sentence(damaged: Path, tmp_path: Path) -> None:
    """What `score` says where `refs(unc).p` is what many public copies hold."""
    refs = damaged / "refer/refcoco/refs(unc).p"
    refs.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    answers = tmp_path / "rec.jsonl"
    answers.write_text('{"id": "0_0", "text": "[1, 2, 3, 4]"}\n')
    config = tmp_path / "one.yaml"
    config.write_text(
        SOURCES.format(cache=tmp_path / "compiled")
        + "    r: {task: rec, dataset: refcoco, test: {rec_val: val}}\n"
    )
    words = ["--config", str(config), "--data.root", str(damaged), "--source", "rec_val"]
    outcome = run("score", *words, "--predictions", str(answers))
    assert outcome.code == 2 and outcome.err.count("\n") == 1
    assert f"{refs} is no pickle: it looks like a Git LFS pointer" in outcome.err
    assert "fetch the file itself by `git lfs pull`" in outcome.err
