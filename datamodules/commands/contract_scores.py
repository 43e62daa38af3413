"""Laws of the task contract on what an answer is worth: right ones much, garbage little, unreadable samples nothing."""

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from datamodules.commands.contract_case import SHORT, BrokenLaw, Case, at
from vista.data import Annotation, Prediction
from vista.metrics.evaluator import Evaluator

GARBAGE = (
    "", "lorem ipsum dolor sit amet", "[", "]", "[1, 2", "[1, 2, 3]", "[1 2 3 4]", "[[1, 2, 3, 4]]", "[-1, 2, 3, 4]",
    "[0, 0, 0, 0]", "[7, 7, 1, 1]", "[1, 2, 3, 1000]", "[99999999999999999999, 1, 2, 3]", "1, 2, 3, 4", "<bsep>",
    "<msep> <msep>", "The answer is", "The images are 7 and 99.", "(Z)", "\x00\t\n\u2028", "日本語 🙂", "a" * 5000,
    "[1, 2, 3, 4] " * 50,
)  # fmt: skip
# Right answers reach less than 100: masks lose in the codec, of ten people not all agree, CIDEr's scale is the set's.
LEAST = {"mIoU": 75.0, "gIoU": 75.0, "J": 75.0, "CIDEr": 0.0}
LEAST_ELSE, HIGH = 80.0, 90.0
BATCH = 64


def scores_of(
    case: Case, preds: Sequence[Prediction], batch: int = BATCH, backwards: bool = False
) -> dict[str, Tensor]:
    """The scores of one prediction for each annotation, whatever the batches and the order."""
    evaluator, pairs = case.task.evaluator(), list(zip(preds, case.references, strict=True))
    if isinstance(evaluator, Evaluator):  # caption scores are to start no Java
        evaluator.quick, evaluator.tokenizer = True, "python"
    pairs = pairs[::-1] if backwards else pairs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for start in range(0, len(pairs), batch):
            some = pairs[start : start + batch]
            evaluator.update([pred for pred, _ in some], [reference for _, reference in some])
        return dict(evaluator.compute())


def headline_of(case: Case, preds: Sequence[Prediction]) -> float:
    """The headline score of one prediction for each annotation."""
    return float(scores_of(case, preds)[case.task.headline])


