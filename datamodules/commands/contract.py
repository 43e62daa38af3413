"""Is the contract of `vista/task.py` kept? Each law is checked on annotations; a broken one is told in plain words.

    for finding in check_task(Task.known["rec"], Codec(), annotations, accepts, length):
        print(finding.law, finding.ok, finding.text)
    grammar False annotation 12_3: its target '[12, 40]' is no legal answer under (Regions(numbers=4, ...),)

A law is a function of a `Case`: it returns what it found in a few words, or raises `BrokenLaw`, or `BeyondLimits` where
data or codec do not let it be judged. The laws on texts stand in `contract_texts.py`, those on scores in
`contract_scores.py`, that on rewards in `contract_rewards.py`. `python main.py check-task NAME` checks them all.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from datamodules.commands.contract_case import (
    ENOUGH,
    BeyondLimits,
    BrokenLaw,
    Case,
    Law,
    one_line,
)
from datamodules.commands.contract_rewards import REWARD_LAWS
from datamodules.commands.contract_scores import SCORE_LAWS
from datamodules.commands.contract_texts import TEXT_LAWS
from vista.codec.codec import Codec
from vista.data import Annotation, InputError
from vista.decoding.grammar import Grammar
from vista.task import Task


@dataclass(frozen=True)
class Finding:
    """One law: whether it holds, and what was found, or what failed and where.

    Attributes:
        law: its name.
        ok: whether the task keeps it, as far as can be told.
        text: in a few words.
        is_limit: it cannot be told, and the text says what data or codec lack.
    """

    law: str
    ok: bool
    text: str
    is_limit: bool = False

    @property
    def mark(self) -> str:
        """`ok`, `note` or `FAIL`."""
        if self.is_limit:
            return "note"
        return "ok" if self.ok else "FAIL"


def check_task(
    task: type[Task],
    codec: Codec,
    annotations: Sequence[Annotation],
    accepts: Callable[[Grammar, str], bool],
    length: Callable[[str], int],
) -> Iterator[Finding]:
    """Check all laws.

    Args:
        task: the class.
        codec: what it writes regions with.
        annotations: as a reader gives them.
        accepts: whether a text is a legal answer under a grammar.
        length: tokens of an answer.

    Yields:
        a finding for each law; the last one is broken where the others could not be checked.
    """
    try:
        case = Case(task(codec), annotations, accepts, length)
    except Exception as error:  # a task from outside may raise anything
        yield Finding("whole", False, f"the class cannot be built: {one_line(error)}")
        return
    regroup = _check("regroup", regroup_law, case)
    yield regroup
    if not regroup.ok or not case.annotations:
        return
    for name, law in {**TEXT_LAWS, **SCORE_LAWS, **REWARD_LAWS}.items():
        yield _check(name, law, case)


def _check(name: str, law: Law, case: Case) -> Finding:
    try:
        return Finding(name, True, law(case))
    except BeyondLimits as limit:
        return Finding(name, True, str(limit), is_limit=True)
    except BrokenLaw as broken:
        return Finding(name, False, str(broken))
    except Exception as error:  # as above
        return Finding(name, False, one_line(error))


def regroup_law(case: Case) -> str:
    """Annotations are left, and no two have the same id. From here on the case holds the regrouped ones."""
    given = case.annotations
    case.annotations = []
    if not given:
        raise BeyondLimits("there are no annotations")
    try:
        regrouped = case.task.regroup(given)
    except InputError as error:  # the task's own word on data that it cannot take
        raise BeyondLimits(str(error)) from error
    if not regrouped:
        kind = BeyondLimits if len(given) < ENOUGH else BrokenLaw
        raise kind(f"regroup leaves none of {len(given)} annotations")
    commonest_id, count = _commonest_id(regrouped)
    if count > _commonest_id(given)[1]:
        told_apart = "predictions are told apart by it"
        raise BrokenLaw(f"{count} annotations have the id {commonest_id}; {told_apart}")
    case.annotations = regrouped
    if count > 1:
        raise BeyondLimits(f"{count} annotations of the data have the id {commonest_id}")
    return f"{len(regrouped)} annotations, ids unique"


def _commonest_id(annotations: Sequence[Annotation]) -> tuple[str, int]:
    """The id that stands most often, and how often."""
    ids = Counter(annotation.id for annotation in annotations)
    return ids.most_common(1)[0]
