"""Laws of the task contract on texts: templates, prompts, conversations and legal answers."""

import re
from collections import Counter
from dataclasses import fields, replace

import numpy as np

from datamodules.commands.contract_case import (
    SHORT,
    BeyondLimits,
    BrokenLaw,
    Case,
    Law,
    name_in_errors,
)
from vista.codec.codec import Codec
from vista.data import Annotation
from vista.prompts import MARK, NUM_UNSEEN
from vista.task import Task

IMAGE = "<image>"
ANY_MARK = re.compile(r"<\w+>")
TOKENS = ("<bsep>", "<msep>")  # marks that are tokens, which a template may speak of
HOSTILE = "what is <image> [1, 2] <msep> </s>?"  # what a data set may hold
NUM_FILLED = 10  # annotations that every template is filled with; the others fill the first one
NUM_SEEDS = 3
FEW_POINTS = 4  # masks are as short as they get


def names_law(case: Case) -> str:
    """The attributes of the class are there, and its fields are those of an annotation."""
    task = case.task
    for name in ("name", "headline", "baseline_name"):
        value = getattr(task, name, None)
        if not isinstance(value, str) or not value:
            raise BrokenLaw(f"`{name}` is {value!r}; a text is expected")
    known = {field.name for field in fields(Annotation)}
    unknown = sorted(set(task.fields) - known)
    if unknown:
        raise BrokenLaw(f"`fields` names {unknown}; an annotation has {', '.join(sorted(known))}")
    most = task.max_new_tokens
    if not isinstance(most, int) or most < 1:
        raise BrokenLaw(f"`max_new_tokens` is {most!r}; a positive number is expected")
    needs = ", ".join(sorted(task.fields)) or "nothing but images"
    return f"{task.name} needs {needs}"


def templates_law(case: Case) -> str:
    """There are instructions, no two alike, each with `<image>`, and no mark that nothing fills."""
    templates = list(case.task.templates)
    if not templates:
        raise BrokenLaw("there is no instruction; one at least is expected")
    for number, template in enumerate(templates, start=1):
        if IMAGE not in template:
            raise BrokenLaw(f"instruction {number} has no <image>: {SHORT.repr(template)}")
        for mark in ANY_MARK.findall(template):
            if not MARK.fullmatch(mark) and mark not in (IMAGE, *TOKENS):
                problem = f"instruction {number} has {mark}, which nothing fills"
                raise BrokenLaw(f"{problem}: {SHORT.repr(template)}")
    template, count = Counter(templates).most_common(1)[0]
    if count > 1:
        raise BrokenLaw(f"an instruction stands {count} times: {SHORT.repr(template)}")
    num_unseen = min(NUM_UNSEEN, len(templates) - 1)
    return (
        f"{len(templates)}, the last {num_unseen} of them never trained on" if num_unseen else "1"
    )


def prompts_law(case: Case) -> str:
    """Every instruction can be filled: `<image>` once for each image, no mark left or empty, hostile texts harmless."""
    templates = list(case.task.templates)
    for number, annotation in enumerate(case.annotations):
        for template in templates if number < NUM_FILLED else templates[:1]:
            with name_in_errors(annotation, "fill"):
                _require_prompt(case.task, template, annotation)
        hostile = replace(annotation, expression=HOSTILE, question=HOSTILE)
        with name_in_errors(annotation, "prompt, its expression and question being `<image>`,"):
            prompt = case.task.prompt(hostile)
            _require_images(prompt, annotation, "with `<image>` in expression and question")
    return f"{len(templates)} instructions filled"


def _require_prompt(task: Task, template: str, annotation: Annotation) -> None:
    prompt = task.fill(template, annotation)
    _require_images(prompt, annotation, f"from {SHORT.repr(template)}")
    marks = {match[0] for match in MARK.finditer(template)}
    for mark in marks:
        if not task.fill(mark, annotation).strip():
            problem = f"{mark} of {SHORT.repr(template)} is filled with nothing"
            raise BrokenLaw.at(annotation, problem)
    if task.fill(template, annotation) != prompt:
        raise BrokenLaw.at(annotation, "two prompts without an rng differ; they must not")


