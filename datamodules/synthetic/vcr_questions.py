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
from datamodules.synthetic.questions import VALUES, Quota
from datamodules.synthetic.scene import Kind, Scene, SceneObject

PER_SCENE = 2
ATTRIBUTES = ("color", "shape")
PARTNERS = {"none": 0.25, "one": 0.75}  # one of four answers is that there is none


class Choice(NamedTuple):
    """Four texts in an order drawn by lot, and the index of the right one. Objects are written as [0], [1], ..."""

    texts: list[str]
    label: int


class Question(NamedTuple):
    """A question, its answers and the reasons for the right one."""

    form: str
    text: str
    answers: Choice
    reasons: Choice


def questions(scene: Scene, rng: random.Random, quota: Quota) -> list[Question]:
    """Up to `PER_SCENE` different questions."""
    asked: dict[str, Question] = {}
    for make in rng.choices((_same, _value, _relation), (0.3, 0.5, 0.2), k=4 * PER_SCENE):
        if len(asked) < PER_SCENE and (question := make(scene, rng, quota)):
            asked.setdefault(question.text, question)
    return list(asked.values())


def _question(
    form: str, text: str, answers: list[str], reasons: list[str], rng: random.Random
) -> Question:
    """A question from its texts, the right one first in both lists."""
    choices = []
    for texts in (answers, reasons):
        shuffled = rng.sample(texts, len(texts))
        choices.append(Choice(shuffled, shuffled.index(texts[0])))
    return Question(form, text, *choices)


def _same(scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    attribute = rng.choice(ATTRIBUTES)
    form, ending = f"same {attribute}", f"has the same {attribute} as"
    target, partner = _partner(scene, attribute, form, rng, quota)
    if target is None:
        return None
    answers = [
        f"{'nothing' if i is None else f'[{i}]'} {ending} [{target}]."
        for i in _partner_first(target, partner)
    ]
    reasons = []
    for value in _value_first(scene, target, attribute, rng):
        one, several = (
            (value, value) if attribute == "color" else (with_article(value), f"{value}s")
        )
        both = "[{}] and [{}]".format(*sorted((target, partner))) if partner is not None else ""
        reasons.append(
            f"because {both} are {several}." if both else f"because only [{target}] is {one}."
        )
    return _question(form, f"what {ending} [{target}]?", answers, reasons, rng)


def _value(scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    attribute = rng.choice(ATTRIBUTES)
    form = f"what {attribute}"
    target, partner = _partner(scene, attribute, form, rng, quota)
    if target is None:
        return None
    values = _value_first(scene, target, attribute, rng)
    answers = [
        f"[{target}] is {value if attribute == 'color' else with_article(value)}."
        for value in values
    ]
    reasons = [
        f"because nothing else has the {attribute} of [{target}]."
        if i is None
        else "because [{}] and [{}] have the same {}.".format(*sorted((i, target)), attribute)
        for i in _partner_first(target, partner)
    ]
    return _question(form, f"what {attribute} is [{target}]?", answers, reasons, rng)


def _partner(
    scene: Scene, attribute: str, form: str, rng: random.Random, quota: Quota
) -> tuple[int, int | None] | tuple[None, None]:
    """An object and the only other one of the same color (shape), None where it has none; (None, None): no such."""
    values = [getattr(item.kind, attribute) for item in scene.objects]
    same = [
        [j for j, other in enumerate(values) if other == value and j != i]
        for i, value in enumerate(values)
    ]
    amount = quota.order(form, PARTNERS, rng)[0]  # the other one instead would give itself away
    fitting = [i for i, others in enumerate(same) if len(others) == (amount == "one")]
    if not fitting:
        return None, None
    quota.note(form, amount)
    target = rng.choice(fitting)
    return target, same[target][0] if same[target] else None


def _partner_first(target: int, partner: int | None) -> list[int | None]:
    """The right one of the four that may have the same color (shape) as the target, then the others."""
    everyone = [*(i for i in range(4) if i != target), None]
    return sorted(everyone, key=lambda i: i != partner)


def _value_first(scene: Scene, target: int, attribute: str, rng: random.Random) -> list[str]:
    """The target's color (shape), then three others."""
    value = getattr(scene.objects[target].kind, attribute)
    return [value, *_other_values(scene, attribute, value, rng)[:3]]


def _other_values(scene: Scene, attribute: str, value: str, rng: random.Random) -> list[str]:
    """All colors (shapes) but one; first those that are in the scene, which make hard answers."""
    there = {getattr(item.kind, attribute) for item in scene.objects}
    others = [other for other in VALUES[attribute] if other != value]
    return sorted(rng.sample(others, len(others)), key=lambda other: other not in there)


def _relation(scene: Scene, rng: random.Random, quota: Quota) -> Question | None:
    cases = list(product(RELATIONS, permutations(range(len(scene.objects)), 2)))
    for relation, (i, target) in rng.sample(cases, len(cases)):
        item, anchor = scene.objects[i], scene.objects[target]
        thing, other = (o.kind._replace(size="") for o in (item, anchor))
        if clearly(scene, item, relation, anchor):
            things = _variants(scene, thing, partial(_holds, scene, relation, anchor), rng)
            others = _variants(scene, other, partial(_holds_of, scene, relation, thing), rng)
            if things and others:
                answers = [f"{_words(kind)} is {relation} [{target}]." for kind in things]
                reasons = [
                    f"because {_words(thing)} is {relation} {_words(kind)}." for kind in others
                ]
                return _question(
                    "relation", f"what is {relation} [{target}]?", answers, reasons, rng
                )
    return None


def _words(kind: Kind) -> str:
    return with_article(noun(kind))


def _holds(scene: Scene, relation: str, anchor: SceneObject, thing: Kind) -> bool:
    """Whether anything like `thing` may be said to stand in the relation to the anchor."""
    others = [item for item in scene.objects if item is not anchor and matches(thing, item.kind)]
    return any(clearly(scene, item, relation, anchor) is not False for item in others)


def _holds_of(scene: Scene, relation: str, thing: Kind, anchor: Kind) -> bool:
    """Whether anything like `thing` may be said to stand in the relation to anything like `anchor`."""
    return any(
        _holds(scene, relation, item, thing) for item in scene.objects if matches(anchor, item.kind)
    )


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
