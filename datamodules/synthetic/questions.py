"""Questions of the generated world, with answers that cannot be guessed from the question.

    what color is the large circle?  red          how many squares are there?              2
    what shape is the red object?    circle       is there a blue ring?                    yes
    what size is the left one?       small        is the red circle above the triangle?    no

Answers are held to quotas within a chunk of scenes: for each form of a question the answer that is behind its share is
asked for first, and yes and no never differ by more than one.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import permutations, product
from typing import NamedTuple

from datamodules.synthetic.phrases import (
    ANYTHING,
    RELATIONS,
    clearly,
    count,
    describe,
    identifying,
    minimal,
    noun,
    with_article,
)
from datamodules.synthetic.scene import COLORS, RADII, SHAPES, Kind, Scene

PER_SCENE = 5
VALUES = {"size": tuple(RADII), "color": tuple(COLORS), "shape": SHAPES}
YES_NO = {"yes": 1.0, "no": 1.0}


class Question(NamedTuple):
    """A question, its answer and the two VQA labels; `form` is what the quota of its answers is kept for."""

    text: str
    answer: str
    question_type: str
    answer_type: str
    form: str


class Quota:
    """Which answers each form of question has had."""

    def __init__(self) -> None:
        self._given: dict[str, Counter[str]] = {}

    def order(self, form: str, shares: Mapping[str, float], rng: random.Random) -> list[str]:
        """The answers, the one most behind its share first."""
        given = self._given.setdefault(form, Counter())
        return sorted(shares, key=lambda answer: (given[answer] / shares[answer], rng.random()))

    def note(self, form: str, answer: str) -> None:
        """Counts an answer that is really given."""
        self._given.setdefault(form, Counter())[answer] += 1


def questions(scene: Scene, rng: random.Random, quota: Quota) -> list[Question]:
    """Different questions about a scene, `PER_SCENE` of them; fewer where the scene gives no more."""
    asked: dict[str, Question] = {}
    for make in rng.choices(list(_MAKERS), list(_MAKERS.values()), k=4 * PER_SCENE):
        question = make(scene, rng, quota)
        if question is not None and question.text not in asked:
            asked[question.text] = question
            quota.note(question.form, question.answer)
        if len(asked) == PER_SCENE:
            break
    return list(asked.values())


def _what(attribute: str, scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    """An attribute of an object that is identified without it."""
    kind = f"what {attribute} is the"
    for answer in quota.order(kind, dict.fromkeys(VALUES[attribute], 1.0), rng):
        targets = [item for item in scene.objects if getattr(item.kind, attribute) == answer]
        subject = describe(scene, rng.choice(targets), rng, hidden=attribute) if targets else ""
        if subject:
            return Question(f"what {attribute} is {subject}?", answer, kind, "other", kind)
    return None


def _what_size(scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    return _what("size", scene, rng, quota)


def _what_color(scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    return _what("color", scene, rng, quota)


def _what_shape(scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    return _what("shape", scene, rng, quota)


def _how_many(scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    attribute = rng.choice(("", "size", "color", "shape"))
    choices = (
        [ANYTHING._replace(**{attribute: v}) for v in VALUES[attribute]]
        if attribute
        else [ANYTHING]
    )
    kinds = [item.kind for item in scene.objects]
    form = f"how many {attribute}"
    # Three or four of one colour or shape are rare, so they cannot have an equal share.
    shares = {"1": 0.3, "2": 0.3, "3": 0.2, "4": 0.1, "0": 0.2}
    for answer in quota.order(form, shares, rng):
        fitting = [pattern for pattern in choices if str(count(pattern, kinds)) == answer]
        if fitting:
            text = f"how many {noun(rng.choice(fitting), plural=True)} are there?"
            return Question(text, answer, "how many", "number", form)
    return None


def _is_there(scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    fields = rng.choice(
        (("color", "shape"), ("color", "shape"), ("color",), ("shape",), ("size", "shape"))
    )
    form = f"is there a {' '.join(fields)}"
    answer = quota.order(form, YES_NO, rng)[0]
    kinds = [item.kind for item in scene.objects]
    present = [sorted({getattr(kind, field) for kind in kinds}) for field in fields]
    # A "no" is hard where it only mixes what is in the image; the rest are drawn from all values.
    for values in (present, [VALUES[field] for field in fields]):
        pattern = _pick(
            fields, product(*values), lambda p: (count(p, kinds) > 0) == (answer == "yes"), rng
        )
        if pattern is not None and (answer == "yes" or values is not present or rng.random() < 0.7):
            return Question(
                f"is there {with_article(noun(pattern))}?", answer, "is there a", "yes/no", form
            )
    return None


def _pick(
    fields: tuple[str, ...],
    values: Iterable[tuple[str, ...]],
    fits: Callable[[Kind], bool],
    rng: random.Random,
) -> Kind | None:
    """One of the patterns with these values that fit."""
    candidates = (ANYTHING._replace(**dict(zip(fields, value, strict=True))) for value in values)
    fitting = [pattern for pattern in candidates if fits(pattern)]
    return rng.choice(fitting) if fitting else None


def _is_related(scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    relation = rng.choice(list(RELATIONS))
    form = f"is the {relation}"
    answer = quota.order(form, YES_NO, rng)[0]
    wanted = answer == "yes"
    pairs = [
        (a, b)
        for a, b in permutations(scene.objects, 2)
        if clearly(scene, a, relation, b) is wanted
    ]
    rng.shuffle(pairs)
    for a, b in pairs:
        subjects, anchors = (minimal(identifying(scene, item)) for item in (a, b))
        if subjects and anchors:
            text = (
                f"is the {noun(rng.choice(subjects))} {relation} the {noun(rng.choice(anchors))}?"
            )
            return Question(text, answer, "is the", "yes/no", form)
    return None


def _is_so(scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    attribute = rng.choice(("size", "color"))
    form = f"is the {attribute}"
    answer = quota.order(form, YES_NO, rng)[0]
    target = rng.choice(scene.objects)
    subject, truth = (
        describe(scene, target, rng, attribute, relations=False),
        getattr(target.kind, attribute),
    )
    if not subject:
        return None
    said = truth
    if answer == "no":
        others = sorted({getattr(item.kind, attribute) for item in scene.objects} - {truth})
        said = rng.choice(
            others
            if others and rng.random() < 0.7
            else [v for v in VALUES[attribute] if v != truth]
        )
    return Question(f"is {subject} {said}?", answer, "is the", "yes/no", form)


# How often each is tried.
_MAKERS: dict[Callable[[Scene, random.Random, Quota], Question | None], float] = {
    _what_color: 0.15,
    _what_shape: 0.09,
    _what_size: 0.14,
    _how_many: 0.10,
    _is_there: 0.24,
    _is_related: 0.18,
    _is_so: 0.14,
}
