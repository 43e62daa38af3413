"""`report`: one page of runs or of answers in files, and the same tables in Markdown and LaTeX beside it.

    python main.py report                                                   the newest finished run
    python main.py report --runs stage1 stage2 --out both.html
    python main.py report --predictions mine.jsonl --config eval --source pope_random --format pope
    python main.py report --compare stage1 stage2                           and what has changed between them

The page is one file and loads nothing. What is not at hand, such as the data behind answers, is left out and named.
"""

from collections.abc import Sequence
from itertools import chain

from datamodules.commands.ablated import arms_of
from datamodules.commands.gallery import Room, galleries
from datamodules.commands.options import ReportOptions
from datamodules.commands.report_parts import (
    compare,
    compared_table,
    comparison,
    config_of,
    curves_of,
    environment,
    radars,
    slice_tables,
)
from datamodules.commands.reported import ReportedRun, read_runs
from tasks import Task
from vista.data import InputError
from vista.metrics.bootstrap import Difference
from vista.printable import say
from vista.reporting.ablations import ablation_charts, ablation_tables
from vista.reporting.page import Section, document, folded
from vista.reporting.scores import prompt_table, score_tables
from vista.reporting.tables import Table, escape, to_html, to_latex, to_markdown

MOST_PICTURES = 7_000_000  # bytes of a page, in base64
OTHERS = "The paper's other benchmarks, which none of these runs was measured on"
OF_2026 = (
    "No column holds the best scores of 2026: what is published differs in splits, metrics and training sets from the "
    "paper's, and no public source was found that names one best for each benchmark and metric."
)


def main(options: ReportOptions) -> None:
    """Write the page and the tables.

    Raises:
        FileNotFoundError: a file is missing.
        InputError: one sentence about what does not fit.
    """
    if options.compare and len(options.compare) != 2:
        raise InputError("--compare takes two runs or two files: --compare A B")
    if options.out.suffix not in (".html", ".htm"):
        raise InputError(f"--out is {options.out}; the page is an HTML file, such as report.html")
    runs = read_runs(options)
    differences = compare(runs[0], runs[1]) if options.compare else {}
    scores = [run.scores for run in runs]
    arms = arms_of(runs)
    measured, others = score_tables(scores, Task.known)
    tables = {
        "Scores": measured,
        OTHERS: others,
        "Ablations": ablation_tables(arms),
        "Comparison": [compared_table(runs, differences)] if differences else [],
        "Slices": [*slice_tables(runs), prompt_table(scores)],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(page(runs, differences, tables, ablation_charts(arms)), encoding="utf-8")
    listed = list(chain.from_iterable(tables.values()))
    for ending, write in ((".md", to_markdown), (".tex", to_latex)):
        text = "\n".join(write(table) for table in listed if table.rows)
        options.out.with_suffix(ending).write_text(text, encoding="utf-8")
    say(f"{options.out}; its tables: {options.out.with_suffix('.md')} and .tex")


def page(
    runs: Sequence[ReportedRun],
    differences: dict[str, Difference],
    tables: dict[str, list[Table]],
    ablations: list[str],
) -> str:
    """The page, its tables by the section that they stand in; `ablations` are their charts, HTML."""
    room = Room(MOST_PICTURES)
    html: dict[str, list[str]] = {}
    for title, some in tables.items():
        html[title] = [to_html(table) for table in some if table.rows]
    note = f"<p class=note>{escape(OF_2026)}</p>"
    sections = [
        Section("Scores", [*html["Scores"], folded(OTHERS, "".join(html[OTHERS])), note]),
        Section("Radar", radars([run.scores for run in runs])),
        Section("Ablations", [*ablations, *html["Ablations"]]),
        Section("Comparison", [*html["Comparison"], *comparison(runs, differences, room)]),
        Section("Training", [curves_of(run) for run in runs if run.folder]),
        Section("Slices", html["Slices"]),
        Section("Answers", list(chain.from_iterable(galleries(run, room) for run in runs))),
        Section("Config and environment", [*map(config_of, runs), to_html(environment())]),
    ]
    notes = chain.from_iterable(run.notes for run in runs)
    return document(f"VistaLLM: {', '.join(run.name for run in runs)}", notes, sections)
