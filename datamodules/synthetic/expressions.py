"""Expressions of any number of objects, none included, as gRefCOCO has them.

    all red objects | every small object          one attribute: none, one or several
    the red circle                                two attributes: none or one
    the red circle and the blue square            two kinds: none, one or both are there
    all objects left of the red circle            none, one or several

Each form has its quota of numbers of targets, so that the words do not tell whether there is anything to be found.
"""

import random
from collections.abc import Iterable, Sequence
from itertools import combinations, product
from typing import NamedTuple

from datamodules.synthetic.phrases import (
    ANYTHING,
    RELATIONS,
    clearly,
    identifying,
    matches,
    minimal,
    noun,
)
from datamodules.synthetic.questions import VALUES, Quota
from datamodules.synthetic.scene import Kind, Scene

PER_SCENE = 2
# How often each number of targets is wanted, by form.
SHARES = {
    "all": {"none": 0.3, "one": 0.3, "many": 0.4},
    "the": {"none": 0.5, "one": 0.5},
    "and": {"none": 0.25, "one": 0.25, "many": 0.5},
    "related": {"none": 0.3, "one": 0.35, "many": 0.35},
}


class Expression(NamedTuple):
    """An expression, the positions of its targets among the scene's objects, and its form with the attributes named."""

    text: str
    targets: tuple[int, ...]
    form: str

    @property
    def amount(self) -> str:
        """Whether there are targets: "none", "one" or "many"."""
        return ("none", "one", "many")[min(len(self.targets), 2)]


def expressions(scene: Scene, rng: random.Random, quota: Quota) -> list[Expression]:
    """`PER_SCENE` different expressions, fewer where the scene gives no more."""
    made: dict[str, Expression] = {}
    for form in rng.choices(list(_MAKERS), (0.4, 0.25, 0.15, 0.2), k=4 * PER_SCENE):
        options = _MAKERS[form](scene, rng)
        for amount in quota.order(options[0].form, SHARES[form], rng) if options else ():
            fitting = [
                option for option in options if option.amount == amount and option.text not in made
            ]
            if fitting:
                chosen = rng.choice(fitting)
                made[chosen.text] = chosen
                quota.note(chosen.form, amount)
                break
        if len(made) == PER_SCENE:
            break
    return list(made.values())


def _targets(scene: Scene, *patterns: Kind) -> tuple[int, ...]:
    return tuple(
        i for i, item in enumerate(scene.objects) if any(matches(p, item.kind) for p in patterns)
    )


def _patterns(fields: Sequence[str], values: Iterable[Sequence[str]]) -> list[Kind]:
    """Every combination of the values of each field."""
    return [
        ANYTHING._replace(**dict(zip(fields, chosen, strict=True))) for chosen in product(*values)
    ]


def _all(scene: Scene, rng: random.Random) -> list[Expression]:
    attribute = rng.choice(list(VALUES))
    word, plural = rng.choice((("all", True), ("every", False)))
    patterns = _patterns([attribute], [VALUES[attribute]])
    return [
        Expression(f"{word} {noun(p, plural=plural)}", _targets(scene, p), f"all {attribute}")
        for p in patterns
    ]


def _the(scene: Scene, rng: random.Random) -> list[Expression]:
    fields = rng.choice(list(combinations(VALUES, 2)))
    # Nothing to be found is hard to see where the words only mix what is in the image.
    there = [sorted({getattr(item.kind, field) for item in scene.objects}) for field in fields]
    patterns = _patterns(
        fields, there if rng.random() < 0.7 else [VALUES[field] for field in fields]
    )
    options = [
        Expression(f"the {noun(p)}", _targets(scene, p), f"the {' '.join(fields)}")
        for p in patterns
    ]
    return [option for option in options if len(option.targets) < 2]


def _and(scene: Scene, rng: random.Random) -> list[Expression]:
    patterns = _patterns(("color", "shape"), (VALUES["color"], VALUES["shape"]))
    there = [p for p in patterns if len(_targets(scene, p)) == 1]
    absent = [p for p in patterns if not _targets(scene, p)]
    options = []
    for pool in ((absent, absent), (there, absent), (there, there)):
        pair = [rng.choice(kinds) for kinds in rng.sample(pool, 2) if kinds]
        if len({*pair}) == 2:
            options.append(
                Expression(
                    " and ".join(f"the {noun(p)}" for p in pair), _targets(scene, *pair), "and"
                )
            )
    return options


def _related(scene: Scene, rng: random.Random) -> list[Expression]:
    options = []
    for relation, anchor in product(RELATIONS, scene.objects):
        names = minimal(identifying(scene, anchor))
        is_so = [
            item is not anchor and clearly(scene, item, relation, anchor) for item in scene.objects
        ]
        if names and None not in is_so:
            text = f"all objects {relation} the {noun(rng.choice(names))}"
            form = f"related {len(text.split())}"
            options.append(Expression(text, tuple(i for i, so in enumerate(is_so) if so), form))
    # A longer name hints at more objects, so each length has a quota of its own.
    form = rng.choice(options).form if options else ""
    return [option for option in options if option.form == form]


_MAKERS = {"all": _all, "the": _the, "and": _and, "related": _related}
