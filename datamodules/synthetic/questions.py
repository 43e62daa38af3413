"""Questions of the generated world, with answers that cannot be guessed from the question.

    what color is the large circle?  red          how many squares are there?              2
    what shape is the red object?    circle       is there a blue ring in the image?       yes
    what size is the left one?       small        is the red circle above the triangle?    no

Answers are held to quotas within a chunk of scenes: for each form of a question the answer that is behind its share is
asked for first, and yes and no never differ by more than one.
"""

import random
from collections.abc import Callable, Sequence
from itertools import permutations
from typing import NamedTuple

from datamodules.synthetic.phrases import (
    ANYTHING,
    RELATIONS,
    all_patterns,
    clearly,
    count,
    describe,
    noun,
    shortest_names,
    with_article,
)
from datamodules.synthetic.quota import Quota
from datamodules.synthetic.scene import VALUES, Kind, Scene

PER_SCENE = 5
YES_NO = {"yes": 1.0, "no": 1.0}
WHERE = (
    "",
    " in the image",
    " in the picture",
)  # as people ask, now so and now so, whether a thing is there


class Question(NamedTuple):
    """A question, its answer and the two VQA labels; `form` is what the quota of its answers is kept for."""

    text: str
    answer: str
    question_type: str
    answer_type: str
    form: str


def questions(scene: Scene, rng: random.Random, quota: Quota) -> list[Question]:
    """Different questions about a scene, `PER_SCENE` of them; fewer where the scene gives no more."""
    by_text: dict[str, Question] = {}
    # Not every scene gives every kind of question, so more are tried than are wanted.
    for make in rng.choices(list(_MAKERS), list(_MAKERS.values()), k=4 * PER_SCENE):
        question = make(scene, rng, quota)
        if question is not None and question.text not in by_text:
            by_text[question.text] = question
            quota.note(question.form, question.answer)
        if len(by_text) == PER_SCENE:
            break
    return list(by_text.values())


def _what(
    attribute: str,
    scene: Scene,
    rng: random.Random,
    quota: Quota,
) -> Question | None:
    """An attribute of an object that is identified without it."""
    kind = f"what {attribute} is the"
    for answer in quota.order(kind, dict.fromkeys(VALUES[attribute], 1.0), rng):
        targets = [item for item in scene.objects if getattr(item.kind, attribute) == answer]
        if not targets:
            continue
        subject = describe(scene, rng.choice(targets), rng, hidden=attribute)
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
    patterns = [ANYTHING]
    if attribute:
        patterns = all_patterns([attribute], [VALUES[attribute]])
    form = f"how many {attribute}"
    # Three or four of one colour or shape are rare, so they cannot have an equal share.
    shares = {
        "1": 0.3,
        "2": 0.3,
        "3": 0.2,
        "4": 0.1,
        "0": 0.2,
    }
    for answer in quota.order(form, shares, rng):
        fitting = [pattern for pattern in patterns if str(count(pattern, scene.kinds)) == answer]
        if fitting:
            things = noun(rng.choice(fitting), plural=True)
            return Question(f"how many {things} are there?", answer, "how many", "number", form)
    return None


def _is_there(scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    fields = rng.choice(
        (("color", "shape"), ("color", "shape"), ("color",), ("shape",), ("size", "shape"))
    )
    form = f"is there a {' '.join(fields)}"
    answer = quota.order(form, YES_NO, rng)[0]
    # A "no" is hard where it only mixes what is in the image; the rest are drawn from all values.
    pattern = _pick(scene, fields, [scene.values(field) for field in fields], answer, rng)
    if pattern is None or (answer == "no" and rng.random() >= 0.7):
        pattern = _pick(scene, fields, [VALUES[field] for field in fields], answer, rng)
    if pattern is None:
        return None
    thing = with_article(noun(pattern))
    text = f"is there {thing}{rng.choice(WHERE)}?"
    return Question(text, answer, "is there a", "yes/no", form)


def _pick(
    scene: Scene,
    fields: Sequence[str],
    values: Sequence[Sequence[str]],
    answer: str,
    rng: random.Random,
) -> Kind | None:
    """One of the patterns made of these values for which the answer to "is there" is right."""
    patterns = all_patterns(fields, values)
    is_wanted = answer == "yes"
    fitting = [pattern for pattern in patterns if (count(pattern, scene.kinds) > 0) == is_wanted]
    return rng.choice(fitting) if fitting else None


def _is_related(scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    relation = rng.choice(list(RELATIONS))
    form = f"is the {relation}"
    answer = quota.order(form, YES_NO, rng)[0]
    is_wanted = answer == "yes"
    pairs = [
        (a, b)
        for a, b in permutations(scene.objects, 2)
        if clearly(scene, a, relation, b) is is_wanted
    ]
    rng.shuffle(pairs)
    for a, b in pairs:
        subjects = shortest_names(scene, a)
        anchors = shortest_names(scene, b)
        if subjects and anchors:
            subject = noun(rng.choice(subjects))
            anchor = noun(rng.choice(anchors))
            text = f"is the {subject} {relation} the {anchor}?"
            return Question(text, answer, "is the", "yes/no", form)
    return None


def _is_so(scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    attribute = rng.choice(("size", "color"))
    form = f"is the {attribute}"
    answer = quota.order(form, YES_NO, rng)[0]
    target = rng.choice(scene.objects)
    subject = describe(scene, target, rng, attribute, relations=False)
    if not subject:
        return None
    value = getattr(target.kind, attribute)
    if answer == "no":
        value = _other_value(scene, attribute, value, rng)
    return Question(f"is {subject} {value}?", answer, "is the", "yes/no", form)


def _other_value(
    scene: Scene,
    attribute: str,
    value: str,
    rng: random.Random,
) -> str:
    """A wrong value, more often one that another object has."""
    others = [other for other in scene.values(attribute) if other != value]
    if not others or rng.random() >= 0.7:
        others = [other for other in VALUES[attribute] if other != value]
    return rng.choice(others)


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
