"""`score --compare A B`: how much better A is than B on the same questions, and how sure that is.

    python main.py score --compare runs/stage2 runs/stage1
    python main.py score --compare mine.json theirs.json --config eval --source vqav2_val --format vqa

Runs are compared on every score that both have answers for. Each side's answers are read with its own codec; both are
drawn with the same images, so that the interval is that of the difference. A question that one side alone answers is
wrong on the other. The table and the ids of the questions not scored alike go to `compared_with_B.json` beside A.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

from rich.console import Console
from rich.table import Table

from datamodules.commands.configured import Setup
from datamodules.commands.options import ScoreOptions
from datamodules.commands.result_files import Answer
from datamodules.commands.score import answers_in, predict, read_scored
from datamodules.commands.score_names import choose_score, setup_of
from datamodules.source import LoadedSource
from vista.app.intervals import sampled_score
from vista.app.runs import RUNS
from vista.data import InputError
from vista.metrics.bootstrap import Interval, SampledScore, paired
from vista.printable import in_one_line, say


class Side(NamedTuple):
    """A run or a file: its name, the sources behind it and its files by score."""

    name: str
    setup: Setup
    files: Mapping[str, Path]


class Compared(TypedDict):
    """A line of the table.

    Attributes:
        name: of the score.
        metric: its headline.
        first: A's score.
        second: B's.
        difference: A's minus B's.
        interval: where 95 % of the differences lie; None where the metric cannot be drawn.
        changed: ids of the questions that are not scored alike.
        n: questions.
    """

    name: str
    metric: str
    first: float
    second: float
    difference: float
    interval: Interval | None
    changed: list[str]
    n: int


def compare(options: ScoreOptions) -> None:
    """Print the table and write it.

    Raises:
        FileNotFoundError: an official file is missing.
        InputError: there are not two sides, or they have no score in common.
    """
    if len(options.compare) != 2 or options.predictions:
        raise InputError(
            "--compare takes two runs or two files: --compare A B, and no --predictions"
        )
    first, second = (read_side(name, options) for name in options.compare)
    names = [name for name in first.files if name in second.files]
    if not names:
        there = " and ".join(
            f"{side.name} answers {', '.join(side.files)}" for side in (first, second)
        )
        raise InputError(f"there is nothing to compare: {there}")
    rows = [compare_score(name, (first, second), options) for name in names]
    print_compared(rows, (first.name, second.name))
    folder = next(iter(first.files.values())).parent
    out = folder / f"compared_with_{Path(second.name).name}.json"
    content = {"first": first.name, "second": second.name, "table": rows}
    out.write_text(json.dumps(content, indent=1) + "\n")
    say(f"the questions that are not scored alike: {out}")


def read_side(name: str, options: ScoreOptions) -> Side:
    """The files of answers that a run or a path stands for.

    Raises:
        InputError: there is no such run or file, or it holds no answers.
    """
    path = next((p for p in (Path(name), RUNS / name) if p.exists()), None)
    if path is None:
        raise InputError(f"{name} is neither a file of answers nor a run below {RUNS}/")
    folder = path / "predictions"
    files = sorted(folder.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{folder} holds no answers; `test` writes them")
    setup = setup_of(files[0], options)
    chosen: dict[str, Path] = {}
    for file in files:
        if len(files) > 1 and not _is_asked(setup, file, options):
            continue
        chosen[choose_score(setup, options.task, options.source, file)] = file
    return Side(path.stem if path.is_file() else path.name, setup, chosen)


def _is_asked(setup: Setup, file: Path, options: ScoreOptions) -> bool:
    """Whether a file of a run is of the tasks, and of the score, that are to be compared."""
    for source in setup.sources.values():
        if file.stem in source.test:
            return options.source in ("", file.stem) and (
                not options.task or source.task in options.task
            )
    return False


def compare_score(name: str, sides: Sequence[Side], options: ScoreOptions) -> Compared:
    """The row of one score."""
    form, most = options.format, options.data.scoring.max_test
    sources = [read_scored(side.setup, name, form, most) for side in sides]
    if not all(source.scored for source in sources):
        raise InputError(f"{name} has no answers in this split: there is nothing to compare with")
    pairs = zip(sides, sources, strict=True)
    answers = [answers_in([side.files[name]], source, form) for side, source in pairs]
    asked = [a.id for a in sources[0].annotations if a.id in answers[0] or a.id in answers[1]]
    if alone := len(answers[0].keys() ^ answers[1].keys()):
        say(
            f"{name}: {alone} questions are answered by one side alone; on the other they are wrong"
        )
    first, second = (
        _sampled(source, own, set(asked), form)
        for source, own in zip(sources, answers, strict=True)
    )
    difference = paired(first, second)
    return {
        "name": name,
        "metric": sources[0].task.headline,
        "first": first.score,
        "second": second.score,
        "difference": difference.value,
        "interval": difference.interval,
        "changed": [asked[index] for index in difference.changed],
        "n": len(asked),
    }


def _sampled(
    source: LoadedSource, answers: Mapping[str, Answer], asked: set[str], form: str
) -> SampledScore:
    found = sampled_score(
        source,
        lambda a: predict(source.task, a, answers.get(a.id), form) if a.id in asked else None,
    )
    if found is None:
        raise InputError(
            f"{source.name}: the metric of {source.task.name} cannot be drawn, since it keeps no sums"
        )
    return found


def print_compared(rows: Sequence[Compared], names: tuple[str, str]) -> None:
    """The rows as a table on the terminal."""
    first, second = (in_one_line(name) for name in names)
    table = Table("source", "metric", first, second, "difference", "95 %", "changed", "n")
    for row in rows:
        between = "cannot be drawn"
        if row["interval"] is not None:
            between = f"{row['interval'][0]:+.1f} .. {row['interval'][1]:+.1f}"
        scores = f"{row['first']:.1f}", f"{row['second']:.1f}", f"{row['difference']:+.1f}"
        counts = str(len(row["changed"])), str(row["n"])
        table.add_row(in_one_line(row["name"]), row["metric"], *scores, between, *counts)
    Console(width=120, markup=False, emoji=False).print(table)
