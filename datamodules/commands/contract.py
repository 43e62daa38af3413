"""Is the contract of `vista/task.py` kept? Each law is checked on annotations; a broken one is told in plain words.

    for finding in check_task(Task.known["rec"], Codec(), annotations, accepts, length):
        print(finding.law, finding.ok, finding.text)
    grammar False annotation 12_3: its target '[12, 40]' is no legal answer under (Regions(numbers=4, ...),)

A law is a function of a `Case`: it returns what it found in a few words, or raises `BrokenLaw`. The laws on texts stand
in `contract_texts.py`, those on scores in `contract_scores.py`. `python main.py check-task NAME` checks them all.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from datamodules.commands.contract_case import BrokenLaw, Case, Law, one_line
from datamodules.commands.contract_scores import SCORE_LAWS
from datamodules.commands.contract_texts import TEXT_LAWS
from vista.codec.codec import Codec
from vista.data import Annotation
from vista.decoding.grammar import Grammar
from vista.task import Task


@dataclass(frozen=True)
class Finding:
    """One law: whether it holds, and what was found, or what failed and where."""

    law: str
    ok: bool
    text: str


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
    if not regroup.ok:
        return
    for name, law in {**TEXT_LAWS, **SCORE_LAWS}.items():
        yield _check(name, law, case)


def _check(name: str, law: Law, case: Case) -> Finding:
    try:
        return Finding(name, True, law(case))
    except BrokenLaw as broken:
        return Finding(name, False, str(broken))
    except Exception as error:  # as above
        return Finding(name, False, one_line(error))


def regroup_law(case: Case) -> str:
    """Annotations are left, and no two have the same id. From here on the case holds the regrouped ones."""
    num_given = len(case.annotations)
    case.annotations = case.task.regroup(case.annotations)
    if not case.annotations:
        raise BrokenLaw(f"regroup leaves none of {num_given} annotations")
    ids = Counter(annotation.id for annotation in case.annotations)
    commonest_id, count = ids.most_common(1)[0]
    if count > 1:
        told_apart = "predictions are told apart by it"
        raise BrokenLaw(f"{count} annotations have the id {commonest_id}; {told_apart}")
    return f"{len(case.annotations)} annotations, ids unique"
