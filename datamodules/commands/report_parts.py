"""The parts of a report that are made from runs: radars, curves, slices, comparisons, configs."""

import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import torch

from datamodules.commands.gallery import Room, changed
from datamodules.commands.reported import Answered, ReportedRun
from vista.app.runs import run_of
from vista.app.strict_yaml import load_yaml
from vista.metrics.bootstrap import Difference, paired
from vista.printable import printable
from vista.reporting.charts import radar_chart
from vista.reporting.curves import Curves, curve_charts, read_curves
from vista.reporting.page import figure, folded
from vista.reporting.radars import own_radar, paper_radar
from vista.reporting.scores import RunScores, Scored, number, shown
from vista.reporting.slices import ORDER, TITLES
from vista.reporting.tables import Table, escape, without_empty

MOST_STAGES = 9  # before a run
MOST_LETTERS = 200_000  # of a config
SLICE_DRAWS = 1_000  # of images; a headline has ten times as many
FEW = 20  # samples of a slice; fewer have no interval
LIBRARIES = ("torch", "lightning", "transformers", "tokenizers", "numpy", "opencv-python-headless")
FIGURE_1 = (
    "Figure 1 of the paper, axes normalised by VistaLLM-13B, with the origins of Appendix A. Only scores on official "
    "benchmarks are drawn."
)
OWN_RADAR = "What was measured, from 0 in the middle to the best of the runs and the baseline."


def radars(scores: Sequence[RunScores]) -> list[str]:
    """The paper's radar, and one of what was measured."""
    charts = [figure(radar_chart(*paper_radar(scores)), FIGURE_1)]
    spokes, shapes = own_radar(scores)
    if len(spokes) > 2:
        charts.append(figure(radar_chart(spokes, shapes), OWN_RADAR))
    return [f"<div class=charts>{''.join(charts)}</div>"]


def curves_of(run: ReportedRun) -> str:
    """The training curves of a run and of the stages that it began from."""
    assert run.folder is not None
    stages = stages_of(run.folder)
    curves: list[Curves] = [read_curves(stage) for stage in stages]
    metrics = [metric for _, metric in run.scores.headlines]
    charts = curve_charts(curves, [*metrics, "mean"])
    names = " → ".join(stage.name for stage in stages)
    inside = "".join(charts) or "<p class=note>it has no logs</p>"
    return f"<h3>{escape(names)}</h3><div class=charts>{inside}</div>"


def stages_of(folder: Path) -> list[Path]:
    """A run after those whose weights it began from, as far as they are there."""
    stages = [folder]
    while len(stages) <= MOST_STAGES:
        config = stages[0] / "config.yaml"
        settings = load_yaml(config.read_text()) if config.is_file() else None
        model = settings.get("model") if isinstance(settings, dict) else None
        named = model.get("init_from") if isinstance(model, dict) else None
        before = run_of(Path(named)) if isinstance(named, str) else None
        if before is None or before in stages:
            break
        stages.insert(0, before)
    return stages


def slice_tables(runs: Sequence[ReportedRun]) -> list[Table]:
    """A table for each respect and metric: a row for each score of each run, a column for each kind of sample."""
    rows: dict[tuple[str, str], list[tuple[str, str, dict[str, str]]]] = {}
    for run in runs:
        for score, answered in run.answered.items():
            for respect, cells in sliced(answered).items():
                key = (respect, answered.source.task.headline)
                rows.setdefault(key, []).append((score, run.name, cells))
    tables = []
    for respect in TITLES:
        for (own, metric), some in rows.items():
            if own == respect:
                tables.append(_slice_table(f"{TITLES[respect]}: {metric}", some))
    return tables


def sliced(answered: Answered) -> dict[str, dict[str, str]]:
    """By respect, where samples differ in it, the score of each kind."""
    found: dict[str, dict[str, str]] = {}
    for respect in TITLES:
        places: dict[str, list[int]] = {}
        for place, kinds in enumerate(answered.kinds):
            if respect in kinds:
                places.setdefault(kinds[respect], []).append(place)
        if len(places) > 1 or (respect == "images" and places.keys() - {"1"}):
            found[respect] = {kind: _slice(answered, places[kind]) for kind in places}
    return found


def _slice(answered: Answered, places: Sequence[int]) -> str:
    part = answered.sampled.only(places)
    interval = part.interval(SLICE_DRAWS) if len(places) >= FEW else None
    return f"{shown(Scored(part.score, interval))} n={len(places)}"


def _slice_table(title: str, rows: Sequence[tuple[str, str, dict[str, str]]]) -> Table:
    lines = []
    for score, run, cells in rows:
        lines.append([score, run, *(cells.get(kind, "") for kind in ORDER)])
    return without_empty(Table(title, ["score", "run", *ORDER], lines), keep=2)


def compare(first: ReportedRun, second: ReportedRun) -> dict[str, Difference]:
    """The differences of the scores that both runs have answers for, the first minus the second."""
    found = {}
    for name, answered in first.answered.items():
        if name in second.answered:
            found[name] = paired(answered.sampled, second.answered[name].sampled)
    return found


def compared_table(runs: Sequence[ReportedRun], differences: dict[str, Difference]) -> Table:
    """A row for each score."""
    first, second = runs[:2]
    rows = []
    for name, difference in differences.items():
        sides = [run.answered[name].sampled for run in (first, second)]
        between = "cannot be drawn"
        if difference.interval is not None:
            between = f"{difference.interval[0]:+.1f} .. {difference.interval[1]:+.1f}"
        counts = [str(len(difference.changed)), str(len(sides[0].images))]
        scores = [*(number(side.score) for side in sides), f"{difference.value:+.1f}"]
        rows.append([name, sides[0].metric, *scores, between, *counts])
    head = ["score", "metric", first.name, second.name, "difference", "95 %", "changed", "n"]
    note = "Both are drawn with the same images; a question that one side alone answers is wrong on the other."
    return Table("Paired differences", head, rows, [note])


def comparison(
    runs: Sequence[ReportedRun], differences: dict[str, Difference], room: Room
) -> Iterator[str]:
    """The samples that have changed, as HTML."""
    for name, difference in differences.items():
        if difference.changed:
            yield changed(runs[0], runs[1], name, difference.changed, room)
            ids = [runs[0].answered[name].asked[place].id for place in difference.changed]
            yield folded(
                f"ids of the {len(ids)} samples of {name} that are not scored alike",
                escape(", ".join(ids)),
            )


def config_of(run: ReportedRun) -> str:
    """All settings of a run, and where its weights began."""
    texts = []
    for name in ("config.yaml", "weights.txt"):
        file = run.folder and run.folder / name
        if file and file.is_file():
            text = printable(file.read_text(errors="replace")[:MOST_LETTERS])
            lines = "\n".join(map(escape_line, text.splitlines()))
            texts.append(folded(f"{run.name}: {name}", f"<pre>{lines}</pre>"))
    return "".join(texts)


def escape_line(line: str) -> str:
    """A line of a config as HTML, its indentation kept."""
    words = line.lstrip()
    return " " * (len(line) - len(words)) + escape(words)


def environment() -> Table:
    """Where the report was made."""
    rows = [["Python", platform.python_version()], ["machine", platform.platform()]]
    rows += [[name, version(name)] for name in LIBRARIES]
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    rows += [["GPU", gpu], ["threads of torch", str(torch.get_num_threads())]]
    return Table("Where this report was made", ["what", "which"], rows)
