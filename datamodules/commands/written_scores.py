"""The scores that a run's folder holds, as a report takes them.

stage, content = written_scores(Path("runs/stage1"))      # "test", what scores_test.json says
scores_of("stage1", rows, content["all"], stage, official={"res_refcoco_val"})
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vista.app.report import Row
from vista.data import InputError
from vista.reporting.scores import UNSEEN, Key, RunScores, Scored


def written_scores(folder: Path | None) -> tuple[str, dict[str, Any]]:
    """The scores that a run's folder holds, those of its test before those of its validation."""
    for stage in ("test", "val"):
        file = folder and folder / f"scores_{stage}.json"
        if file and file.is_file():
            try:
                content: dict[str, Any] = json.loads(file.read_text())
                sound = all(map(_is_row, content["table"])) and all(
                    map(_is_number, content["all"].values())
                )
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                sound = False
            if not sound:
                raise InputError(f"{file} is no table of scores; `{stage}` writes it anew")
            return stage, content
    return "test", {}


def _is_row(row: dict[str, object]) -> bool:
    """Whether a row has what is shown of it; a folder may be a stranger's."""
    texts = all(isinstance(row[name], str) for name in ("name", "metric", "what"))
    given = [row[name] for name in ("score", "baseline", "n", "parse_failures")]
    interval = row.get("interval") or []
    given += interval if isinstance(interval, list) else [None]
    return texts and len(given) in (4, 6) and all(v is None or _is_number(v) for v in given)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def scores_of(
    name: str, rows: Mapping[str, Row], values: Mapping[str, float], stage: str, official: set[str]
) -> RunScores:
    """Headlines by score and metric, and all other values of the same scores.

    Args:
        name: of the run.
        rows: of the table that `stage` writes, by score.
        values: by `STAGE/SCORE/METRIC`.
        stage: `test` or `val`.
        official: scores on the official benchmarks.
    """
    headlines: dict[Key, Scored] = {}
    for score_name, row in rows.items():
        if row["score"] is None:
            continue
        interval = row.get("interval")
        headlines[score_name, row["metric"]] = Scored(
            row["score"], interval and (interval[0], interval[1]), row["baseline"], row["what"], row["n"],
            row["parse_failures"],
        )  # fmt: skip
    others: dict[Key, float] = {}
    for key, value in values.items():
        score_name, _, metric = key.removeprefix(f"{stage}/").rpartition("/")
        if (
            score_name in rows
            and (score_name, metric) not in headlines
            and not score_name.endswith(UNSEEN)
        ):
            others[score_name, metric] = value
    return RunScores(name, headlines, others, official)
