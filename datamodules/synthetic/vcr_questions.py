"""Questions with four answers and four reasons about scenes of four objects.

    what has the same color as [0]?    [2] has the same color as [0].      because [0] and [2] are red.
    what has the same shape as [0]?    nothing has the same shape as [0].  because only [0] is a ring.
    what color is [0]?                 [0] is red.                         because [0] and [2] have the same color.
    what is left of [0]?               a red circle is left of [0].        because a red circle is left of a blue ring.

An object is mentioned by its number alone, which a reader may show as a box. So no answer is about what a box tells:
place and size. Nor do the words help: all four answers, and all four reasons after the right answer, are as likely.
"""

import random
from collections.abc import Callable
from functools import partial
from itertools import permutations, product
from typing import NamedTuple

from datamodules.synthetic.phrases import RELATIONS, clearly, matches, noun, with_article
from datamodules.synthetic.quota import Quota
from datamodules.synthetic.scene import MAX_OBJECTS, VALUES, Kind, Scene, SceneObject

ATTRIBUTES = ("color", "shape")
PARTNERS = {"none": 0.25, "one": 0.75}  # one of four answers is that there is none


class Choice(NamedTuple):
    """Four texts in an order drawn by lot, and the index of the right one. Objects are written as [0], [1], ..."""

    texts: list[str]
    label: int


class Question(NamedTuple):
    """A question, its answers and the reasons for the right one; `partners`: one of `PARTNERS` or ""."""

    form: str
    partners: str
    text: str
    answers: Choice
    reasons: Choice


def questions(scene: Scene, rng: random.Random, quota: Quota, most: int) -> list[Question]:
    """Up to `most` different questions."""
    by_text: dict[str, Question] = {}
    for make in rng.choices((_same, _value, _relation), (0.3, 0.5, 0.2), k=4 * most):
        question = make(scene, rng, quota)
        if question is not None and question.text not in by_text:
            by_text[question.text] = question
            quota.note(question.form, question.partners)
        if len(by_text) == most:
            break
    return list(by_text.values())


def _question(
    form: str, partners: str, text: str, answers: list[str], reasons: list[str], rng: random.Random
) -> Question:
    """A question from its texts, the right one first in both lists."""
    choices = []
    for texts in (answers, reasons):
        shuffled = rng.sample(texts, len(texts))
        choices.append(Choice(shuffled, shuffled.index(texts[0])))
    return Question(form, partners, text, *choices)


