"""The table of scores, each with the score of its baseline beside it."""

import json
from pathlib import Path

from lightning import Callback, LightningModule, Trainer

from vista.report import print_table, score_row


class ScoreTable(Callback):
    """Prints headline scores and writes all scores to `scores_<stage>.json`."""

    def __init__(self, folder: Path) -> None:
        """Keep the folder.

        Args:
            folder: of the run.
        """
        self.folder = folder

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The table of the last validation."""
        self._report(trainer, "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The table of the test."""
        self._report(trainer, "test")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The table of `validate`; during `fit` the last one is enough."""
        if trainer.state.fn == "validate":
            self._report(trainer, "val")

    def _report(self, trainer: Trainer, stage: str) -> None:
        if not trainer.is_global_zero:
            return
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith(f"{stage}/")}
        rows = [row for s in trainer.datamodule.eval_sources if (row := score_row(s, stage, metrics))]  # type: ignore[attr-defined]
        if not rows:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {"step": trainer.global_step, "table": rows, "all": metrics}
        (self.folder / f"scores_{stage}.json").write_text(json.dumps(content, indent=1) + "\n")
        print_table(rows)
