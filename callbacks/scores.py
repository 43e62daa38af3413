"""The table of scores, each with the score of its baseline beside it."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lightning import Callback, LightningModule, Trainer

from vista.app.report import print_table, score_row
from vista.app.runs import run_of
from vista.training.evaluation import eval_sources


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
        self, trainer: Trainer, stage: str, earlier: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        if not trainer.is_global_zero:
            return
        metrics: dict[str, float] = {}
        for name, value in trainer.callback_metrics.items():
            if name.startswith(f"{stage}/"):
                metrics[name] = float(value)
        rows: list[dict[str, Any]] = []
        for source in eval_sources(trainer):
            row = score_row(source, stage, metrics)
            if row is None:
                continue
            before = {"stage before": earlier[source.name]} if source.name in earlier else {}
            rows.append({**row, **before})
        if not rows:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {"step": trainer.global_step, "table": rows, "all": metrics}
        (self.folder / f"scores_{stage}.json").write_text(json.dumps(content, indent=1) + "\n")
        print_table(rows)
