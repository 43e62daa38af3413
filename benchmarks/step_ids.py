"""Step ids: the samples and the loss of every step, written by every process at once, so that they outlive a kill."""

import json
import os
from itertools import chain
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

History = dict[int, dict[str, Any]]  # step -> {"ids", "loss"}


class StepIds(Callback):
    """Writes the ids of each step, one file for each process."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """One line, at once on the disk."""
        row = {
            "step": trainer.global_step,
            "ids": batch["ids"],
            "loss": float(trainer.callback_metrics["train/loss"]),
        }
        with Path(os.environ["STEP_IDS"], f"{trainer.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")


def history(folder: Path) -> History:
    """Step -> its ids over all processes, and its loss; only steps that every process has written."""
    ranks = [_rows(file) for file in sorted(folder.glob("*.jsonl"))]
    steps: History = {}
    for rows in zip(*ranks, strict=False):
        ids = list(chain.from_iterable(row["ids"] for row in rows))
        steps[rows[0]["step"]] = {"ids": ids, "loss": rows[0]["loss"]}
    return steps


def _rows(file: Path) -> list[dict[str, Any]]:
    """The rows of one process; a last line without an end was cut off by the kill."""
    lines = file.read_text().split("\n")[:-1]
    return [json.loads(line) for line in lines]
