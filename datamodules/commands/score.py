"""`score`: the table of `test` for answers that are already there, without a model.

    python main.py score --task gres --predictions runs/stage1/predictions/gres_testA.jsonl
    python main.py score --config eval --source vqav2_val --format vqa --predictions mine.json
    python main.py score --config eval --task pope --format llava --predictions llava-v1.5-13b.jsonl
    python main.py score --compare runs/stage1 runs/stage2          see `datamodules.commands.compare`

Which score a file is for: `datamodules.commands.score_names`. Every annotation of its split is
counted, or every one that `test --data.scoring.max_test N` asks about: one without an answer is wrong. All scores go to
`<score>.scores.json` beside the first file.
"""

import json
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from datamodules.commands.configured import Setup
from datamodules.commands.options import ScoreOptions
from datamodules.commands.result_files import Answer, read_answers
from datamodules.commands.score_names import choose_scores, setup_of
from datamodules.commands.system_answers import as_prediction
from datamodules.questions import limit
from datamodules.source import LoadedSource, check_source
from tasks import Task
from vista.app.intervals import headline_interval
from vista.app.report import Row, print_table, score_row
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
