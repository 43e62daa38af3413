"""The folder of a run: its settings, its checkpoints, and the file that says it has ended."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException

from vista.training.checkpoints import write_checkpoint


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


class LastCheckpoint(ModelCheckpoint):
    """Also written when a run breaks off, if every process is there to write it."""

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Save where no other process is waited for in vain: alone, or after a signal, on which all have agreed."""
        if trainer.world_size == 1 or isinstance(exception, SIGTERMException):
            super().on_exception(trainer, pl_module, exception)


class RunFolder(Callback):
    """Writes `config.yaml` when training begins and `done.json` when it has ended, so that `test` finds the run."""

    def __init__(self, folder: Path, config: str, save_every: int = 0) -> None:
        """Keep what is written.

        Args:
            folder: of the run; made when the data was read without a complaint.
            config: all settings as YAML.
            save_every: steps from one checkpoint to the next, beside those of each epoch; 0: one every half hour.
        """
        self.folder, self.config = folder, config
        # Two callbacks: with `save_last` Lightning keeps only those last checkpoints that are the best, too.
        self.best = ModelCheckpoint(folder / "checkpoints", "best", monitor="val/mean", mode="max")
        self.last = LastCheckpoint(
            folder / "checkpoints", "last", enable_version_counter=False, save_on_train_epoch_end=True,
            save_on_exception=True,
        )  # fmt: skip
        # Two of them: the older one is there while the newer one is written.
        self.recent = ModelCheckpoint(
            folder / "checkpoints", "{step}", monitor="step", mode="max", save_top_k=2,
            every_n_train_steps=save_every or None, train_time_interval=None if save_every else timedelta(minutes=30),
        )  # fmt: skip

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write checkpoints whole, unless a plugin writes them in its own way."""
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:
            trainer.strategy.checkpoint_io = CheckpointFile()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the whole configuration beside the run."""
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "config.yaml").write_text(self.config)
            print(f"run: {self.folder}")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Name the best checkpoint, or the last one where none was scored."""
        folder = self.folder.resolve()
        named = (
            self.best.best_model_path,
            self.last.best_model_path,
        )  # empty where none was written
        paths = [Path(name) for name in named if name]
        # A resumed run remembers the best checkpoint of the run before it.
        own = [path for path in paths if path.is_relative_to(folder)]
        if trainer.is_global_zero and own and not trainer.interrupted:
            content = {"checkpoint": str(own[0].relative_to(folder)), "step": trainer.global_step}
            (self.folder / "done.json").write_text(json.dumps(content) + "\n")
