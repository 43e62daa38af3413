"""The best checkpoint of a run that was broken off is that of the run that goes on from it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from vista.app.run_folder import RunFolder
from vista.app.runs import newest_intact
from vista.app.through import finish, is_through
from vista.training.checkpoints import copy_checkpoint, read_states

SCORES = (90.0, 50.0, 60.0)  # of the epochs


class Scored(LightningModule):
    """Its weight counts steps, and each epoch has a score that is known before."""

    def __init__(self, scores: tuple[float, ...]) -> None:
        super().__init__()
        self.scores, self.weight = scores, torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return -self.weight.sum()

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("val/mean", self.scores[self.trainer.current_epoch])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["vista"] = {}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1.0)


class Kill(Callback):
    """Nothing is written after this, and nobody is told."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise SystemError

    def on_train_start(self, trainer: Trainer, *_: Any) -> None:
        for callback in trainer.checkpoint_callbacks:
            callback.save_on_exception = False  # type: ignore[attr-defined]


def train(
    folder: Path,
    resumed: Path | None = None,
    *callbacks: Callback,
    scores: tuple[float, ...] = SCORES,
) -> Path:
    """Epochs of four steps; the run's folder."""
    run = RunFolder(folder, f"trainer: {{max_epochs: {len(scores)}}}\n", save_every=1)
    trainer = Trainer(
        max_epochs=len(scores), accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, log_every_n_steps=1,
        callbacks=[*callbacks, run, run.best, run.last, run.recent],
    )  # fmt: skip
    loaders = DataLoader(torch.zeros(4, 1)), DataLoader(torch.zeros(1, 1))  # type: ignore[arg-type]
    try:
        trainer.fit(Scored(scores), *loaders, ckpt_path=resumed, weights_only=True)
    except SystemError:
        assert callbacks and not (folder / "done.json").exists()
    return folder


def outcome(folder: Path) -> tuple[Any, float]:
    """What `done.json` says, and the weight of the checkpoint that it names."""
    done = json.loads((folder / "done.json").read_text())
    checkpoint = torch.load(folder / done["checkpoint"], weights_only=True)
    return done, float(checkpoint["state_dict"]["weight"])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("ignore:.*(tensorboard|does not have many workers|LeafSpec).*")
@pytest.mark.parametrize("scores", [SCORES, (50.0, 90.0, 60.0), (50.0, 60.0, 90.0)], ids=str)
def test_a_run_that_is_broken_off_and_resumed_names_the_same_best_checkpoint(scores, recwarn):
    """Twice: the second time from a run that has the best checkpoint from the first."""
    whole = train(Path("whole"), scores=scores)
    first = train(Path("first"), None, Kill(6), scores=scores)
    second = train(Path("second"), first / "checkpoints/step=6.ckpt", Kill(10), scores=scores)
    third = train(Path("third"), second / "checkpoints/step=10.ckpt", scores=scores)
    assert outcome(third) == outcome(whole)
    assert outcome(whole)[0] == {"checkpoint": "checkpoints/best.ckpt", "step": 12}
    assert outcome(whole)[1] == 4 * (1 + scores.index(90.0))
    names = {path.name for path in (third / "checkpoints").glob("*.ckpt")}
    assert names == {"best.ckpt", "last.ckpt", "step=11.ckpt", "step=12.ckpt"}
    assert not [w for w in recwarn if "dirpath" in str(w.message)]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_run_that_is_killed_before_it_says_so_is_finished_as_it_stands():
    whole = train(Path("whole"))
    (whole / "done.json").rename("expected.json")
    finish(newest_intact(whole))
    assert (whole / "done.json").read_text() == Path("expected.json").read_text()
    assert is_through(read_states(newest_intact(whole)), {"max_epochs": 3})


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_moved_run_still_has_its_best_checkpoint():
    first = train(Path("first"), None, Kill(6))
    first.rename("moved")
    second = train(Path("second"), Path("moved/checkpoints/step=6.ckpt"))
    assert outcome(second)[1] == 4


@pytest.mark.filterwarnings("ignore:.*(tensorboard|does not have many workers|LeafSpec).*")
def test_a_best_checkpoint_that_is_gone_or_another_one_is_said_to_be():
    """After the resumed step the first run found a better one, and wrote it in the place of the best so far."""
    scores = (90.0, 95.0, 60.0)
    first = train(Path("first"), None, Kill(9), scores=scores)
    middle = first / "checkpoints/step=6.ckpt"
    train(Path("again"), None, Kill(6), scores=scores)
    copy_checkpoint(Path("again/checkpoints/step=6.ckpt"), middle)
    checkpoint = torch.load(middle, weights_only=True)
    (best,) = [state for name, state in checkpoint["callbacks"].items() if "val/mean" in name]
    best["best_model_path"] = str(first.absolute() / "checkpoints/best.ckpt")
    torch.save(checkpoint, middle)
    with pytest.warns(UserWarning, match=r"whose val/mean is 90, is not at .*best\.ckpt any more"):
        second = train(Path("second"), middle, scores=(0.0, 50.0, 60.0))
    assert outcome(second) == ({"checkpoint": "checkpoints/best.ckpt", "step": 12}, 12)


def test_a_copy_is_whole_and_as_old_as_what_was_copied(tmp_path):
    sharded = tmp_path / "a.ckpt"
    sharded.mkdir()
    (sharded / ".metadata").write_text("x")
    copy_checkpoint(sharded, tmp_path / "new" / "b.ckpt")
    assert (tmp_path / "new/b.ckpt/.metadata").read_text() == "x"
    assert (tmp_path / "new/b.ckpt").stat().st_mtime_ns == sharded.stat().st_mtime_ns
    with pytest.raises(FileNotFoundError):
        copy_checkpoint(tmp_path / "nowhere.ckpt", tmp_path / "new" / "c.ckpt")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["b.ckpt"]
