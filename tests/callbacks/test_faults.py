"""A step whose gradient is not finite changes nothing and is named; too many end the run with a sound checkpoint."""

import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from torch.utils.data import DataLoader

from callbacks.faults import Faults
from tests.tiny import FLAGS, ROOT, run
from vista.data import InputError
from vista.training.checkpoints import read_checkpoint


class Line(LightningModule):
    """y = w x, whose loss is NaN for the sample 3 and infinite for the sample 5."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.weights = torch.nn.Parameter(torch.ones(2)), list[Any]()

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        self.weights.append(self.weight.detach().clone())
        factor = {"s:3": torch.nan, "s:5": torch.inf}.get(batch["ids"][0], 1.0)
        return (self.weight * torch.tensor([factor, 1.0])).square().sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), 0.1, weight_decay=0.1)


def fit(faults: Faults, module: Line | None = None, **settings: Any) -> Line:
    module = module or Line()
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[faults], gradient_clip_val=1.0, **settings,
    )  # fmt: skip
    trainer.fit(module, DataLoader([{"ids": [f"s:{i}"]} for i in range(8)], batch_size=None))
    return module


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_bad_step_changes_nothing_and_is_named(capsys):
    faults = Faults()
    weights = torch.stack(fit(faults).weights)
    assert faults.skipped == 2 and weights.isfinite().all()
    moved = (weights[1:] != weights[:-1]).any(1).tolist()
    assert moved == [True, True, True, False, True, False, True]
    said = capsys.readouterr().err
    assert (
        "step 4 is left out, its gradient is not finite; samples s:3" in said
        and "samples s:5" in said
    )


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_too_many_bad_steps_end_the_run():
    with pytest.raises(RuntimeError, match="2 steps had a gradient that is not finite"):
        fit(Faults(max_skipped=1))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_faults_far_apart_end_no_run_and_a_resumed_run_counts_anew():
    faults = Faults(max_skipped=1, window=2)  # steps 4 and 6 are bad
    fit(faults)
    assert faults.skipped == 2 and faults.recent == [6]
    resumed = Faults(max_skipped=1)
    resumed.load_state_dict(faults.state_dict())
    assert resumed.skipped == 2 and resumed.recent == []


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_samples_of_a_step_of_several_batches_are_all_named(capsys):
    fit(Faults(), accumulate_grad_batches=3)
    said = capsys.readouterr().err
    assert said.count("is left out") == 1 and "samples s:3 s:4 s:5\n" in said


class Steep(Line):
    """A small loss with a large gradient, which overflows while the scale is large."""

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        self.weights.append(self.weight.detach().clone())
        return (1000 * self.weight).sum() - 1999.5


class Corner(Line):
    """A finite loss whose gradient is not finite, whatever the scale."""

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        return (0 * self.weight).abs().sqrt().sum()


def scaled(scale: float) -> MixedPrecision:
    """Gradients of fp16: the loss is multiplied by a scale, which is halved after an overflow."""
    return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=scale))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_overflows_of_the_scaler_are_no_faults(capsys):
    faults = Faults(max_skipped=1)
    weights = torch.stack(fit(faults, Steep(), plugins=[scaled(2.0**123)]).weights)
    moved = (weights[1:] != weights[:-1]).any(1).tolist()
    assert moved == [False] * 5 + [True] * 2 and weights.isfinite().all()
    assert faults.skipped == 0 and "left out" not in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_loss_that_is_not_finite_is_a_fault_under_a_scaler_too(capsys):
    faults = Faults()
    fit(faults, plugins=[scaled(64.0)])
    assert faults.skipped == 2 and "samples s:3" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_scaler_without_a_scale_left_does_not_hide_faults():
    faults = Faults(max_skipped=1)
    with pytest.raises(RuntimeError, match="2 steps had a gradient that is not finite"):
        fit(faults, Corner(), plugins=[scaled(4.0)])
    assert faults.recent == [3, 4]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_step_that_hangs_is_named(capsys):
    class Slow(Callback):
        def on_before_backward(self, trainer: Trainer, *_: Any) -> None:
            time.sleep(0.5 if trainer.global_step == 2 else 0)

    faults = Faults(slow_step=0.2)
    module = Line()
    trainer = Trainer(
        max_steps=4, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[faults, Slow()],
    )  # fmt: skip
    trainer.fit(module, DataLoader([{"ids": [f"s:{i}"]} for i in range(4)], batch_size=None))
    assert (
        "rank 0: step 3: forward and backward has taken 0 s; samples s:2" in capsys.readouterr().err
    )
    assert faults.timer is not None and faults.timer.finished.is_set()


class Terminate(Callback):
    """What a scheduler sends before it takes the machine away."""

    number = signal.SIGTERM

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == 2:
            os.kill(os.getpid(), self.number)


class Interrupt(Terminate):
    """What Ctrl+C sends."""

    number = signal.SIGINT


class TerminateApart(Callback):
    """As a scheduler does to all processes of a job: each is somewhere else when it comes."""

    def on_before_backward(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_rank == 0 and trainer.global_step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_rank == 1 and trainer.global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)


class FailAlone(Callback):
    """An error that one process meets and the other does not."""

    def on_before_backward(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_rank == 0 and trainer.global_step == 2:
            raise InputError("no room for\nthe sample s:17")


WORDS = [
    "fit", "--config", "stage1", *FLAGS, "--data.tasks=[rec]", "--data.scoring.max_val=4", "--data.batch_size=4",
    "--data.order.epoch_samples=32", "--trainer.max_epochs=1",
]  # fmt: skip


@pytest.mark.parametrize("sender", [Terminate, Interrupt])
def test_a_signal_saves_and_the_run_goes_on_from_there(tiny_world, tmp_path, monkeypatch, sender):
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    words = [*WORDS, f"--data.root={tiny_world}"]
    outcome = run(
        *words,
        "--name=killed",
        f"--trainer.callbacks+=tests.callbacks.test_faults.{sender.__name__}",
    )
    assert outcome.code == 128 + sender.number
    signal.signal(signal.SIGTERM, before[0])
    assert signal.getsignal(signal.SIGINT) == before[1]
    checkpoint = tmp_path / "runs/killed/checkpoints/last.ckpt"
    assert (
        read_checkpoint(checkpoint)["global_step"] == 3
    )  # the step after the signal, in which all processes agree
    own = "--trainer.callbacks=null"  # the killed run's is not Lightning's
    outcome = run(*words, "--name=goes_on", f"--ckpt_path={checkpoint}", own)
    assert outcome.code == 0, outcome.err
    assert read_checkpoint(tmp_path / "runs/goes_on/checkpoints/last.ckpt")["global_step"] == 8


def two_processes(tiny_world, folder, callback):
    """A run on two processes, each with the callback."""
    two = [
        "--name=two",
        "--trainer.devices=2",
        "--trainer.strategy=ddp",
        f"--data.root={tiny_world}",
    ]
    words = [*WORDS, *two, f"--trainer.callbacks+={callback.__module__}.{callback.__name__}"]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, ROOT / "main.py", *words]
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, timeout=100, text=True
    )


def test_signals_to_two_processes_at_different_moments_end_both(tiny_world, tmp_path):
    assert two_processes(tiny_world, tmp_path, TerminateApart).returncode == 128 + signal.SIGTERM
    run_folder = tmp_path / "runs/two"
    assert read_checkpoint(run_folder / "checkpoints/last.ckpt")["global_step"] == 3
    assert not (run_folder / "done.json").exists()


def test_an_error_in_one_of_two_processes_ends_both_with_its_sentence(tiny_world, tmp_path):
    done = two_processes(tiny_world, tmp_path, FailAlone)
    assert done.returncode == 2
    assert "error: no room for the sample s:17" in done.stderr
    assert "Traceback" not in done.stderr
