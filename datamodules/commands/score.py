"""`score`: the table of `test` for answers that are already there, without a model.

    python main.py score --task gres --predictions runs/stage1/predictions/gres_testA.jsonl
    python main.py score --config eval --source vqav2_val --format vqa --predictions mine.json
    python main.py score --config eval --task pope --format llava --predictions llava-v1.5-13b.jsonl
    python main.py score --compare runs/stage1 runs/stage2          see `datamodules.commands.compare`

A file's stem or `--source` names the score, as under `test` of the configs' sources. Every annotation of its split is
counted, or every one that `test --data.scoring.max_test N` asks about: one without an answer is wrong. All scores go to
`<score>.scores.json` beside the first file.
"""

import json
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from datamodules.commands.configured import Setup, read_setup
from datamodules.commands.options import ScoreOptions
from datamodules.commands.result_files import Answer, read_answers
from datamodules.commands.system_answers import as_prediction
from datamodules.questions import limit
from datamodules.source import LoadedSource, check_source, nearest
from tasks import Task
from vista.app.intervals import headline_interval
from vista.app.report import Row, print_table, score_row
from vista.app.unnamed import Unnamed, read_unnamed
from vista.data import Annotation, InputError, Prediction
from vista.predictions import in_bins, write_submission
from vista.printable import say

FORM_TASKS = {
    "vqa": ("vqav2", "textvqa"),
    "coco_caption": ("caption",),
    "pope": ("pope",),
    "coco": ("rec", "res", "grec", "gres"),
    "ref_l4": ("rec",),
}
BATCH = 64  # references that stand in memory at once; masks are large


def main(options: ScoreOptions) -> None:
    """Score every file and print the table.

    Raises:
        FileNotFoundError: a file is missing.
        InputError: one sentence about what does not fit.
    """
    if options.compare:
        from datamodules.commands.compare import compare

        compare(options)
        return
    paths = [Path(name) for name in options.predictions]
    if not paths:
        raise InputError("name files by --predictions, or two runs or files by --compare A B")
    setup = setup_of(paths[0], options)
    files: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        for name in choose_scores(setup, options.task, options.source, path, options.format):
            files[name].append(path)
    most = options.data.scoring.max_test
    rows = [score_files(setup, name, own, options.format, most) for name, own in files.items()]
    print_table(rows)


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


def read_scored(
    setup: Setup, name: str, form: str = "jsonl", most: int | None = None
) -> LoadedSource:
    """The annotations behind a score, as its task asks about them.

    Args:
        setup: the sources.
        name: of the score.
        form: of the answers, see `datamodules.commands.result_files`.
        most: about how many annotations; None: all.

    Raises:
        FileNotFoundError: an official file is missing.
        InputError: the source is unsound, or answers of its task have no such form.
    """
    source_name, source = next((n, s) for n, s in setup.sources.items() if name in s.test)
    check_source(source_name, source)
    if source.task not in FORM_TASKS.get(form, (source.task,)):
        raise InputError(
            f"--format {form} is for {' and '.join(FORM_TASKS[form])}, not for task {source.task}"
        )
    only = replace(source, test={name: source.test[name]})
    loaded = setup.splits.load({source_name: only}, "test")
    limit(loaded, most)
    return loaded[0]


def score_files(
    setup: Setup, name: str, paths: Sequence[Path], form: str = "jsonl", most: int | None = None
) -> Row:
    """Score the answers of one or several files, and write all scores beside the first.

    Args:
        setup: the sources.
        name: of the score.
        paths: the files; together they answer each question once.
        form: see `datamodules.commands.result_files`.
        most: about how many annotations are scored; None: all.

    Returns:
        a row of the table.
    """
    scored = read_scored(setup, name, form, most)
    total = len(scored.annotations)
    answers = answers_in(paths, scored, form)
    unanswered = total - len(answers)
    note = f", {unanswered} of them without an answer" if unanswered else ""
    note += ": wrong" if unanswered and scored.scored else ""
    if unanswered and most is None:
        note += " (--data.scoring.max_test N scores what `test` with the same option asks)"
    say(f"{name}: {total} annotations{note}")
    if scored.scored:
        found = score(scored, answers, form)
    else:
        found = {}
        submit(scored, answers, paths[0].parent, form)
    metrics = {f"test/{name}/{key}": value for key, value in found.items()}
    row = score_row(scored, "test", metrics)
    if row is None:
        raise InputError(
            f"task {scored.task.name} has no score {scored.task.headline!r}, its headline"
        )
    if scored.scored:
        row["interval"] = headline_interval(
            scored,
            lambda annotation: predict(scored.task, annotation, answers.get(annotation.id), form),
        )
    content = {"table": [row], "all": metrics}
    (paths[0].parent / f"{name}.scores.json").write_text(json.dumps(content, indent=1) + "\n")
    return row


def submit(scored: LoadedSource, answers: dict[str, Answer], folder: Path, form: str) -> None:
    """Write what the benchmark's server takes for a split whose answers are hidden."""
    file = write_submission(
        folder / scored.name,
        scored,
        lambda annotation: predict(scored.task, annotation, answers.get(annotation.id), form),
    )
    if file is not None:
        count = len(scored.annotations)
        say(
            f"{scored.name} has no answers in this split; for its server: {file} ({count} questions)"
        )


def answers_in(paths: Iterable[Path], scored: LoadedSource, form: str) -> dict[str, Answer]:
    """The answers of files, which together answer each question once, by the id of their annotation."""
    files = (read_answers(path, form, scored.annotations, scored.task.name) for path in paths)
    return by_id(scored, chain.from_iterable(files))


def by_id(scored: LoadedSource, answers: Iterable[Answer]) -> dict[str, Answer]:
    """The answers by the id of their annotation.

    Raises:
        InputError: an id stands twice, or no annotation of the split has it.
    """
    known = {a.id for a in scored.annotations}
    found = dict[str, Answer]()
    for answer in answers:
        if answer.id not in known:
            raise InputError(
                f"{answer.location}: {scored.name} has no annotation {answer.id!r} among its {len(known)}"
            )
        if answer.id in found:
            raise InputError(
                f"{answer.location}: {answer.id!r} is answered twice, first at {found[answer.id].location}"
            )
        found[answer.id] = answer
    return found


def score(
    scored: LoadedSource, answers: dict[str, Answer], form: str = "jsonl"
) -> dict[str, float]:
    """All scores of a split.

    Args:
        scored: the split.
        answers: by id; an annotation without one is wrong.
        form: in the official form of VQA an answer is scored as it stands, without a look for `The answer is`.
    """
    evaluator = scored.task.evaluator()
    for start in range(0, len(scored.annotations), BATCH):
        some = scored.annotations[start : start + BATCH]
        preds = [predict(scored.task, a, answers.get(a.id), form) for a in some]
        evaluator.update(preds, [scored.task.reference(a) for a in some])
    with warnings.catch_warnings():
        warnings.simplefilter("once")
        return {key: float(value) for key, value in evaluator.compute().items()}


def predict(task: Task, annotation: Annotation, answer: Answer | None, form: str) -> Prediction:
    """What an answer says; none, or one to an unreadable sample, is malformed."""
    if answer is None or answer.unreadable:
        return Prediction(malformed=True)
    if form == "vqa" and not task.overlong(answer.text, annotation):
        return Prediction(text=answer.text, answer=answer.text)
    if answer.regions:
        return as_prediction(answer.regions, task, annotation)
    reader = in_bins(task, answer.bins) if answer.bins else task
    prediction = reader.read(answer.text, annotation)
    prediction.scores |= answer.scores
    return prediction
