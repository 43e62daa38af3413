"""Training from the command line, in this process: what a run leaves behind, and what is done with it."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import pytest
import torch
import yaml
from lightning import Callback
from lightning.pytorch.utilities import rank_zero_only

from callbacks.pictures import Pictures
from callbacks.predictions import Predictions
from callbacks.unusable import Unusable
from datamodules.mixture import MixtureData
from tests.conftest import FinishedRun
from tests.tiny import FLAGS, run
from vista.app.cli import is_first_process
from vista.app.run_folder import OneFolder, RunFolder
from vista.app.runs import new_run
from vista.data import InputError


@pytest.fixture
def trained(finished_run: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> FinishedRun:
    """The finished run, with its working folder as ours."""
    monkeypatch.chdir(finished_run.cwd)
    (finished_run.folder / "done.json").touch()  # the newest, whatever other tests have trained
    return finished_run


def table(folder: Path) -> list[dict[str, float]]:
    """The rows of `metrics.csv` without their empty cells."""
    with (folder / "logs" / "metrics.csv").open() as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def loaded(path: Path) -> dict[str, Any]:
    return torch.load(path, map_location="cpu", weights_only=True)


def test_a_dry_run_tries_everything_and_leaves_nothing(tiny_world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = [f"--data.root={tiny_world}", "--data.tasks=[rec]", "--data.batch_size=4"]
    settings.append(
        f"--data.cache={tiny_world.parent / 'compiled'}"
    )  # what is compiled stays for the real run
    outcome = run("fit", "--config", "stage1", *FLAGS, *settings, "--trainer.fast_dev_run=true")
    assert outcome.code == 0, outcome.err
    assert "rec_refcoco" in outcome.out and "language_model" in outcome.out
    assert list(tmp_path.iterdir()) == []


def test_files_of_a_run(finished_run):
    folder = finished_run.folder
    assert f"run: {folder}" in finished_run.out
    assert json.loads((folder / "done.json").read_text()) == {
        "checkpoint": "checkpoints/best.ckpt",
        "step": 20,
    }
    checkpoints = {"best.ckpt", "last.ckpt"}
    sums = {f"{name}.sha256" for name in checkpoints}
    assert {p.name for p in (folder / "checkpoints").iterdir()} == checkpoints | sums
    names = {p.name for p in (folder / "pictures").iterdir()}
    assert names == {
        f"{s}_{n:06d}.png" for s in ("vqav2", "rec_refcoco", "res_refcoco") for n in (10, 20)
    }
    scores = json.loads((folder / "scores_val.json").read_text())
    assert [row["name"] for row in scores["table"]] == ["vqav2", "rec_refcoco", "res_refcoco"]
    assert scores["step"] == 20 and 0 < scores["table"][0]["baseline"] <= 100
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert (
        config["data"]["batch_size"] == 16
        and config["llm"]["hidden_size"] == 32
        and config["name"] == "stage1"
    )
    assert config["trainer"]["gradient_clip_val"] == 1.0  # of every run


def test_what_is_printed(finished_run):
    assert "vision_model" in finished_run.out and "0 % trained" in finished_run.out
    assert (
        "accuracy" in finished_run.out and "majority answer per question type" in finished_run.out
    )
    assert "warning" not in finished_run.err.lower()


def test_the_log_has_losses_speed_and_scores(finished_run):
    rows = table(finished_run.folder)
    steps = [row for row in rows if "train/loss" in row]
    assert [row["step"] for row in steps] == [4, 9, 14, 19]
    for row in steps:
        parts = [row[f"train/{source}/loss"] for source in ("vqav2", "rec_refcoco", "res_refcoco")]
        assert all(0 < part < 12 for part in parts)
        assert (
            row["speed/samples_per_s"] > 0
            and row["speed/tokens_per_s"] > row["speed/samples_per_s"]
        )
        assert 0 <= row["speed/data_wait"] <= 1
        assert row["data/unusable_samples"] == 0
    assert steps[-1]["train/loss"] < steps[0]["train/loss"]
    assert {steps[0]["epoch"], steps[-1]["epoch"]} == {0, 1}
    scored = [row for row in rows if "val/mean" in row]
    assert [row["step"] for row in scored] == [9, 19]
    assert scored[0]["val/vqav2/n"] == 10 and "val/res_refcoco/mIoU" in scored[0]
    rates = [row["lr-Muon/pg1"] for row in rows if "lr-Muon/pg1" in row]
    assert rates == sorted(rates, reverse=True) and rates[0] < 4e-3


def test_a_checkpoint_is_plain_data_and_knows_its_text(finished_run):
    checkpoint = loaded(finished_run.folder / "checkpoints" / "best.ckpt")
    settings = checkpoint["vista"]["settings"]
    assert settings["bracket_layout"] == "compact" and settings["num_points"] == 4
    assert json.loads(checkpoint["vista"]["tokenizer"])["settings"]["bracket_layout"] == "compact"
    assert "model.query_tokens" in checkpoint["state_dict"]
    start = loaded(finished_run.folder / "checkpoints" / "last.ckpt")["state_dict"]
    assert start.keys() == checkpoint["state_dict"].keys()


def test_test_finds_the_newest_run(trained):
    outcome = run("test", "--task", "res", "rec")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0] == "checkpoint: runs/stage1/checkpoints/best.ckpt"
    assert "Test metric" not in outcome.out  # the table of Lightning; ours is enough
    names = {
        f"{task}_refcoco_{split}" for task in ("res", "rec") for split in ("val", "testA", "testB")
    }
    assert {p.stem for p in (trained.folder / "predictions").iterdir()} == names
    scores = json.loads((trained.folder / "scores_test.json").read_text())
    assert {row["name"] for row in scores["table"]} == names
    lines = (trained.folder / "predictions" / "res_refcoco_val.jsonl").read_text().splitlines()
    assert len(lines) == scores["all"]["test/res_refcoco_val/n"] == 42
    first = json.loads(lines[0])
    assert (
        first["text"].count(",") == 7
        and not first["malformed"]
        and first["prompt"].startswith("<image>")
    )


def test_answers_do_not_depend_on_the_batch(trained):
    texts = []
    for size in (128, 5):
        outcome = run("test", "--task", "rec", f"--data.scoring.eval_batch_size={size}")
        assert outcome.code == 0, outcome.err
        file = trained.folder / "predictions" / "rec_refcoco_val.jsonl"
        texts.append([json.loads(line)["text"] for line in file.read_text().splitlines()])
    assert texts[0] == texts[1] and len(texts[0]) == 42


@pytest.mark.parametrize(
    "way",
    [
        "--model.decoding.num_beams=2",
        "--model.decoding.temperature=0.5",
        "--model.decoding.grammar=true",
    ],
)
def test_answers_in_true_bfloat16(trained, way):
    """Lightning makes bfloat16 the type of new tensors too; what is computed in float32 must not mind."""
    words = ["--task", "rec", "--data.scoring.max_val=4", "--trainer.precision=bf16-true", way]
    outcome = run("validate", *words)
    assert outcome.code == 0, outcome.err
    assert "rec_refcoco" in outcome.out


def test_validate_scores_the_validation_splits(trained):
    outcome = run("validate", "--task", "rec", "--ckpt_path", "stage1")
    assert outcome.code == 0, outcome.err
    before = [row for row in table(trained.folder) if "val/mean" in row]
    scores = json.loads((trained.folder / "scores_val.json").read_text())["all"]
    assert scores["val/rec_refcoco/pr50"] == pytest.approx(
        max(before, key=lambda r: r["val/mean"])["val/rec_refcoco/pr50"]
    )


def test_predict_prints_and_draws(trained, tiny_world, tmp_path):
    image = next((tiny_world / "coco" / "val2017").iterdir())
    out = tmp_path / "new" / "answer.png"
    question = ["predict", "--images", image, "--text", "the red circle", "--task", "res"]
    outcome = run(*question, "--out", out, "--data.root=nowhere")  # a question needs no data set
    assert outcome.code == 0, outcome.err
    assert (
        outcome.out.count("\n") == 1 and outcome.out.startswith("[") and outcome.out.count(",") == 7
    )
    assert f"picture: {out}" in outcome.err
    picture = cv2.imread(str(out))
    assert picture.shape[0] > 384 and picture.shape[1] == 384


def test_predict_shows_all_images(trained, tiny_world, tmp_path):
    images = sorted((tiny_world / "coco" / "val2017").iterdir())[:2]
    text = "The left image contains a red circle."
    outcome = run(
        "predict",
        "--images",
        *images,
        "--text",
        text,
        "--task",
        "nlvr2",
        "--out",
        tmp_path / "a.png",
    )
    assert outcome.code == 0, outcome.err
    assert outcome.out.strip() in ("That is True.", "That is False.")
    assert cv2.imread(str(tmp_path / "a.png")).shape[1] > 2 * 384


def test_stage_2_starts_from_stage_1_by_name(trained, tiny_world):
    settings = f"--data.root={tiny_world} --data.batch_size=8 --trainer.max_epochs=1 --trainer.limit_val_batches=0"
    outcome = run(
        "fit", "--config", "stage2", *FLAGS, *settings.split(), "--data.order.epoch_samples=16"
    )
    assert outcome.code == 0, outcome.err
    assert "warning: the frozen LLM is asked to say words it was never trained on: [" in outcome.out
    folder = trained.cwd / "runs" / "stage2"
    assert (
        json.loads((folder / "done.json").read_text())["checkpoint"] == "checkpoints/last.ckpt"
    )  # nothing was scored
    assert "monitored key" not in outcome.err
    before, after = (
        loaded(f / "checkpoints" / n)["state_dict"]
        for f, n in ((trained.folder, "best.ckpt"), (folder, "last.ckpt"))
    )
    changed = {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"qformer", "query_tokens", "language_projection"}
    # The checkpoint holds all weights: stage 1 is not needed any more to use it.
    config = folder / "config.yaml"
    config.write_text(
        config.read_text().replace(str(trained.folder.name) + "/checkpoints", "gone/checkpoints")
    )
    outcome = run("test", "--task", "nlvr2", "--ckpt_path", "stage2")
    assert outcome.code == 0, outcome.err
    assert "runs/stage2/checkpoints/last.ckpt" in outcome.out.splitlines()[0]


class SaveInTheMiddle(Callback):
    """Leaves a checkpoint after seven of the ten steps of the first epoch."""

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 7:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "checkpoints" / "middle.ckpt")


def test_a_resumed_run_ends_as_the_unbroken_one(trained):
    """From the middle of an epoch: the same weights and the same losses as without a break."""
    whole, rest = trained.cwd / "runs" / "whole", trained.cwd / "runs" / "rest"
    settings = (
        f"--config={trained.folder / 'config.yaml'} --name=whole --trainer.limit_val_batches=0"
    )
    callback = "--trainer.callbacks+=tests.training.test_training.SaveInTheMiddle"
    outcome = run("fit", *settings.split(), callback)
    assert outcome.code == 0, outcome.err
    own = ["--config", whole / "config.yaml"]  # whose callback is not Lightning's
    middle = whole / "checkpoints" / "middle.ckpt"
    outcome = run("fit", "--ckpt_path", middle, *own, "--name", "rest")
    assert outcome.code == 0, outcome.err
    ends = [loaded(folder / "checkpoints" / "last.ckpt") for folder in (whole, rest)]
    assert ends[0]["global_step"] == ends[1]["global_step"] == 20
    for name, tensor in ends[0]["state_dict"].items():
        assert torch.equal(tensor, ends[1]["state_dict"][name]), name
    logs = [
        {row["step"]: row["train/loss"] for row in table(f) if "train/loss" in row}
        for f in (whole, rest)
    ]
    assert logs[1] == {step: loss for step, loss in logs[0].items() if step >= 7}
    assert len(logs[1]) == 3


def test_a_finished_run_goes_on_from_its_last_checkpoint(trained):
    outcome = run("fit", "--ckpt_path", "stage1", "--trainer.max_epochs=3", "--name=longer")
    assert outcome.code == 0, outcome.err
    folder = trained.cwd / "runs" / "longer"
    assert json.loads((folder / "done.json").read_text()) == {
        "checkpoint": "checkpoints/best.ckpt",
        "step": 30,
    }
    assert min(row["step"] for row in table(folder)) >= 20
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["ckpt_path"] == "runs/stage1/checkpoints/last.ckpt"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "--model.optimization.optimizer=adamw",
            "--model.optimization.optimizer is adamw, but it was muon when the checkpoint was made",
        ),
        ("--seed_everything=1", "--seed_everything is 1, but it was 0"),
        ("--model.trainable=[tokenizer]", "--model.trainable is ['tokenizer'], but it was"),
        ("--model.coordinate_init=mean", "--model.coordinate_init is mean, but it was sinusoid"),
        ("--llm.num_heads=4", "--llm.num_heads is 4, but it was 2"),
        ("--data.order.seed=1", "--data.order.seed is 1, but it was 0"),
        ("--data.tasks=[rec,res]", "source vqav2 is not there, but it was vqav2 on vqav2 train, "),
        ("--data.order.epoch_samples=80", "samples in an epoch (groups "),
    ],
)
def test_a_resume_that_cannot_use_a_setting_refuses_it(trained, words, sentence):
    outcome = run("fit", "--ckpt_path=stage1", "--trainer.max_epochs=3", "--name=refused", words)
    assert outcome.code == 2 and sentence in outcome.err, outcome.err
    assert "--model.init_from" in outcome.err and "Traceback" not in outcome.err
    assert not (trained.cwd / "runs" / "refused").exists()


def test_a_resume_uses_the_settings_that_it_writes_down(trained):
    changed = ["--model.optimization.learning_rate=1e-5", "--data.batch_size=8"]
    words = ["--ckpt_path=stage1", "--trainer.max_epochs=3", "--name=changed", *changed]
    outcome = run("fit", *words, "--trainer.limit_val_batches=0")
    assert outcome.code == 0, outcome.err
    folder = trained.cwd / "runs" / "changed"
    done = json.loads((folder / "done.json").read_text())
    assert done["step"] == 20 + 20  # an epoch of 160 samples, eight a step
    rates = [row["lr-Muon/pg1"] for row in table(folder) if "lr-Muon/pg1" in row]
    # Two thirds of a cosine from 1e-5 are over.
    assert rates == sorted(rates, reverse=True) and 0 < rates[-1] < rates[0] < 2.5e-6
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["model"]["optimization"]["learning_rate"] == 1e-5


def test_training_without_an_end_is_refused(tiny_world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = [f"--data.root={tiny_world}", "--data.tasks=[rec]", "--data.batch_size=4"]
    data.append(f"--data.cache={tiny_world.parent / 'compiled'}")
    endless = ["--trainer.max_epochs=-1", "--trainer.max_time=00:00:01:00"]
    outcome = run("fit", "--config", "stage1", *FLAGS, *data, *endless)
    assert outcome.code == 2 and "Traceback" not in outcome.err
    assert "set --trainer.max_epochs or --trainer.max_steps" in outcome.err.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_the_folder_of_a_run_is_its_own_before_anything_is_read(tmp_path, monkeypatch):
    """And it is taken away where nothing was written into it."""
    monkeypatch.chdir(tmp_path)

    def read(self: MixtureData) -> None:
        assert new_run("stage1") == Path("runs/stage1-2")  # another job that begins now
        raise InputError("nothing more")

    monkeypatch.setattr(MixtureData, "prepare_data", read)
    outcome = run("fit", "--config", "stage1", *FLAGS)
    assert outcome.code == 2 and "error: nothing more" in outcome.err, outcome.err
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["stage1-2"]


def test_the_other_processes_of_a_run_learn_where_they_write(monkeypatch):
    guess, folder = Path("/w/runs/a"), Path("/w/runs/a-2")
    callbacks = [Predictions(guess), Pictures(guess), RunFolder(guess, "{}"), Unusable()]
    strategy = SimpleNamespace(broadcast=lambda _: folder)
    trainer: Any = SimpleNamespace(strategy=strategy, callbacks=callbacks)
    OneFolder(guess).setup(trainer, None, "fit")  # type: ignore[arg-type]
    assert [getattr(callback, "folder", None) for callback in callbacks] == [
        folder / "predictions",
        folder,
        folder,
        None,
    ]
    assert is_first_process()
    monkeypatch.setenv("NODE_RANK", "1")
    assert not is_first_process()
    monkeypatch.setenv("NODE_RANK", "0")
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert not is_first_process()
