"""Expressions of any number of objects, none included, as gRefCOCO has them.

    all red objects | every small object          one attribute: none, one or several
    the red circle                                two attributes: none or one
    the red circle and the blue square            two kinds: none, one or both are there
    all objects left of the red circle            none, one or several

Each form has its quota of numbers of targets, so that the words do not tell whether there is anything to be found.
"""

import random
from collections.abc import Sequence
from itertools import combinations, product
from typing import NamedTuple

from datamodules.synthetic.phrases import (
    RELATIONS,
    all_patterns,
    clearly,
    count,
    matches,
    noun,
    shortest_names,
)
from datamodules.synthetic.quota import Quota
from datamodules.synthetic.scene import COLORED_SHAPES, VALUES, Kind, Scene

PER_SCENE = 2
# How often each number of targets is wanted, by form.
SHARES = {
    "all": {
        "none": 0.3,
        "one": 0.3,
        "many": 0.4,
    },
    "the": {
        "none": 0.5,
        "one": 0.5,
    },
    "and": {
        "none": 0.25,
        "one": 0.25,
        "many": 0.5,
    },
    "related": {
        "none": 0.3,
        "one": 0.35,
        "many": 0.35,
    },
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
    by_text: dict[str, Expression] = {}
    for form in rng.choices(list(_MAKERS), (0.4, 0.25, 0.15, 0.2), k=4 * PER_SCENE):
        options = _MAKERS[form](scene, rng)
        if options:
            order = quota.order(options[0].form, SHARES[form], rng)
            new = [option for option in options if option.text not in by_text]
            expression = _first_fitting(order, new, rng)
            if expression is not None:
                by_text[expression.text] = expression
                quota.note(expression.form, expression.amount)
        if len(by_text) == PER_SCENE:
            break
    return list(by_text.values())


def _first_fitting(
    amounts: Sequence[str],
    options: Sequence[Expression],
    rng: random.Random,
) -> Expression | None:
    """An expression of the first amount that any has."""
    for amount in amounts:
        fitting = [option for option in options if option.amount == amount]
        if fitting:
            return rng.choice(fitting)
    return None


def _targets(scene: Scene, *patterns: Kind) -> tuple[int, ...]:
    """Positions of the objects that match one of the patterns."""
    found: set[int] = set()
    for pattern in patterns:
        found |= {i for i, kind in enumerate(scene.kinds) if matches(pattern, kind)}
    return tuple(sorted(found))


def _all(scene: Scene, rng: random.Random) -> list[Expression]:
    attribute = rng.choice(list(VALUES))
    word, plural = rng.choice((("all", True), ("every", False)))
    options = []
    for pattern in all_patterns([attribute], [VALUES[attribute]]):
        text = f"{word} {noun(pattern, plural=plural)}"
        options.append(Expression(text, _targets(scene, pattern), f"all {attribute}"))
    return options


def _the(scene: Scene, rng: random.Random) -> list[Expression]:
    fields = rng.choice(list(combinations(VALUES, 2)))
    # Nothing to be found is hard to see where the words only mix what is in the image.
    values: list[Sequence[str]] = [VALUES[field] for field in fields]
    if rng.random() < 0.7:
        values = [scene.values(field) for field in fields]
    form = f"the {' '.join(fields)}"
    options = []
    for pattern in all_patterns(fields, values):
        targets = _targets(scene, pattern)
        if len(targets) < 2:
            options.append(Expression(f"the {noun(pattern)}", targets, form))
    return options


def _and(scene: Scene, rng: random.Random) -> list[Expression]:
    single = [p for p in COLORED_SHAPES if count(p, scene.kinds) == 1]
    absent = [p for p in COLORED_SHAPES if count(p, scene.kinds) == 0]
    options = []
    for pools in ((absent, absent), (single, absent), (single, single)):
        pair = [rng.choice(pool) for pool in rng.sample(pools, 2) if pool]
        if len(set(pair)) == 2:
            first, second = pair
            text = f"the {noun(first)} and the {noun(second)}"
            targets = _targets(scene, first, second)
            options.append(Expression(text, targets, "and"))
    return options


def _related(scene: Scene, rng: random.Random) -> list[Expression]:
    options = []
    for relation, anchor in product(RELATIONS, scene.objects):
        names = shortest_names(scene, anchor)
        others = [(i, item) for i, item in enumerate(scene.objects) if item is not anchor]
        stands = {i: clearly(scene, item, relation, anchor) for i, item in others}
        # Where it is unclear of one object, nobody could say which are meant.
        if names and None not in stands.values():
            name = noun(rng.choice(names))
            text = f"all objects {relation} the {name}"
            targets = tuple(i for i, is_so in stands.items() if is_so)
            num_words = len(text.split())
            options.append(Expression(text, targets, f"related {num_words}"))
    # A longer name hints at more objects, so each length has a quota of its own.
    if not options:
        return []
    form = rng.choice(options).form
    return [option for option in options if option.form == form]


_MAKERS = {
    "all": _all,
    "the": _the,
    "and": _and,
    "related": _related,
}
