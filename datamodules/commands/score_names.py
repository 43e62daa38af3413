"""Which score a file of answers is for: what is asked, its name, and the run that it lies in.

rec_refcoco_val.jsonl       the score of that name, as under `test` of the configs' sources
mine.json, --source rec     the only score of the source `rec`
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from datamodules.commands.configured import Setup, read_setup
from datamodules.commands.options import ScoreOptions
from datamodules.source import nearest
from tasks import Task
from vista.app.unnamed import Unnamed, read_unnamed
from vista.data import InputError
from vista.printable import say


def setup_of(path: Path, options: ScoreOptions) -> Setup:
    """The sources behind a file of answers: of the configs that are named, else of the run that it lies in."""
    beside = None if options.config else _run_config(path)
    if beside and (note := beside.left_out(options.plugin)):
        say(note, file=sys.stderr)
    return read_setup(options.config, options.data.root, options.plugin, beside)


def _run_config(predictions: Path) -> Unnamed | None:
    """The config of the run that a file lies in (its codec wrote the answers), else none."""
    folder = predictions.absolute().parent
    config = folder.parent / "config.yaml"
    found = folder.name == "predictions" and config.is_file()
    return read_unnamed(config) if found else None


def choose_scores(
    setup: Setup, tasks: Sequence[str], source: str, path: Path, form: str
) -> list[str]:
    """The names of the scores that a file is for: one, but all settings of POPE where a LLaVA file names none.

    Raises:
        InputError: nothing or too much fits, see `choose_score`.
    """
    of_pope: list[str] = []
    for name, each in setup.sources.items():
        if each.task == "pope" and source in ("", name):
            of_pope += each.test
    asked = list(tasks) == ["pope"] or (source and of_pope)
    if form == "llava" and asked and not {source, *stems(path)} & set(of_pope):
        return of_pope
    return [choose_score(setup, tasks, source, path)]


def stems(path: Path) -> list[str]:
    """What a file's name may name, the longest first: `rec.testA.1.jsonl` -> `rec.testA.1`, `rec.testA`, `rec`."""
    parts = path.stem.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def choose_score(setup: Setup, tasks: Sequence[str], source: str, path: Path) -> str:
    """The name of the score that a file is for: `--source`, else the file's stem, else the tasks' only score.

    Args:
        setup: the sources.
        tasks: names of those that may be meant; empty: any.
        source: the name of a score, or of a source with one score; or empty.
        path: of the file; `x.1.jsonl`, another process's part of `x.jsonl`, is for the same score, unless there is a
            score `x.1`.

    Raises:
        InputError: nothing or too much fits.
    """
    for task in tasks:
        if task not in Task.known:
            raise InputError(nearest(task, list(Task.known), "task"))
    known: dict[str, str] = {}  # score -> source
    for name, each in setup.sources.items():
        known |= dict.fromkeys(each.test, name)
    fitting = [
        score for score, name in known.items() if not tasks or setup.sources[name].task in tasks
    ]
    wanted = source or next(filter(known.__contains__, stems(path)), "")
    if wanted in known:
        if wanted not in fitting:
            task = setup.sources[known[wanted]].task
            raise InputError(f"{wanted} is a score of task {task}, not of {', '.join(tasks)}")
        return wanted
    if source:
        of_source = [score for score in fitting if known[score] == source]
        if len(of_source) == 1:
            return of_source[0]
        raise InputError(_unknown_score(source, of_source or fitting))
    if tasks and len(fitting) == 1:
        return fitting[0]
    there = ", ".join(fitting) or "no source of the configs has any"
    raise InputError(f"{path}: the file's name is that of no score; name one by --source: {there}")


def _unknown_score(name: str, known: Sequence[str]) -> str:
    if not known:
        return f"there is no score {name!r}, nor any other of the task"
    return nearest(name, known, "score")
