"""The table of scores, each with the score of its baseline beside it."""

import json
from collections.abc import Mapping
from pathlib import Path

from lightning import Callback, LightningModule, Trainer

from vista.app.report import print_table, score_row
from vista.app.runs import run_of


def earlier_scores(checkpoint: Path | None) -> dict[str, float]:
    """Scores of the last validation of a checkpoint's run, by source; none where it has no run, or was never scored."""
    run = run_of(checkpoint) if checkpoint else None
    file = run / "scores_val.json" if run else None
    if file is None or not file.is_file():
        return {}
    return {row["name"]: row["score"] for row in json.loads(file.read_text())["table"]}


class ScoreTable(Callback):
    """Prints headline scores and writes all scores to `scores_<stage>.json`."""

    def __init__(self, folder: Path) -> None:
        """Keep the folder.

        Args:
            folder: of the run.
        """
        self.folder = folder

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The table of the last validation, beside the scores of the run whose weights were taken."""
        self._report(trainer, "val", earlier_scores(getattr(pl_module, "init_from", None)))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The table of the test."""
        self._report(trainer, "test")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The table of `validate`; during `fit` the last one is enough."""
        if trainer.state.fn == "validate":
            self._report(trainer, "val")

    def _report(
        self, trainer: Trainer, stage: str, earlier: Mapping[str, float] | None = None
    ) -> None:
        if not trainer.is_global_zero:
            return
        metrics = {
            k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith(f"{stage}/")
        }
        rows = [
            row
            for s in trainer.datamodule.eval_sources
            if (row := score_row(s, stage, metrics))  # type: ignore[attr-defined]
        ]  # type: ignore[attr-defined]
        if not rows:
            return
        for row in rows:
            if earlier and row["name"] in earlier:
                row["stage before"] = earlier[row["name"]]
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {"step": trainer.global_step, "table": rows, "all": metrics}
        (self.folder / f"scores_{stage}.json").write_text(json.dumps(content, indent=1) + "\n")
        print_table(rows)
