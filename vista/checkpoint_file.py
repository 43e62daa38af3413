"""Checkpoints of one file are whole or not there.

Lightning writes them to the system's temporary folder, which must have room for all of it, and then copies where that
is another disk: a kill or a full disk in between leaves half a file in the place of a whole one.
"""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO


class CheckpointFile(TorchCheckpointIO):
    """Writes a checkpoint beside its place, and moves it there when it is whole and on the disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write it.

        Args:
            checkpoint: what `Trainer.save_checkpoint` collects.
            path: where it goes.
            storage_options: there are none.

        Raises:
            OSError: it cannot be written; what was at `path` is still there.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".unfinished")
        try:
            with unfinished.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except RuntimeError as error:  # torch trips over its own file's end and hides why it could not write
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
        finally:
            unfinished.unlink(missing_ok=True)
