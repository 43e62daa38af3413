"""The table of scores, each with the score of its baseline beside it; the same for `test` and `score`.

    source            metric  score          95 %  baseline  baseline is                   paper     n  malformed
    res_refcoco_val   mIoU     61.2  59.4 .. 63.1      38.0  a random object's true mask    77.2  2000          3

The paper's number stands beside official benchmarks only, never beside the generated world.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NotRequired, TypedDict

from rich.console import Console
from rich.table import Table

from vista.metrics.bootstrap import Interval
from vista.metrics.evaluator import Evaluator, in_this_process
from vista.printable import in_one_line
from vista.reporting.paper import HEADLINES
from vista.task import Source

PAPER = {score: published.large for score, published in HEADLINES.items()}  # VistaLLM-13B

BATCH = 64  # predictions and references that stand in memory at once; masks are large


class Row(TypedDict):
    """One line of the table.

    Attributes:
        name: of the source.
        metric: the task's headline.
        score: of the model's answers, None where the right ones are hidden.
        baseline: the same score of the task's baseline.
        what: what the baseline is, or why there is no score.
        paper: the paper's score, None where there is none.
        n: samples.
        parse_failures: malformed answers.
        interval: where 95 % of the draws of the images lie, None where the metric cannot be drawn; only where every
            answer is at hand.
    """

    name: str
    metric: str
    score: float | None
    baseline: float | None
    what: str
    paper: float | None
    n: int
    parse_failures: int | None
    interval: NotRequired[Interval | None]


def score_row(source: Source, stage: str, metrics: Mapping[str, float]) -> Row | None:
    """One line of the table, or None where the source was not asked.

    Args:
        source: what was scored; its baseline is computed here.
        stage: `val` or `test`.
        metrics: all scores as `<stage>/<source>/<metric>`.
    """
    headline = source.task.headline
    if not source.scored:
        return _unscored(source)
    score = metrics.get(f"{stage}/{source.name}/{headline}")
    if score is None:
        return None
    # Every process has all annotations and computes the baseline for itself.
    evaluator = in_this_process(source.task.evaluator())
    if isinstance(evaluator, Evaluator):
        evaluator.quick = True
    predictions = iter(source.task.baseline(source.annotations))
    for start in range(0, len(source.annotations), BATCH):
        some = source.annotations[start : start + BATCH]
        references = [source.task.reference(a) for a in some]
        evaluator.update(list(islice(predictions, len(some))), references)
    # `world.json` is what the writer of the generated world leaves beside its files.
    official = stage == "test" and not (source.root / "world.json").is_file()
    return {
        "name": source.name,
        "metric": headline,
        "score": round(score, 2),
        "baseline": round(float(evaluator.compute()[headline]), 2),
        "what": source.task.baseline_name,
        "paper": PAPER.get((source.name, headline)) if official else None,
        "n": int(metrics[f"{stage}/{source.name}/n"]),
        "parse_failures": int(metrics[f"{stage}/{source.name}/parse_failures"]),
    }


def _unscored(source: Source) -> Row:
    """The line of a source whose answers are hidden."""
    return {
        "name": source.name,
        "metric": source.task.headline,
        "score": None,
        "baseline": None,
        "what": "no answers in this split",
        "paper": None,
        "n": len(source.annotations),
        "parse_failures": None,
    }


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows as a table on the terminal; columns for what only some tables know where they know it."""
    more = [name for name in ("stage before", "paper") if _is_known(name, rows)]
    sure = ["95 %"] if any("interval" in row for row in rows) else []
    table = Table(
        "source", "metric", "score", *sure, "baseline", "baseline is", *more, "n", "malformed"
    )
    for row in rows:
        scores = [_cell(row.get(name), ".1f") for name in ("score", "baseline", *more)]
        counts = [_cell(row[name], "d") for name in ("n", "parse_failures")]
        name, metric, what = (in_one_line(row[key]) for key in ("name", "metric", "what"))
        between = [_between(row)] if sure else []
        table.add_row(name, metric, scores[0], *between, scores[1], what, *scores[2:], *counts)
    # To rich, brackets would be markup, and words between colons pictures.
    Console(width=120, markup=False, emoji=False).print(table)


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _between(row: Mapping[str, Any]) -> str:
    """The interval of a row; where its score cannot be drawn, that it has none."""
    if "interval" not in row:
        return ""
    if row["interval"] is None:
        return "cannot be drawn"
    low, high = row["interval"]
    return f"{low:.1f} .. {high:.1f}"


def _is_known(name: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    return any(row.get(name) is not None for row in rows)
