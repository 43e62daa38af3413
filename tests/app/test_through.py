"""A run that was killed after its last checkpoint is finished by resuming it, and nothing else is made."""

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FinishedRun
from tests.tiny import run
from vista.app.through import is_through
from vista.leftovers import held


@pytest.fixture
def killed(finished_run: FinishedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The finished run, killed before it wrote `done.json`, beside an older one."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished_run.folder, "runs/older")
    shutil.copytree(finished_run.folder, "runs/stage1")
    Path("runs/stage1/done.json").unlink()
    return Path("runs/stage1")


def names() -> list[str]:
    return sorted(path.name for path in Path("runs").iterdir())


def test_a_run_that_is_through_is_finished_and_found(killed, finished_run):
    outcome = run("fit", "--ckpt_path", killed)
    assert outcome.code == 0, outcome.err
    assert "runs/stage1 is through, after 20 steps: score it by" in outcome.out
    assert names() == ["older", "stage1"]
    assert (killed / "done.json").read_text() == (finished_run.folder / "done.json").read_text()
    outcome = run("test", "--task=rec", "--data.scoring.max_test=2")
    assert "checkpoint: runs/stage1/checkpoints/best.ckpt" in outcome.out, outcome.err


def test_without_its_last_checkpoint_it_gets_one(killed):
    (killed / "checkpoints/best.ckpt").unlink()
    (killed / "checkpoints/last.ckpt").rename(killed / "checkpoints/step=20.ckpt")
    assert run("fit", "--ckpt_path", killed).code == 0
    done = {"checkpoint": "checkpoints/last.ckpt", "step": 20}
    assert json.loads((killed / "done.json").read_text()) == done
    assert (killed / "checkpoints/last.ckpt").is_file()


def test_a_finished_run_that_is_resumed_without_more_to_do_says_so(killed):
    outcome = run("fit", "--ckpt_path=older")
    assert outcome.code == 0 and "runs/older is through, after 20 steps" in outcome.out
    assert names() == ["older", "stage1"]


def test_a_run_that_still_works_is_not_said_to_have_ended(killed):
    with held(killed):
        assert run("fit", "--ckpt_path", killed).code == 0
    assert not (killed / "done.json").exists()


def test_a_run_that_would_go_on_by_its_own_settings_is_not_finished(killed):
    config = killed / "config.yaml"
    config.write_text(config.read_text().replace("max_epochs: 2", "max_epochs: 5"))
    outcome = run("fit", "--ckpt_path", killed, "--trainer.max_epochs=2")
    assert outcome.code == 0 and "is through" in outcome.out
    assert not (killed / "done.json").exists() and names() == ["older", "stage1"]


def states(last_batch: bool = True, seconds: float = 0.0) -> dict[str, Any]:
    """Two epochs of ten steps, as Lightning counts them."""
    progress = {"ready": 2, "started": 2, "processed": 2, "completed": 1}
    loops = {
        "epoch_progress": {"total": dict(progress), "current": dict(progress)},
        "epoch_loop.batch_progress": {"is_last_batch": last_batch},
    }
    timer = {"Timer": {"time_elapsed": {"train": seconds}}}
    return {"global_step": 20, "loops": {"fit_loop": loops}, "callbacks": timer}


@pytest.mark.parametrize(
    ("limits", "through"),
    [
        ({"max_epochs": 2}, True),
        ({"max_epochs": 3}, False),
        ({"max_epochs": -1, "max_steps": 20}, True),
        ({"max_epochs": -1, "max_steps": 21}, False),
        ({"max_epochs": None, "max_steps": -1}, False),
        ({"max_epochs": 3, "max_time": "00:00:01:00"}, True),
        ({"max_epochs": 3, "max_time": timedelta(minutes=3)}, False),
    ],
)
def test_what_ends_a_training(limits, through):
    assert is_through(states(seconds=61.0), limits) is through


def test_an_epoch_that_was_cut_goes_on():
    limits = {"max_epochs": 2, "max_steps": 30}
    assert is_through(states(), limits) and not is_through(states(last_batch=False), limits)
    assert not is_through({"state_dict": {}}, limits)
