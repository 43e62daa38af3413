"""What a report is made of: the scores of a run or of a file of answers, and every answer scored by itself.

(run,) = read_runs(options)
run.scores.headlines["res_refcoco_val", "mIoU"]     # as `test` has written it, or as it is scored here
run.answered["res_refcoco_val"].sampled.of_samples  # of each answer; empty where the data are not at hand
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from datamodules.commands.compare import Side, read_side
from datamodules.commands.options import ReportOptions
from datamodules.commands.result_files import Answer
from datamodules.commands.score import answers_in, predict, read_scored, score
from datamodules.commands.written_scores import scores_of, written_scores
from datamodules.source import LoadedSource
from vista.app.intervals import sampled_score
from vista.app.report import Row, score_row
from vista.app.runs import RUNS, newest_run
from vista.data import Annotation, InputError, Prediction
from vista.metrics.bootstrap import SampledScore
from vista.metrics.evaluator import CorpusEvaluator
from vista.reporting.scores import RunScores
from vista.reporting.slices import kinds_of

# What answers are ranked by, the first that the task's evaluator has: finer than its headline, or of one answer.
RANKED_BY = ("mIoU", "mean_iou", "gIoU", "accuracy")


@dataclass
class Answered:
    """The answers behind one score.

    Attributes:
        source: what was asked; its annotations are those that count.
        form: of the answers.
        answers: by id.
        sampled: their scores, in the order of the source's annotations.
    """

    source: LoadedSource
    form: str
    answers: Mapping[str, Answer]
    sampled: SampledScore

    @property
    def asked(self) -> Sequence[Annotation]:
        """The annotations that count."""
        return self.source.annotations

    def prediction(self, annotation: Annotation) -> Prediction:
        """The answer to an annotation, parsed."""
        return predict(self.source.task, annotation, self.answers.get(annotation.id), self.form)

    @cached_property
    def kinds(self) -> list[dict[str, str]]:
        """What kind of sample each is."""
        any_number = self.source.task.any_number
        return [kinds_of(annotation, any_number) for annotation in self.asked]

    @cached_property
    def ranks(self) -> np.ndarray:
        """How good each answer is, float (N,)."""
        evaluator = self.sampled.evaluator
        if isinstance(evaluator, CorpusEvaluator):
            return self.sampled.of_samples
        totals = [dict(zip(evaluator.sums, sums, strict=True)) for sums in self.sampled.sums]
        of_each = [evaluator.scores(total) for total in totals]
        metric = next(
            (name for name in RANKED_BY if of_each and name in of_each[0]), self.sampled.metric
        )
        return np.array([scores[metric] for scores in of_each])


@dataclass
class ReportedRun:
    """A run, or a file of answers.

    Attributes:
        name: of the run or file.
        folder: of the run; None for a file.
        scores: what is known of it.
        answered: the answers by score; those whose data are not at hand are left out.
        notes: what is missing, in sentences.
    """

    name: str
    folder: Path | None
    scores: RunScores
    answered: dict[str, Answered] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_runs(options: ReportOptions) -> list[ReportedRun]:
    """The runs and files that the options name.

    Raises:
        InputError: there is no such run or file, or nothing is known of it.
    """
    named = [*options.compare, *options.runs, *options.predictions]
    if not named:
        named = [str(newest_run())]
    sides = [_side(name, options) for name in dict.fromkeys(named)]
    shared = _asked_of_both(sides[:2], options) if options.compare else {}
    return [_read(path, side, shared, options) for path, side in sides]


def _side(name: str, options: ReportOptions) -> tuple[Path, Side | None]:
    path = next((p for p in (Path(name), RUNS / name) if p.exists()), None)
    if path is None:
        raise InputError(f"{name} is neither a file of answers nor a run below {RUNS}/")
    if path.is_dir() and not any((path / "predictions").glob("*.jsonl")):
        return path, None
    return path, read_side(name, options)


def _asked_of_both(
    sides: Sequence[tuple[Path, Side | None]], options: ReportOptions
) -> dict[str, set[str]]:
    """By score the ids that either side answers: on the other side, such a question is wrong."""
    found: dict[str, set[str]] = {}
    known = [side for _, side in sides if side is not None]
    for name in set.intersection(*(set(side.files) for side in known)):
        ids = [_answers(side, name, options)[1].keys() for side in known]
        found[name] = set().union(*ids)
    return found


def _answers(
    side: Side, name: str, options: ReportOptions
) -> tuple[LoadedSource, dict[str, Answer]]:
    source = read_scored(side.setup, name, options.format, options.data.scoring.max_test)
    return source, answers_in([side.files[name]], source, options.format)


def _read(
    path: Path, side: Side | None, shared: Mapping[str, set[str]], options: ReportOptions
) -> ReportedRun:
    folder = path if path.is_dir() else None
    stage, content = written_scores(folder)
    rows: dict[str, Row] = {row["name"]: row for row in content.get("table", [])}
    values = dict(content.get("all", {}))
    run = ReportedRun(path.name, folder, RunScores(path.name, {}))
    official = {name for name, row in rows.items() if row.get("paper") is not None}
    if side is not None:
        _look_at_answers(run, side, shared, options)
    for name, found in run.answered.items():
        if not (found.source.root / "world.json").is_file():
            official.add(name)
        if name not in rows:
            rows[name] = _scored_here(found, values)
    if not rows:
        raise InputError(
            f"nothing is known of {path}: neither scores nor answers; `test` writes both"
        )
    run.scores = scores_of(run.name, _chosen(rows, options), values, stage, official)
    return run


def _look_at_answers(
    run: ReportedRun, side: Side, shared: Mapping[str, set[str]], options: ReportOptions
) -> None:
    """Score the answers of a run one by one; data that are not at hand are noted."""
    for name in side.files:
        try:
            found = _answered(side, name, shared.get(name), options)
        except FileNotFoundError as error:
            run.notes.append(f"{run.name}: answers of {name} are not looked at, since {error}")
            continue
        if found is not None:
            run.answered[name] = found


def _chosen(rows: Mapping[str, Row], options: ReportOptions) -> dict[str, Row]:
    """Those rows that were asked for."""
    chosen = {}
    for name, row in rows.items():
        of_task = any(name.startswith(f"{task}_") for task in options.task)
        if (of_task or not options.task) and options.source in ("", name):
            chosen[name] = row
    return chosen


def _answered(
    side: Side, name: str, shared: set[str] | None, options: ReportOptions
) -> Answered | None:
    """The answers of a score, each scored; None where the right ones are hidden, or cannot be scored alone."""
    source, answers = _answers(side, name, options)
    if not source.scored:
        return None
    # A run was asked what it has answered; a file is scored on all of its split.
    of_run = side.files[name].parent.name == "predictions"
    ids = shared or (set(answers) if of_run else {a.id for a in source.annotations})
    asked = [annotation for annotation in source.annotations if annotation.id in ids]
    form, source = options.format, replace(source, annotations=asked)
    found = sampled_score(source, lambda a: predict(source.task, a, answers.get(a.id), form))
    return None if found is None else Answered(source, form, answers, found)


def _scored_here(answered: Answered, values: dict[str, float]) -> Row:
    """The row of a score that nobody has written yet."""
    source = answered.source
    of_all = score(source, dict(answered.answers), answered.form)
    own = {f"test/{source.name}/{metric}": value for metric, value in of_all.items()}
    values.update(own)
    row = score_row(source, "test", own)
    assert row is not None  # its headline is among the scores
    row["interval"] = answered.sampled.interval()
    return row
