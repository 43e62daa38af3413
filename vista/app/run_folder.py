"""The folder of a run: its settings, its checkpoints, and the file that says it has ended."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.exceptions import SIGTERMException
from lightning.pytorch.utilities.types import STEP_OUTPUT

from vista.app.resume import fixed_settings
from vista.app.through import write_done
from vista.printable import say
from vista.training.checkpoints import (
    copy_checkpoint,
    read_checkpoint,
    read_states,
    remove_checkpoint,
    write_checkpoint,
)
from vista.training.folder_settings import is_model_folder


class CheckpointFile(TorchCheckpointIO):
    """Checkpoints of one file are whole or not there.

    Lightning writes them to the system's temporary folder, which must have room for all of it, and then copies where
    that is another disk: a kill or a full disk in between leaves half a file in the place of a whole one.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write what `Trainer.save_checkpoint` collects; there are no options."""
        write_checkpoint(checkpoint, Path(path))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """What `Trainer` takes by `ckpt_path`: a file, or a folder that `export` has written."""
        if is_model_folder(Path(path)):
            return read_checkpoint(Path(path))
        states: dict[str, Any] = super().load_checkpoint(path, map_location, weights_only)
        return states

    def remove_checkpoint(self, path: str | Path) -> None:
        """Take one away that is not kept any longer."""
        remove_checkpoint(Path(path))


class OneFolder(Callback):
    """All processes of a run work in the folder that the first one has made; no other one knows its name before."""

    def __init__(self, folder: Path) -> None:
        """Keep the folder.

        Args:
            folder: of the run; only the first process has made it.
        """
        self.folder = folder

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Ask the first process; callbacks keep where they write in `folder`."""
        guess, folder = self.folder, trainer.strategy.broadcast(self.folder)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            own = getattr(callback, "folder", None)
            if isinstance(own, Path) and own.is_relative_to(guess):
                callback.folder = folder / own.relative_to(guess)


class BestCheckpoint(ModelCheckpoint):
    """The best checkpoint; that of a run which is resumed is brought along, so that it is not forgotten."""

    before: Mapping[str, Any] = MappingProxyType({})  # what the resumed run knew

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Lightning takes no score from a checkpoint in another folder."""
        self.before = state_dict

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy the file into the folder of this run, and remember its score."""
        super().on_train_start(trainer, pl_module)
        before, self.before = self.before, {}
        if not before.get("best_model_path"):
            return
        score, path = before["best_model_score"], self.format_checkpoint_name({})
        taken = trainer.is_global_zero and self._bring(before, Path(str(trainer.ckpt_path)), path)
        if not trainer.strategy.broadcast(taken):
            rank_zero_warn(
                f"the best checkpoint so far, whose {self.monitor} is {float(score):.4g}, is not at "
                f"{before['best_model_path']} any more; the best one from here on is kept"
            )
            return
        self.best_k_models = {path: score}
        self.best_model_path = self.kth_best_model_path = path
        self.best_model_score = self.kth_value = score

    def _bring(self, before: Mapping[str, Any], resumed: Path, path: str) -> bool:
        """Whether the file is there, and is not one that was written in its place after the resumed one."""
        named = Path(before["best_model_path"])
        for source in (named, resumed.with_name(named.name)):  # a run's folder may have been moved
            if source.exists():
                own = read_states(source).get("callbacks", {}).get(self.state_key, {})
                if own.get("best_model_score") == before["best_model_score"]:
                    copy_checkpoint(source, Path(path))
                    return True
        return False


class LastCheckpoint(ModelCheckpoint):
    """Also written when a run breaks off, if every process is there to write it."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The last checkpoint of a resumed run stays where it is."""

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Save where no other process is waited for in vain: alone, or after a signal, on which all have agreed."""
        if trainer.world_size == 1 or isinstance(exception, SIGTERMException):
            super().on_exception(trainer, pl_module, exception)


class RecentCheckpoints(ModelCheckpoint):
    """Written now and then, between two steps."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Those of a resumed run stay where they are."""

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save after the last batch of a step alone: what others have added to its gradients would be lost."""
        full = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if full or trainer.is_last_batch:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)


class RunFolder(Callback):
    """Writes `config.yaml` and `weights.txt` when training begins and `done.json` when it has ended.

    By the last one `test` finds the run.
    """

    def __init__(self, folder: Path, config: str, save_every: int = 0) -> None:
        """Keep what is written.

        Args:
            folder: of the run.
            config: all settings as YAML.
            save_every: steps from one checkpoint to the next, beside those of each epoch; 0: one every half hour.
        """
        self.folder, self.config = folder, config
        # Two callbacks: with `save_last` Lightning keeps only those last checkpoints that are the best, too.
        self.best = BestCheckpoint(folder / "checkpoints", "best", monitor="val/mean", mode="max")
        self.last = LastCheckpoint(
            folder / "checkpoints", "last", enable_version_counter=False, save_on_train_epoch_end=True,
            save_on_exception=True,
        )  # fmt: skip
        # Two of them: the older one is there while the newer one is written.
        self.recent = RecentCheckpoints(
            folder / "checkpoints", "{step}", monitor="step", mode="max", save_top_k=2,
            every_n_train_steps=save_every or None, train_time_interval=None if save_every else timedelta(minutes=30),
        )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """The settings that a resumed run must have, too."""
        return {"settings": fixed_settings(yaml.safe_load(self.config))}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write checkpoints whole, unless a plugin writes them in its own way."""
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = CheckpointFile()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the whole configuration beside the run."""
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "config.yaml").write_text(self.config)
            report = getattr(pl_module, "weights_report", None)
            if report is not None:
                lines = [f"{name}: {origin}\n" for name, origin in report().items()]
                (self.folder / "weights.txt").write_text("".join(lines))
            say(f"run: {self.folder}")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Name the best checkpoint, or the last one where none was scored."""
        folder = self.folder.resolve()
        named = (
            self.best.best_model_path,
            self.last.best_model_path,
        )  # empty where none was written
        own = [path for path in map(Path, filter(None, named)) if path.is_relative_to(folder)]
        if trainer.is_global_zero and own and not trainer.interrupted:
            write_done(folder, own[0], trainer.global_step)
