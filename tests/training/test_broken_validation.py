"""A run that is broken off in a validation, or before it, makes up for it when it is resumed, once."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.loggers.logger import DummyLogger

from tests.training.test_resume import Data, Scheduled, samples
from vista.app.run_folder import RunFolder
from vista.app.runs import newest_intact
from vista.training.checkpoints import read_states

Place = tuple[str, int, int]  # a hook, how many steps are made, which batch of the validation


class Logged(DummyLogger):
    """Remembers how far the step of a line is from the number of steps that were made."""

    def __init__(self) -> None:
        super().__init__()
        self.distances = set[tuple[str, float]]()

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        for name in metrics.keys() & {"train/steps", "val/steps"}:
            self.distances.add((name, metrics[name] - step))


class Broken(Scheduled):
    """One validation, of two batches, has the best score; broken off at a place."""

    def __init__(self, best: int, place: Place | None) -> None:
        super().__init__()
        self.best, self.place, self.scores = best, place, list[Any]()

    def _reach(self, hook: str, batch: int = 0) -> None:
        if (hook, self.global_step, batch) == self.place:
            raise SystemError

    def on_train_batch_start(self, batch: torch.Tensor, batch_idx: int) -> None:
        self._reach("step")

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.log("train/steps", float(self.global_step))
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self._reach("validation", batch_idx)
        self.log("val/mean", float(self.global_step == self.best))
        self.log("val/steps", float(self.global_step))

    def on_validation_end(self) -> None:
        score = float(self.trainer.callback_metrics["val/mean"])
        self.scores.append((self.global_step, self.current_epoch, score))

    def on_train_epoch_end(self) -> None:
        self._reach("epoch")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["vista"] = {}


class Training:
    """What was gone through until the end, in one run or in several; each resumes the one before it."""

    def __init__(self, best: int, saves: bool = False, **settings: Any) -> None:
        self.best, self.saves, self.settings = best, saves, settings
        self.seen, self.scores, self.distances = list[Any](), list[Any](), set[Any]()

    def run(self, root: Path, *places: Place) -> "Training":
        """Be broken off at each place; then go on to the end."""
        checkpoint = None
        for number, place in enumerate([*places, None]):
            self.folder = root / str(number)
            self._fit(checkpoint, place)
            if (self.folder / "checkpoints").exists():  # else nothing was made that is worth one
                checkpoint = newest_intact(self.folder)
        return self

    def _fit(self, checkpoint: Path | None, place: Place | None) -> None:
        if checkpoint:
            self._forget_after(checkpoint)
        run = RunFolder(self.folder, "trainer: {max_epochs: 2}\n", save_every=1)
        run.last.save_on_exception = self.saves
        module, logger = Broken(self.best, place), Logged()
        trainer = Trainer(
            accelerator="cpu", logger=logger, enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=0, log_every_n_steps=1, use_distributed_sampler=False,
            callbacks=[run, run.best, run.last, run.recent], **{"max_epochs": 2, **self.settings},
        )  # fmt: skip
        try:
            trainer.fit(module, datamodule=Data(0), ckpt_path=checkpoint, weights_only=True)
        except SystemError:
            assert place
        else:
            assert not place, f"{place} is never reached"
        self.seen += samples(module.seen)
        self.scores += module.scores
        self.distances |= logger.distances

    def _forget_after(self, checkpoint: Path) -> None:
        """What comes again; a checkpoint that was made after a step stands before the validation."""
        step = read_states(checkpoint)["global_step"]
        del self.seen[step * 4 * self.settings.get("accumulate_grad_batches", 1) :]
        behind = step - checkpoint.name.startswith("step=")
        self.scores = [score for score in self.scores if score[0] <= behind]

    @property
    def done(self) -> dict[str, Any]:
        """What `done.json` says."""
        return dict(json.loads((self.folder / "done.json").read_text()))

    @property
    def steps(self) -> int:
        return int(self.done["step"])

    def outcome(self) -> tuple[Any, ...]:
        """All that was gone through, and the steps of the last checkpoint and of the one that `done.json` names."""
        last = self.folder / "checkpoints" / "last.ckpt"
        states = [read_states(path) for path in (last, self.folder / self.done["checkpoint"])]
        steps = [state["global_step"] for state in states]
        return self.seen, self.scores, self.distances, self.done, steps


SETTINGS = [  # with the steps after which they validate
    ({}, [6, 12]),
    ({"val_check_interval": 3}, [3, 6, 9, 12]),
    ({"val_check_interval": 4}, [4, 10]),
    ({"accumulate_grad_batches": 2}, [3, 6]),
    ({"accumulate_grad_batches": 2, "val_check_interval": 2}, [1, 2, 3, 4, 5, 6]),
    ({"check_val_every_n_epoch": 2}, [12]),
    ({"max_steps": 11, "max_epochs": -1, "val_check_interval": 3}, [3, 6, 9]),
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("saves", [False, True], ids=["killed", "stopped"])
@pytest.mark.parametrize(("settings", "steps"), SETTINGS, ids=str)
def test_every_validation_is_made_up(tmp_path, settings, steps, saves):
    """Each is broken off at its first batch, and again at its second."""
    best = steps[len(steps) // 2]
    whole = Training(best, **settings).run(tmp_path / "whole")
    assert [step for step, _, score in whole.scores if score] == [best]
    assert [step for step, _, _ in whole.scores] == steps
    assert whole.distances == {("train/steps", 0), ("val/steps", 1)}
    places = [("validation", step, batch) for step in steps for batch in (0, 1)]
    broken = Training(best, saves, **settings).run(tmp_path / "broken", *places)
    assert broken.outcome() == whole.outcome()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("saves", [False, True], ids=["killed", "stopped"])
@pytest.mark.parametrize("settings", [SETTINGS[1][0], SETTINGS[4][0], SETTINGS[6][0]], ids=str)
def test_no_validation_comes_twice(tmp_path, settings, saves):
    """Broken off at the beginning of every second step."""
    whole = Training(3, **settings).run(tmp_path / "whole")
    places = [("step", step, 0) for step in range(1, whole.steps, 2)]
    broken = Training(3, saves, **settings).run(tmp_path / "broken", *places)
    assert broken.outcome() == whole.outcome()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("settings", [{"limit_val_batches": 0}, {"check_val_every_n_epoch": 3}])
def test_an_epoch_without_a_validation_ends_too(tmp_path, settings):
    whole = Training(0, **settings).run(tmp_path / "whole")
    places = [("epoch", 6, 0), ("step", 8, 0), ("epoch", 12, 0)]
    broken = Training(0, **settings).run(tmp_path / "broken", *places)
    assert broken.outcome() == whole.outcome()
