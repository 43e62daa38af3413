"""Settings that must stand before torch, cv2 and the Hugging Face libraries are imported."""

import os
from pathlib import Path
from typing import NamedTuple

# Threads that sleep while they wait, no network, no version check.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import cv2
import hypothesis
import lightning.pytorch  # noqa: F401 (its logger keeps the stderr that it meets first: not that of one test)
import pytest
import torch

torch.set_num_threads(min(2, int(os.environ["OMP_NUM_THREADS"])))
cv2.setNumThreads(0)

# The same examples on every run, and no failure because a shared machine is slow.
hypothesis.settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("fixed")


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated world of 64 training scenes, to be read only."""
    from datamodules.synthetic.world import write_world

    root = (
        tmp_path_factory.mktemp("data") / "tiny"
    )  # `fit` would write a whole world where a root is called `world`
    write_world(root, num_train=64, num_val=12, num_test=12, num_workers=1)
    return root


class FinishedRun(NamedTuple):
    """A small training run: the working folder, the run's folder in it, and what was printed."""

    cwd: Path
    folder: Path
    out: str
    err: str


@pytest.fixture(scope="session")
def finished_run(tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """Stage 1 of the smallest model on three tasks: two epochs of ten steps."""
    from tests.tiny import FLAGS, run

    cwd = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        sizes = "--data.batch_size=16 --data.order.epoch_samples=160"
        settings = f"--data.root={tiny_world} --data.tasks=[vqav2,rec,res] {sizes}"
        code, out, err = run(
            "fit",
            "--config",
            "stage1",
            *FLAGS,
            *settings.split(),
            "--data.scoring.max_val=8",
            "--trainer.log_every_n_steps=5",
        )
    assert code == 0, err
    return FinishedRun(cwd, cwd / "runs" / "stage1", out, err)