def _require_images(prompt: str, annotation: Annotation, what: str) -> None:
    num_marks = prompt.count(IMAGE)
    num_images = len(annotation.images)
    if num_marks != num_images:
        problem = f"the prompt {what} has {num_marks} <image>, the annotation {num_images} images"
        raise BrokenLaw.at(annotation, f"{problem}: {SHORT.repr(prompt)}")


def turns_law(case: Case) -> str:
    """Training and evaluation show all images once; the turn asked last has no answer; the rng decides alone."""
    for number, annotation in enumerate(case.annotations):
        # Twice with the same seed: nothing but the rng may draw.
        seed = number % NUM_SEEDS
        with name_in_errors(annotation, "turns"):
            training = case.task.turns(annotation, np.random.default_rng(seed))
            again = case.task.turns(annotation, np.random.default_rng(seed))
        with name_in_errors(annotation, "question"):
            evaluation = case.task.question(annotation)
        if training != again:
            raise BrokenLaw.at(annotation, "turns differ although the rng's seed is the same")
        last_answer = evaluation[-1][1]
        if last_answer:
            problem = f"question gives the answer away: {SHORT.repr(last_answer)}"
            raise BrokenLaw.at(annotation, problem)
        for what, turns in (("turns", training), ("question", evaluation)):
            prompts = " ".join(prompt for prompt, _ in turns)
            _require_images(prompts, annotation, f"of {what}")
        for prompt, answer in training:
            if not isinstance(prompt, str) or not isinstance(answer, str):
                problem = f"turns are pairs of texts, not {SHORT.repr(training)}"
                raise BrokenLaw.at(annotation, problem)
    return f"{len(case.annotations)} conversations"


def grammar_law(case: Case) -> str:
    """The right answer, and the last answer of a conversation, are legal."""
    for annotation, target in zip(case.annotations, case.targets, strict=True):
        with name_in_errors(annotation, "grammar"):
            grammar = case.task.grammar(annotation)
            # In training the last answer may differ from `target`, so it is looked at as well.
            last_answer = case.task.turns(annotation, np.random.default_rng(0))[-1][1]
            for what, text in (("target", target), ("answer in training", last_answer)):
                if not case.accepts(grammar, text):
                    problem = f"its {what} {SHORT.repr(text)} is no legal answer"
                    raise BrokenLaw.at(annotation, f"{problem} under {SHORT.repr(grammar)}")
    _require_lengths(case)
    return f"{len(case.targets)} right answers are legal"


def _require_lengths(case: Case) -> None:
    """No right answer is cut; a few long ones are the data's, many points are the codec's."""
    most = case.task.max_new_tokens
    lengths = np.array([case.length(target) for target in case.targets])  # (annotations,)
    num_long = np.count_nonzero(lengths > most)
    if not num_long:
        return
    longest = int(lengths.argmax())
    annotation, target = case.annotations[longest], case.targets[longest]
    problem = f"its target has {lengths[longest]} tokens, more than max_new_tokens {most}"
    if 2 * num_long <= len(lengths):
        few = f"{num_long} of {len(lengths)} right answers are longer than the task allows"
        raise BeyondLimits(f"{few}: annotation {annotation.id}: {problem}")
    with_few_points = [
        case.length(text) for text in case.under(Codec(num_points=FEW_POINTS)).targets
    ]
    if max(with_few_points) <= most:
        points = f"a mask of {case.task.codec.num_points} points is long"
        raise BeyondLimits(f"{points}: annotation {annotation.id}: {problem}")
    raise BrokenLaw.at(annotation, f"{problem}: {SHORT.repr(target)}")


TEXT_LAWS: dict[str, Law] = {
    "names": names_law,
    "templates": templates_law,
    "prompts": prompts_law,
    "turns": turns_law,
    "grammar": grammar_law,
}