def _same(scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    attribute = rng.choice(ATTRIBUTES)
    form = f"same {attribute}"
    ending = f"has the same {attribute} as"
    target, partner = _partner(scene, attribute, form, rng, quota)
    if target is None:
        return None
    answers = []
    for other in _partner_first(target, partner):
        subject = "nothing" if other is None else f"[{other}]"
        answers.append(f"{subject} {ending} [{target}].")
    values = _value_first(scene, target, attribute, rng)
    if partner is None:
        reasons = [f"because only [{target}] is {_predicate(attribute, v)}." for v in values]
    else:
        both = _pair(target, partner)
        plural = "" if attribute == "color" else "s"
        reasons = [f"because {both} are {value}{plural}." for value in values]
    partners = "none" if partner is None else "one"
    return _question(form, partners, f"what {ending} [{target}]?", answers, reasons, rng)


def _predicate(attribute: str, value: str) -> str:
    """What something is said to be: "red", "a ring"."""
    return value if attribute == "color" else with_article(value)


def _pair(target: int, partner: int) -> str:
    first, second = sorted((target, partner))
    return f"[{first}] and [{second}]"


def _value(scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    attribute = rng.choice(ATTRIBUTES)
    form = f"what {attribute}"
    target, partner = _partner(scene, attribute, form, rng, quota)
    if target is None:
        return None
    values = _value_first(scene, target, attribute, rng)
    answers = [f"[{target}] is {_predicate(attribute, value)}." for value in values]
    reasons = []
    for other in _partner_first(target, partner):
        if other is None:
            reasons.append(f"because nothing else has the {attribute} of [{target}].")
        else:
            reasons.append(f"because {_pair(target, other)} have the same {attribute}.")
    partners = "none" if partner is None else "one"
    return _question(form, partners, f"what {attribute} is [{target}]?", answers, reasons, rng)


def _partner(
    scene: Scene, attribute: str, form: str, rng: random.Random, quota: Quota
) -> tuple[int, int | None] | tuple[None, None]:
    """An object and the only other one of the same color (shape), None where it has none; (None, None): no such."""
    values = [getattr(kind, attribute) for kind in scene.kinds]
    # Only the amount that is due: the other one, taken instead where this one does not fit, would give itself away.
    amount = quota.order(form, PARTNERS, rng)[0]
    wanted = {"none": 1, "one": 2}[amount]  # objects of the value
    fitting = [i for i, value in enumerate(values) if values.count(value) == wanted]
    if not fitting:
        return None, None
    target = rng.choice(fitting)
    for other, value in enumerate(values):
        if value == values[target] and other != target:
            return target, other
    return target, None


def _partner_first(target: int, partner: int | None) -> list[int | None]:
    """The right one of the four that may have the same color (shape) as the target, then the others."""
    others: list[int | None] = [i for i in range(MAX_OBJECTS) if i != target]
    return sorted([*others, None], key=lambda other: other != partner)


def _value_first(scene: Scene, target: int, attribute: str, rng: random.Random) -> list[str]:
    """The target's color (shape), then three others."""
    value = getattr(scene.objects[target].kind, attribute)
    return [value, *_other_values(scene, attribute, value, rng)[:3]]


def _other_values(scene: Scene, attribute: str, value: str, rng: random.Random) -> list[str]:
    """All colors (shapes) but one; first those that are in the scene, which make hard answers."""
    there = scene.values(attribute)
    others = [other for other in VALUES[attribute] if other != value]
    shuffled = rng.sample(others, len(others))
    return sorted(shuffled, key=lambda other: other not in there)


def _relation(scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    # The answers name what stands in the relation: only one of four may be true, by a clear margin.
    cases = list(product(RELATIONS, permutations(range(len(scene.objects)), 2)))
    for relation, (i, target) in rng.sample(cases, len(cases)):
        item, anchor = scene.objects[i], scene.objects[target]
        if not clearly(scene, item, relation, anchor):
            continue
        kind = item.kind._replace(size="")
        anchor_kind = anchor.kind._replace(size="")
        things = _variants(scene, kind, partial(_holds, scene, relation, anchor), rng)
        anchors = _variants(scene, anchor_kind, partial(_holds_of, scene, relation, kind), rng)
        if things and anchors:
            answers = [f"{_words(thing)} is {relation} [{target}]." for thing in things]
            because = f"because {_words(kind)} is {relation}"
            reasons = [f"{because} {_words(thing)}." for thing in anchors]
            question = f"what is {relation} [{target}]?"
            return _question("relation", "", question, answers, reasons, rng)
    return None


def _words(kind: Kind) -> str:
    return with_article(noun(kind))


def _holds(scene: Scene, relation: str, anchor: SceneObject, thing: Kind) -> bool:
    """Whether anything like `thing` may be said to stand in the relation to the anchor."""
    others = [item for item in scene.objects if item is not anchor and matches(thing, item.kind)]
    return any(clearly(scene, item, relation, anchor) is not False for item in others)


def _holds_of(scene: Scene, relation: str, thing: Kind, anchor: Kind) -> bool:
    """Whether anything like `thing` may be said to stand in the relation to anything like `anchor`."""
    anchors = [item for item in scene.objects if matches(anchor, item.kind)]
    return any(_holds(scene, relation, item, thing) for item in anchors)


def _variants(
    scene: Scene, kind: Kind, holds: Callable[[Kind], bool], rng: random.Random
) -> list[Kind]:
    """A kind, then three of another color, shape and both, for which `holds` is false; empty: there are none."""
    orders = [_other_values(scene, field, getattr(kind, field), rng) for field in ATTRIBUTES]
    for color, shape in product(*orders):
        others = [kind._replace(color=color), kind._replace(shape=shape), Kind("", color, shape)]
        if not any(holds(other) for other in others):
            return [kind, *others]
    return []
