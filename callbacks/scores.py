"""The table of scores, each with the score of its baseline beside it.

`scores_test.json` holds the rows of one checkpoint: those of an earlier test of the same weights stay until their
source is tested again.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from lightning import Callback, LightningModule, Trainer

from callbacks.predictions import settings_of, weights_of
from vista.app.intervals import headline_interval
from vista.app.report import Row, print_table, score_row
from vista.app.runs import run_of
from vista.data import Annotation, Prediction
from vista.module import VistaModule
from vista.predictions import from_record, read_records
from vista.task import Source
from vista.training.evaluation import eval_sources

Content = dict[str, Any]  # of a file of scores


def earlier_scores(checkpoint: Path | None) -> dict[str, float]:
    """Scores of the last validation of a checkpoint's run, by source; none where it has no run, or was never scored."""
    run = run_of(checkpoint) if checkpoint else None
    file = run / "scores_val.json" if run else None
    if file is None or not file.is_file():
        return {}
    return {row["name"]: row["score"] for row in json.loads(file.read_text())["table"]}


def with_earlier(content: Content, file: Path, stage: str) -> Content:
    """Scores with those of other sources that stand in a file already, if they are of the same weights."""
    try:
        before = json.loads(file.read_text())
        if before["weights"] != content["weights"]:
            return content
        names = {row["name"] for row in content["table"]}
        kept = [row for row in before["table"] if row["name"] not in names]
    except (OSError, ValueError, KeyError, TypeError):  # not there, damaged, or older than this
        return content
    if not kept:
        return content
    beginnings = tuple(f"{stage}/{row['name']}/" for row in kept)
    scores = {key: value for key, value in before["all"].items() if key.startswith(beginnings)}
    of_kept = {row["name"]: before["settings"][row["name"]] for row in kept}
    # A mean is of the sources that were scored together.
    new = {key: value for key, value in content["all"].items() if key != f"{stage}/mean"}
    return content | {
        "settings": of_kept | content["settings"],
        "table": [*kept, *content["table"]],
        "all": scores | new,
    }


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
        self._report(trainer, "val", {}, earlier_scores(getattr(pl_module, "init_from", None)))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The table of the test."""
        self._report(trainer, "test", self._tested(trainer, pl_module))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The table of `validate`; during `fit` the last one is enough."""
        if trainer.state.fn == "validate":
            self._report(trainer, "val", self._tested(trainer, pl_module))

    def _tested(self, trainer: Trainer, module: LightningModule) -> Content:
        """Of which weights the scores are, and under which settings those of each source."""
        settings = settings_of(trainer, cast(VistaModule, module))
        names = [source.name for source in eval_sources(trainer)]
        weights = weights_of(trainer, module)
        path, folder = Path(weights["path"]), self.folder.resolve()
        if path.is_relative_to(folder):  # a run may be moved
            weights["path"] = str(path.relative_to(folder))
        return {"weights": weights, "settings": dict.fromkeys(names, settings)}

    def _report(
        self,
        trainer: Trainer,
        stage: str,
        tested: Content,
        earlier: Mapping[str, float] = MappingProxyType({}),
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
            rows.append({**row, **before, **self._interval(source, stage, row)})
        if not rows:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"scores_{stage}.json"
        content = {"step": trainer.global_step, **tested, "table": rows, "all": metrics}
        if tested:
            content = with_earlier(content, file, stage)
        # Written aside and renamed: a kill here must not lose the earlier rows.
        part = file.with_suffix(".part")
        part.write_text(json.dumps(content, indent=1, default=str) + "\n")
        part.replace(file)
        print_table(rows)

    def _interval(self, source: Source, stage: str, row: Row) -> dict[str, Any]:
        """The interval of a score, from the answers that `callbacks.predictions` has written; of a test only."""
        file = self.folder / "predictions" / f"{source.name}.jsonl"
        if stage != "test" or row["score"] is None or not file.is_file():
            return {}
        return {"interval": headline_interval(source, recorded_answers(source, file))}


def recorded_answers(source: Source, file: Path) -> Callable[[Annotation], Prediction | None]:
    """The answers of a file by annotation, None where it has none; parsed when asked for, since masks are large."""
    records = {record["id"]: record for record in read_records(file)}

    def answer(annotation: Annotation) -> Prediction | None:
        record = records.get(annotation.id)
        return None if record is None else from_record(source.task, annotation, record)

    return answer