def check_parse(case: Case) -> str:
    """`parse` is the inverse of `target`: it reads every right answer, and any beginning of it without an exception."""
    for annotation, text, pred in zip(case.annotations, case.targets, case.right, strict=True):
        if not isinstance(pred, Prediction):
            raise BrokenLaw(
                f"annotation {annotation.id}: parse gives a {type(pred).__name__}, not a Prediction"
            )
        if pred.malformed:
            raise BrokenLaw(
                f"annotation {annotation.id}: parse calls its own target {SHORT.repr(text)} malformed"
            )
        for cut in {len(text) // 3, len(text) // 2, max(0, len(text) - 1)}:
            with at(annotation, f"parse of {SHORT.repr(text[:cut])}"):
                case.task.parse(text[:cut], annotation)
    return f"{len(case.right)} right answers read"


def check_scores(case: Case) -> str:
    """The evaluator gives a flat dict of scalars with the headline, the same in any order and any batches."""
    scores = scores_of(case, case.right)
    for key, value in scores.items():
        if not isinstance(value, Tensor) or value.dim():
            raise BrokenLaw(f"the score {key} is {SHORT.repr(value)}; a scalar tensor is expected")
        if set(key) & set("@. "):
            raise BrokenLaw(
                f"the score's name {key!r} holds `@`, `.` or a blank, which break file names"
            )
    if missing := {case.task.headline, "n", "parse_failures"} - scores.keys():
        raise BrokenLaw(
            f"the evaluator gives no {', '.join(sorted(missing))} but {', '.join(scores)}"
        )
    if int(scores["n"]) != len(case.annotations):
        raise BrokenLaw(
            f"the evaluator counted {int(scores['n'])} of {len(case.annotations)} annotations"
        )
    other = scores_of(case, case.right, batch=1, backwards=True)
    for key in scores.keys() | other.keys():
        if (
            key not in other
            or key not in scores
            or not torch.isclose(scores[key], other[key], equal_nan=True)
        ):
            raise BrokenLaw(
                f"{key} depends on order or batches: {scores.get(key)} at once, {other.get(key)} one by one"
            )
    return ", ".join(key for key in scores if key not in ("n", "parse_failures"))


def check_ceiling(case: Case) -> str:
    """Right answers score high; less than the baseline only where that is made of true regions, which lose nothing."""
    name, score, baseline = (
        case.task.headline,
        headline_of(case, case.right),
        headline_of(case, case.baseline),
    )
    least = LEAST.get(name, LEAST_ELSE)
    if score > least and score >= min(baseline, HIGH):
        return f"right answers have {name} {score:.1f}, the baseline ({case.task.baseline_name}) {baseline:.1f}"
    expected = f"more than {least:.0f} and no less than the baseline's {baseline:.1f}"
    raise BrokenLaw(
        f"right answers have {name} {score:.1f}; expected is {expected}. {_worst(case)}"
    )


def _worst(case: Case) -> str:
    """The right answer that scores least by itself, and what it was compared with."""

    def alone(k: int) -> float:
        return headline_of(
            Case(case.task, case.annotations[k : k + 1], case.accepts), case.right[k : k + 1]
        )

    k = min(range(len(case.annotations)), key=alone)
    read = {
        f: v
        for f in ("answer", "boxes", "masks", "choice", "decision", "numbers")
        if (v := getattr(case.right[k], f)) not in ("", [], None)
    }
    return (
        f"Least has annotation {case.annotations[k].id}: target {SHORT.repr(case.targets[k])} is read as "
        f"{SHORT.repr(read)}, and the reference is {SHORT.repr(case.references[k])}"
    )


def check_garbage(case: Case) -> str:
    """Garbage raises nothing and scores half of what right answers do at most, or as the baseline, but clearly less."""
    score = headline_of(case, case.right)
    limit = max(0.5 * score, min(headline_of(case, case.baseline), 0.8 * score))
    for text in GARBAGE:
        score = headline_of(case, [_parsed(case, text, a) for a in case.annotations])
        if score > limit + 1e-6:
            told = (
                f"the answer {SHORT.repr(text)} to everything has {case.task.headline} {score:.1f}"
            )
            raise BrokenLaw(f"{told}; expected is {limit:.1f} at most")
    return f"{len(GARBAGE)} texts raise nothing and have {case.task.headline} {limit:.1f} at most"


def _parsed(case: Case, text: str, annotation: Annotation) -> Prediction:
    with at(annotation, f"parse of {SHORT.repr(text)}"):
        return case.task.parse(text, annotation)


def check_unreadable(case: Case) -> str:
    """A sample that could not be read, `Prediction(malformed=True)`, earns nothing and is counted."""
    scores = scores_of(case, [Prediction(malformed=True) for _ in case.annotations])
    if float(scores[case.task.headline]) > 0:
        told = f"{case.task.headline} is {float(scores[case.task.headline]):.1f} where all samples are unreadable"
        raise BrokenLaw(f"{told}; expected is 0")
    if int(scores["parse_failures"]) != len(case.annotations):
        counted = int(scores["parse_failures"])
        raise BrokenLaw(
            f"parse_failures counts {counted} of {len(case.annotations)} unreadable samples"
        )
    return f"unreadable samples have {case.task.headline} 0"


SCORE_LAWS: dict[str, Callable[[Case], str]] = {
    "parse": check_parse,
    "scores": check_scores,
    "ceiling": check_ceiling,
    "garbage": check_garbage,
    "unreadable": check_unreadable,
}
