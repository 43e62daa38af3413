r"""Answers in LLaVA's own form, which many projects write: JSON lines whose ids are those of LLaVA's question files.

    {"question_id": 10000001, "prompt": "Is there a snowboard in the image?\nAnswer the question using a single word or
     phrase.", "text": "No", "answer_id": "gaRZWbwz6sUWkyDU4yugok", "model_id": "llava-v1.5-13b", "metadata": {}}

An id is the benchmark's own, with two exceptions. One file answers all three settings of POPE: a multiple of 10,000,000
is added to the ids of each, and which is whose is told by the questions in the prompts. For TextVQA the id is the
image's, and the prompt tells which of its questions is meant. https://github.com/haotian-liu/LLaVA
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from vista.data import Annotation, InputError

OFFSET = 10_000_000
MOST_ANSWERS = 100_000  # of a file to POPE's 9,000 questions; they are sorted in memory
# Tasks whose question stands in the prompt word by word.
ASKED_AS_IT_IS = ("vqav2", "textvqa", "pope")

ById = Mapping[str, Annotation]


@dataclass(frozen=True, slots=True)
class LlavaAnswer:
    """One line: where it stands, whose answer it is, what was asked (empty: unknown) and what was said."""

    location: str
    question_id: str
    prompt: str
    text: str


Group = list[tuple[str, LlavaAnswer]]  # answers with the ids of the benchmark


def match(
    answers: Iterable[LlavaAnswer],
    annotations: Sequence[Annotation],
    task: str,
) -> Iterator[tuple[str, LlavaAnswer]]:
    """The id of the annotation that each answer is for; of a POPE file, only the answers to these annotations' setting.

    Args:
        answers: all lines of a file, each of which is looked at once.
        annotations: of the split that is scored.
        task: its name.

    Raises:
        InputError: a prompt does not hold the question of its id; names file and line.
    """
    by_id = {annotation.id: annotation for annotation in annotations}
    if task == "pope":
        yield from _of_setting(answers, by_id)
        return
    of_image: dict[str, list[Annotation]] = defaultdict(list)
    if task == "textvqa":
        for annotation in annotations:
            image = PurePosixPath(annotation.images[0]).stem
            of_image[image].append(annotation)
    for answer in answers:
        if answer.question_id in of_image:
            yield _asked(answer, of_image[answer.question_id]).id, answer
            continue
        known = by_id.get(answer.question_id)
        if task in ASKED_AS_IT_IS and known and not holds(answer.prompt, known):
            raise InputError(_misfit(answer, known))
        yield answer.question_id, answer


def _by_offset(answers: Iterable[LlavaAnswer], by_id: ById) -> dict[int, Group]:
    """The answers to each setting of POPE.

    Raises:
        InputError: there are too many.
    """
    groups: dict[int, Group] = defaultdict(list)
    for number, answer in enumerate(answers):
        if number >= MOST_ANSWERS:
            raise InputError(f"{answer.location}: {MOST_ANSWERS:,} answers are more than POPE asks")
        offset = 0
        own = answer.question_id
        if own.isdecimal():
            offset, rest = divmod(int(own), OFFSET)
            own = str(rest)
        groups[offset].append((own, answer))
    return groups


def _of_setting(answers: Iterable[LlavaAnswer], by_id: ById) -> Group:
    """The answers to one setting of POPE: all with one offset, those whose prompts hold the setting's questions."""
    groups = _by_offset(answers, by_id)
    fitting = [group for group in groups.values() if _is_of(group, by_id)]
    if len(fitting) > 1:
        first, second = (group[0][1].location for group in fitting[:2])
        raise InputError(f"the answers from {first} on and those from {second} on both fit")
    if fitting:
        return fitting[0]

    def num_known(group: Group) -> int:
        return len(_known(group, by_id))

    nearest = max(groups.values(), key=num_known, default=[])
    for annotation, answer in _known(nearest, by_id):
        if not holds(answer.prompt, annotation):
            raise InputError(f"no ids are of this setting of POPE: {_misfit(answer, annotation)}")
    return nearest  # none of its ids is known, which is told by whoever looks for them


def _known(group: Group, by_id: ById) -> list[tuple[Annotation, LlavaAnswer]]:
    return [(by_id[own], answer) for own, answer in group if own in by_id]


def _is_of(group: Group, by_id: ById) -> bool:
    known = _known(group, by_id)
    return bool(known) and all(holds(answer.prompt, annotation) for annotation, answer in known)


def _asked(answer: LlavaAnswer, annotations: Sequence[Annotation]) -> Annotation:
    """The one of an image's questions that a prompt holds; the longest, since one may begin another."""
    held = [a for a in annotations if holds(answer.prompt, a)]
    if not held:
        raise InputError(_misfit(answer, annotations[0]))
    return max(held, key=lambda annotation: len(annotation.question))


def holds(prompt: str, annotation: Annotation) -> bool:
    """Whether a prompt holds an annotation's question; one that is not known may."""
    return not prompt or holds_text(prompt, annotation.question)


def holds_text(prompt: str, text: str) -> bool:
    """Whether a prompt holds a text, whatever the case and the spaces."""
    return _plain(text) in _plain(prompt)


def _plain(text: str) -> str:
    """Words in small letters. Some of POPE's own questions end in "imange", which some copies have repaired."""
    repaired = text.lower().replace("imange", "image")
    return " ".join(repaired.split())


def _misfit(answer: LlavaAnswer, annotation: Annotation) -> str:
    asked = f"the question {annotation.id} is {annotation.question!r}"
    return f"{answer.location}: {asked}, which is not in the prompt {answer.prompt!r}"
