"""The table of scores, each with the score of its baseline beside it."""

import json
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from rich.console import Console
from rich.table import Table


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


def score_row(source: Any, stage: str, metrics: dict[str, float]) -> dict[str, Any] | None:
    """One line of the table, or None where the source was not scored."""
    headline = source.task.headline
    score = metrics.get(f"{stage}/{source.name}/{headline}")
    if score is None:
        return None
    evaluator = source.task.evaluator()
    predictions = source.task.baseline(source.annotations)
    evaluator.update(predictions, [source.task.reference(a) for a in source.annotations])
    return {
        "name": source.name,
        "metric": headline,
        "score": round(score, 2),
        "baseline": round(float(evaluator.compute()[headline]), 2),
        "what": source.task.baseline_name,
        "n": int(metrics[f"{stage}/{source.name}/n"]),
        "parse_failures": int(metrics[f"{stage}/{source.name}/parse_failures"]),
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    """The rows as a table on the terminal."""
    table = Table("source", "metric", "score", "baseline", "baseline is", "n", "unparsed")
    for row in rows:
        cells = row["name"], row["metric"], f"{row['score']:.1f}", f"{row['baseline']:.1f}", row["what"]
        table.add_row(*cells, str(row["n"]), str(row["parse_failures"]))
    Console(width=120).print(table)
