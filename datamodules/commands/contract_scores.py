"""Laws of the task contract on what an answer is worth: right ones much, garbage little, unreadable samples nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from datamodules.commands.contract_case import (
    SHORT,
    BeyondLimits,
    BrokenLaw,
    Case,
    Law,
    name_in_errors,
)
from vista.codec.codec import Codec
from vista.data import Annotation, Prediction
from vista.metrics.evaluator import Evaluator

GARBAGE = (
    "", "lorem ipsum dolor sit amet", "[", "]", "[1, 2", "[1, 2, 3]", "[1 2 3 4]", "[[1, 2, 3, 4]]", "[-1, 2, 3, 4]",
    "[0, 0, 0, 0]", "[7, 7, 1, 1]", "[1, 2, 3, 1000]", "[99999999999999999999, 1, 2, 3]", "1, 2, 3, 4", "<bsep>",
    "<msep> <msep>", "The answer is", "The images are 7 and 99.", "(Z)", "\x00\t\n\u2028", "日本語 🙂", "a" * 5000,
    "[1, 2, 3, 4] " * 50,
)  # fmt: skip
# Right answers reach less than 100: masks lose in the codec, of ten people not all agree, CIDEr's scale is the set's.
LEAST = {
    "mIoU": 75.0,
    "gIoU": 75.0,
    "J": 75.0,
    "CIDEr": 0.0,
}
LEAST_ELSE = 80.0
HIGH = 90.0
BATCH_SIZE = 64
# As much as points can hold.
FINE: dict[str, Any] = {"num_points": 256, "method": "fast", "multipart": "bridge"}
NEAR = 5.0  # what is lost even so, and what is gained at least
Scores = Mapping[str, Tensor]


def scores_of(
    case: Case,
    preds: Sequence[Prediction],
    batch_size: int = BATCH_SIZE,
    backwards: bool = False,
) -> dict[str, Tensor]:
    """The scores of one prediction for each annotation, whatever the batches and the order."""
    evaluator = case.task.evaluator()
    if isinstance(evaluator, Evaluator):  # caption scores are to start no Java
        evaluator.quick = True
        evaluator.tokenizer = "python"
    pairs = list(zip(preds, case.references, strict=True))
    if backwards:
        pairs.reverse()
    for start in range(0, len(pairs), batch_size):
        batch = pairs[start : start + batch_size]
        batch_preds = [pred for pred, _ in batch]
        references = [reference for _, reference in batch]
        evaluator.update(batch_preds, references)
    return dict(evaluator.compute())


def headline_of(case: Case, preds: Sequence[Prediction]) -> float:
    """The headline score of one prediction for each annotation."""
    return float(scores_of(case, preds)[case.task.headline])


def parse_law(case: Case) -> str:
    """`parse` is the inverse of `target`: it reads every right answer, and any beginning of it without an exception."""
    triples = zip(case.annotations, case.targets, case.right_preds, strict=True)
    for annotation, text, pred in triples:
        if not isinstance(pred, Prediction):
            given = f"parse gives a {type(pred).__name__}"
            raise BrokenLaw.at(annotation, f"{given}, not a Prediction")
        if pred.malformed:
            problem = f"parse calls its own target {SHORT.repr(text)} malformed"
            raise BrokenLaw.at(annotation, problem)
        # An answer may end anywhere, since its length is limited.
        ends = {
            len(text) // 3,
            len(text) // 2,
            max(0, len(text) - 1),
        }
        for end in ends:
            _parse(case, text[:end], annotation)
    return f"{len(case.right_preds)} right answers read"


def _parse(case: Case, text: str, annotation: Annotation) -> Prediction:
    with name_in_errors(annotation, f"parse of {SHORT.repr(text)}"):
        return case.task.parse(text, annotation)


def scores_law(case: Case) -> str:
    """The evaluator gives a flat dict of scalars with the headline, the same in any order and any batches."""
    scores = scores_of(case, case.right_preds)
    _require_scalars(scores)
    expected = {case.task.headline, "n", "parse_failures"}
    missing = sorted(expected - scores.keys())
    if missing:
        raise BrokenLaw(f"the evaluator gives no {', '.join(missing)} but {', '.join(scores)}")
    num_counted = int(scores["n"])
    num_given = len(case.annotations)
    if num_counted != num_given:
        raise BrokenLaw(f"the evaluator counted {num_counted} of {num_given} annotations")
    one_by_one = scores_of(case, case.right_preds, batch_size=1, backwards=True)
    _require_equal(scores, one_by_one)
    return ", ".join(name for name in scores if name not in ("n", "parse_failures"))


def _require_scalars(scores: Scores) -> None:
    for name, value in scores.items():
        if not isinstance(value, Tensor) or value.dim():
            given = f"the score {name} is {SHORT.repr(value)}"
            raise BrokenLaw(f"{given}; a scalar tensor is expected")
        if set(name) & set("@. "):
            problem = "holds `@`, `.` or a space, which break file names"
            raise BrokenLaw(f"the score's name {name!r} {problem}")


def _require_equal(at_once: Scores, one_by_one: Scores) -> None:
    for name in at_once.keys() | one_by_one.keys():
        first = at_once.get(name)
        second = one_by_one.get(name)
        if not _is_equal(first, second):
            found = f"{first} at once, {second} one by one"
            raise BrokenLaw(f"{name} depends on order or batches: {found}")


def _is_equal(first: Tensor | None, second: Tensor | None) -> bool:
    if first is None or second is None:
        return False
    return bool(torch.isclose(first, second, equal_nan=True))


def ceiling_law(case: Case) -> str:
    """Right answers score high; less than the baseline only where that is made of true regions, which lose nothing."""
    name = case.task.headline
    score = headline_of(case, case.right_preds)
    baseline = headline_of(case, case.baseline_preds)
    least = LEAST.get(name, LEAST_ELSE)
    found = f"right answers have {name} {score:.1f}"
    if score > least and score >= min(baseline, HIGH):
        return f"{found}, the baseline ({case.task.baseline_name}) {baseline:.1f}"
    _require_enough(case, found)
    _require_codec(case, score, max(least, min(baseline, HIGH)))
    expected = f"more than {least:.0f} and no less than the baseline's {baseline:.1f}"
    raise BrokenLaw(f"{found}; expected is {expected}. {_worst(case)}")


def _require_enough(case: Case, found: str) -> None:
    if case.is_small:
        raise BeyondLimits(f"{found}; too few annotations to tell: {len(case.annotations)}")


def _require_codec(case: Case, score: float, expected: float) -> None:
    """Whether it is the codec that holds the regions no better: then with a finer one all is as expected."""
    finest = Codec(**FINE)
    try:
        finer = case.under(finest)
        finer_score = headline_of(finer, finer.right_preds)
    except Exception:  # a task from outside may raise anything; it is judged by its own codec
        return
    if finer_score < expected - NEAR or finer_score < score + NEAR:
        return
    own, name = case.task.codec, case.task.headline
    raise BeyondLimits(
        f"{_points(own)} hold these regions to {name} {score:.1f}, {_points(finest)} to {finer_score:.1f}: "
        "a limit of the codec"
    )


def _points(codec: Codec) -> str:
    """`8 points (adaptive, largest)`."""
    return f"{codec.num_points} points ({codec.method}, {codec.multipart})"


def _worst(case: Case) -> str:
    """The right answer that scores least by itself, and what it was compared with."""
    by_annotation = []
    for annotation, pred in zip(case.annotations, case.right_preds, strict=True):
        single = Case(case.task, [annotation], case.accepts)
        by_annotation.append(headline_of(single, [pred]))
    worst = by_annotation.index(min(by_annotation))
    pred = case.right_preds[worst]
    names = ("answer", "boxes", "masks", "choice", "decision", "numbers")
    values = {name: getattr(pred, name) for name in names}
    read = {name: value for name, value in values.items() if value not in ("", [], (), None)}
    return (
        f"Least has annotation {case.annotations[worst].id}: target {SHORT.repr(case.targets[worst])} is read as "
        f"{SHORT.repr(read)}, and the reference is {SHORT.repr(case.references[worst])}"
    )


def garbage_law(case: Case) -> str:
    """Garbage raises nothing and scores half of what right answers do at most, or as the baseline, but clearly less."""
    name = case.task.headline
    right_score = headline_of(case, case.right_preds)
    baseline = headline_of(case, case.baseline_preds)
    # A constant answer may be as good as a baseline that is one.
    limit = max(0.5 * right_score, min(baseline, 0.8 * right_score))
    for text in GARBAGE:
        preds = [_parse(case, text, annotation) for annotation in case.annotations]
        score = headline_of(case, preds)
        if score > limit + 1e-6:
            _require_enough(
                case, f"the answer {SHORT.repr(text)} to everything has {name} {score:.1f}"
            )
            problem = f"the answer {SHORT.repr(text)} to everything has {name} {score:.1f}"
            raise BrokenLaw(f"{problem}; expected is {limit:.1f} at most")
    return f"{len(GARBAGE)} texts raise nothing and have {name} {limit:.1f} at most"


def unreadable_law(case: Case) -> str:
    """A sample that could not be read, `Prediction(malformed=True)`, earns nothing and is counted."""
    name = case.task.headline
    preds = [Prediction(malformed=True) for _ in case.annotations]
    scores = scores_of(case, preds)
    score = float(scores[name])
    if score > 0:
        problem = f"{name} is {score:.1f} where all samples are unreadable"
        raise BrokenLaw(f"{problem}; expected is 0")
    num_counted = int(scores["parse_failures"])
    num_given = len(case.annotations)
    if num_counted != num_given:
        counted = f"parse_failures counts {num_counted} of {num_given}"
        raise BrokenLaw(f"{counted} unreadable samples")
    return f"unreadable samples have {name} 0"


SCORE_LAWS: dict[str, Law] = {
    "parse": parse_law,
    "scores": scores_law,
    "ceiling": ceiling_law,
    "garbage": garbage_law,
    "unreadable": unreadable_law,
}
