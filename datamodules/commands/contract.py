"""The law of the task contract, checked on annotations, each broken law in plain words.

    for finding in check_task(Task.known["rec"], Codec(), annotations, accepts, length):
        print(finding.law, finding.ok, finding.text)
    grammar False annotation 12_3: its target '[12, 40]' is no legal answer under (Regions(numbers=4, ...),)

The laws on texts stand here, those on scores in `contract_scores.py`. `python main.py check-task NAME` runs them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from datamodules.commands.contract_case import SHORT, BrokenLaw, Case, at, said
from datamodules.commands.contract_scores import SCORE_LAWS
from vista.codec.codec import Codec
from vista.data import Annotation
from vista.decoding.grammar import Grammar
from vista.task import MARK, NUM_UNSEEN, Task

IMAGE = "<image>"
ANY_MARK = re.compile(r"<\w+>")
TOKENS = ("<bsep>", "<msep>")  # marks that are tokens, which a template may speak of
HOSTILE = "what is <image> [1, 2] <msep> </s>?"
NUM_SEEDS = 3


@dataclass(frozen=True)
class Finding:
    """One law: whether it holds, and what was checked, or what failed and where."""

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
        case = Case(task(codec), [], accepts, length)
    except Exception as error:  # a task from outside may raise anything
        yield Finding("whole", False, f"the class cannot be built: {said(error)}")
        return
    try:
        case.annotations = case.task.regroup(annotations)
        yield Finding("regroup", True, check_regroup(case, len(annotations)))
    except Exception as error:
        yield Finding("regroup", False, str(error) if isinstance(error, BrokenLaw) else said(error))
        return
    for name, law in {**TEXT_LAWS, **SCORE_LAWS}.items():
        try:
            yield Finding(name, True, law(case))
        except BrokenLaw as broken:
            yield Finding(name, False, str(broken))
        except Exception as error:
            yield Finding(name, False, said(error))


def check_regroup(case: Case, given: int) -> str:
    """Annotations are left, and no two have the same id."""
    if not case.annotations:
        raise BrokenLaw(f"regroup leaves none of {given} annotations")
    name, count = Counter(a.id for a in case.annotations).most_common(1)[0]
    if count > 1:
        raise BrokenLaw(f"{count} annotations have the id {name}; predictions are told apart by it")
    return f"{len(case.annotations)} annotations, ids unique"


def check_names(case: Case) -> str:
    """The attributes of the class are there, and its fields are those of an annotation."""
    for name in ("name", "headline", "baseline_name"):
        if not isinstance(value := getattr(case.task, name, None), str) or not value:
            raise BrokenLaw(f"`{name}` is {value!r}; a text is expected")
    known = {field.name for field in fields(Annotation)}
    if unknown := set(case.task.fields) - known:
        raise BrokenLaw(
            f"`fields` names {sorted(unknown)}; an annotation has {', '.join(sorted(known))}"
        )
    if not isinstance(case.task.max_new_tokens, int) or case.task.max_new_tokens < 1:
        raise BrokenLaw(
            f"`max_new_tokens` is {case.task.max_new_tokens!r}; a positive number is expected"
        )
    return f"{case.task.name} needs {', '.join(sorted(case.task.fields)) or 'nothing but images'}"


def check_templates(case: Case) -> str:
    """There are instructions, no two alike, each with `<image>`, and no mark that nothing fills."""
    templates = list(case.task.templates)
    if not templates:
        raise BrokenLaw("there is no instruction; one at least is expected")
    for number, template in enumerate(templates, start=1):
        if IMAGE not in template:
            raise BrokenLaw(f"instruction {number} has no <image>: {SHORT.repr(template)}")
        unknown = [
            m
            for m in ANY_MARK.findall(template)
            if not MARK.fullmatch(m) and m not in (IMAGE, *TOKENS)
        ]
        if unknown:
            raise BrokenLaw(
                f"instruction {number} has {unknown[0]}, which nothing fills: {SHORT.repr(template)}"
            )
    template, count = Counter(templates).most_common(1)[0]
    if count > 1:
        raise BrokenLaw(f"an instruction stands {count} times: {SHORT.repr(template)}")
    unseen = min(NUM_UNSEEN, len(templates) - 1)
    return f"{len(templates)}, the last {unseen} of them never trained on" if unseen else "1"


def check_prompts(case: Case) -> str:
    """Every instruction can be filled: `<image>` once for each image, no mark left or empty, hostile texts harmless."""
    templates = list(case.task.templates)
    for number, annotation in enumerate(case.annotations):
        for template in templates if number < 10 else templates[:1]:
            with at(annotation, "fill"):
                _check_prompt(case.task, template, annotation)
        hostile = replace(annotation, expression=HOSTILE, question=HOSTILE)
        with at(annotation, "prompt, its expression and question being `<image>`,"):
            _check_images(
                case.task.prompt(hostile), annotation, "with `<image>` in expression and question"
            )
    return f"{len(templates)} instructions filled"


def _check_prompt(task: Task, template: str, annotation: Annotation) -> None:
    prompt = task.fill(template, annotation)
    _check_images(prompt, annotation, f"from {SHORT.repr(template)}")
    for mark in {m[0] for m in MARK.finditer(template)}:
        if not task.fill(mark, annotation).strip():
            raise BrokenLaw(
                f"annotation {annotation.id}: {mark} of {SHORT.repr(template)} is filled with nothing"
            )
    if task.fill(template, annotation) != prompt:
        raise BrokenLaw(
            f"annotation {annotation.id}: two prompts without an rng differ; they must not"
        )


def _check_images(prompt: str, annotation: Annotation, what: str) -> None:
    if prompt.count(IMAGE) != len(annotation.images):
        raise BrokenLaw(
            f"annotation {annotation.id}: the prompt {what} has {prompt.count(IMAGE)} <image>, "
            f"the annotation {len(annotation.images)} images: {SHORT.repr(prompt)}"
        )


def check_turns(case: Case) -> str:
    """Training and evaluation show all images once; the asked turn leaves its answer empty; the rng decides alone."""
    for number, annotation in enumerate(case.annotations):
        seed = number % NUM_SEEDS
        with at(annotation, "turns"):
            trained = case.task.turns(annotation, np.random.default_rng(seed))
            again = case.task.turns(annotation, np.random.default_rng(seed))
        with at(annotation, "question"):
            asked = case.task.question(annotation)
        if trained != again:
            raise BrokenLaw(
                f"annotation {annotation.id}: turns differ although the rng's seed is the same"
            )
        if asked[-1][1]:
            raise BrokenLaw(
                f"annotation {annotation.id}: question gives the answer away: {SHORT.repr(asked[-1][1])}"
            )
        for what, turns in (("turns", trained), ("question", asked)):
            _check_images(" ".join(prompt for prompt, _ in turns), annotation, f"of {what}")
        if any(not isinstance(text, str) for turn in trained for text in turn):
            raise BrokenLaw(
                f"annotation {annotation.id}: turns are pairs of texts, not {SHORT.repr(trained)}"
            )
    return f"{len(case.annotations)} conversations"


def check_grammar(case: Case) -> str:
    """The right answer, and the last answer of a conversation, are legal."""
    for annotation, target in zip(case.annotations, case.targets, strict=True):
        with at(annotation, "grammar"):
            grammar = case.task.grammar(annotation)
            last = case.task.turns(annotation, np.random.default_rng(0))[-1][1]
            for what, text in (("target", target), ("answer in training", last)):
                if not case.accepts(grammar, text):
                    told = f"its {what} {SHORT.repr(text)} is no legal answer under {SHORT.repr(grammar)}"
                    raise BrokenLaw(f"annotation {annotation.id}: {told}")
        if (needed := case.length(target)) > case.task.max_new_tokens:
            told = f"its target has {needed} tokens, more than max_new_tokens {case.task.max_new_tokens}"
            raise BrokenLaw(f"annotation {annotation.id}: {told}: {SHORT.repr(target)}")
    return f"{len(case.targets)} right answers are legal"


TEXT_LAWS: dict[str, Callable[[Case], str]] = {
    "names": check_names,
    "templates": check_templates,
    "prompts": check_prompts,
    "turns": check_turns,
    "grammar": check_grammar,
}
