"""Tables of scores: what runs reach beside the paper's VistaLLM-7B and 13B, one table for each task and metric.

A table has one metric, so that never two of them stand in one column (mIoU and cIoU are not the same). The paper's
numbers stand beside official benchmarks only; a score on the generated world has a row of its own.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, product

from vista.metrics.bootstrap import Interval
from vista.reporting.paper import PUBLISHED
from vista.reporting.tables import Table, without_empty

UNSEEN = "_unseen_wording"  # ends the name of a score in prompts that are never trained on
MORE = {"res": ("oIoU",), "gres": ("cIoU",)}  # others publish these, the paper does not
MEANINGS = {
    "oIoU": "Sum of intersections by sum of unions, which other papers call cIoU. The paper reports mIoU alone.",
    "cIoU": "Sum of intersections by sum of unions. The paper reports gIoU alone.",
    "mIoU": "Mean of the IoU of each expression; what others publish as cIoU is another score.",
    "gIoU": "Mean of the IoU of each expression, 1 where rightly nothing is found.",
    "pr50": "Share of boxes with an IoU over 0.5.",
}
Key = tuple[str, str]  # score and metric


@dataclass
class Scored:
    """One score of a run.

    Attributes:
        value: of the metric.
        interval: where 95 % of the draws lie, None where it is not known.
        baseline: the same score without a look at the image.
        what: what the baseline is.
        n: questions.
        malformed: answers.
    """

    value: float
    interval: Interval | None = None
    baseline: float | None = None
    what: str = ""
    n: int | None = None
    malformed: int | None = None


@dataclass
class RunScores:
    """The scores of a run.

    Attributes:
        name: of the run.
        headlines: by score and metric.
        others: the other metrics of the same scores.
        official: names of those that were measured on the official benchmark.
    """

    name: str
    headlines: Mapping[Key, Scored]
    others: Mapping[Key, float] = field(default_factory=dict)
    official: Collection[str] = ()

    def has(self, key: Key) -> bool:
        """Whether a score was measured."""
        return key in self.headlines or key in self.others

    def found(self, key: Key, official: bool) -> Scored | None:
        """A score of either kind, None where it was not measured."""
        if (key[0] in self.official) != official:
            return None
        value = self.others.get(key)
        return self.headlines.get(key) or (None if value is None else Scored(value))


def task_of(score: str, tasks: Iterable[str]) -> str:
    """The task whose name begins that of a score, the longest; empty where there is none."""
    return max((name for name in tasks if score.startswith(f"{name}_")), key=len, default="")


def score_tables(
    runs: Sequence[RunScores], tasks: Collection[str]
) -> tuple[list[Table], list[Table]]:
    """The tables of what any run has measured, and those of the paper's other benchmarks.

    Args:
        runs: side by side, each a column.
        tasks: all names.
    """
    measured = seen(chain.from_iterable(run.headlines for run in runs))
    shown = dict.fromkeys([*measured, *PUBLISHED, *_more(runs, tasks)])
    grouped: dict[Key, list[Key]] = {}
    for score, metric in shown:
        grouped.setdefault((task_of(score, tasks), metric), []).append((score, metric))
    known, unknown = list[Table](), list[Table]()
    for (task, _), keys in grouped.items():
        measured_any = any(run.has(key) for run, key in product(runs, keys))
        (known if measured_any else unknown).append(_table(task, keys, runs))
    return known, unknown


def seen(keys: Iterable[Key]) -> list[Key]:
    """Those in the prompts of evaluation alone."""
    return [key for key in keys if not key[0].endswith(UNSEEN)]


def _more(runs: Sequence[RunScores], tasks: Collection[str]) -> list[Key]:
    others = seen(chain.from_iterable(run.others for run in runs))
    return [key for key in others if key[1] in MORE.get(task_of(key[0], tasks), ())]


def _table(task: str, keys: Sequence[Key], runs: Sequence[RunScores]) -> Table:
    rows = []
    for official in (False, True):
        for key in keys:
            found = [run.found(key, official) for run in runs]
            if any(found) or (official and key in PUBLISHED):
                rows.append(_row(key, found, official))
    metric = keys[0][1]
    head = [
        "score",
        "paper's",
        "7B",
        "13B",
        *(run.name for run in runs),
        "baseline",
        "baseline is",
        "n",
        "malformed",
    ]
    notes = [MEANINGS[metric]] if metric in MEANINGS else []
    return without_empty(Table(f"{task}: {metric}", head, rows, notes), keep=4 + len(runs))


def _row(key: Key, found: Sequence[Scored | None], official: bool) -> list[str]:
    published = PUBLISHED.get(key) if official else None
    paper = ["", "", ""]
    if published:
        paper = [published.table, number(published.small), number(published.large)]
    known = [each for each in found if each is not None]
    first = known[0] if known else Scored(0.0)
    counts = [_each(each.n for each in known), _each(each.malformed for each in known)]
    name = key[0] if official else f"{key[0]} (generated world)"
    return [name, *paper, *map(shown, found), number(first.baseline), first.what, *counts]


def _each(values: Iterable[int | None]) -> str:
    """Counts of the runs, once where they are the same."""
    known = dict.fromkeys(str(value) for value in values if value is not None)
    return " / ".join(known)


def number(value: float | None) -> str:
    """With one decimal; empty where there is none."""
    return "" if value is None else f"{value:.1f}"


def shown(scored: Scored | None) -> str:
    """A score with its interval."""
    if scored is None:
        return ""
    if scored.interval is None:
        return number(scored.value)
    low, high = scored.interval
    return f"{scored.value:.1f} [{low:.1f}, {high:.1f}]"


def prompt_table(runs: Sequence[RunScores]) -> Table:
    """Scores in the first prompt of each task beside those in prompts that were never trained on."""
    rows = []
    for run in runs:
        for (score, metric), scored in run.headlines.items():
            unseen = run.headlines.get((f"{score}{UNSEEN}", metric))
            if unseen is not None:
                counts = [str(each.n or "") for each in (scored, unseen)]
                rows.append(
                    [run.name, score, metric, shown(scored), counts[0], shown(unseen), counts[1]]
                )
    head = ["run", "score", "metric", "prompt seen", "n", "prompt never seen", "n"]
    return Table("Prompt seen or unseen in training", head, rows)
