"""Captions of the generated world: five a scene, each naming every object.

    a large red circle and a small blue square.
    there are two objects, a large red circle and a small blue square.
    a large red circle on the left and a small blue square at the top.
    a small blue square above a large red circle.
    an image with a small blue square and a large red circle.

The first one is fixed by the scene; in the others some words vary.
"""

import random
from collections.abc import Sequence
from itertools import permutations

from datamodules.synthetic.phrases import NUMBERS, RELATIONS, clearly, listing, with_article
from datamodules.synthetic.scene import Scene, SceneObject

OPENINGS = ("an image with", "a picture of", "the image shows")


def captions(scene: Scene, rng: random.Random) -> list[str]:
    """Five different captions; the first lists the objects from left to right."""
    objects = scene.objects
    number = len(objects)
    there = "there is one object" if number == 1 else f"there are {NUMBERS[number]} objects"
    downwards = sorted(objects, key=lambda item: item.y)
    return [
        f"{_names(objects)}.",
        f"{there}, {_names(objects)}.",
        f"{listing([f'{with_article(item.name)} {place(scene, item)}' for item in objects])}.",
        f"{_related(scene, rng)}.",
        f"{rng.choice(OPENINGS)} {_names(downwards)}.",
    ]


def _names(objects: Sequence[SceneObject]) -> str:
    """The objects in their order, equal ones together: "two small red rings and a large blue square"."""
    names = [item.name for item in objects]
    counts = {name: names.count(name) for name in names}
    return listing(
        [with_article(name) if n == 1 else f"{NUMBERS[n]} {name}s" for name, n in counts.items()]
    )


def place(scene: Scene, item: SceneObject) -> str:
    """Where an object is in the image, by the larger of its two offsets from the middle."""
    middle = len(scene.image) / 2
    dx, dy = item.x - middle, item.y - middle
    if max(abs(dx), abs(dy)) < middle / 4:
        return "in the middle"
    if abs(dx) > abs(dy):
        return "on the left" if dx < 0 else "on the right"
    return "at the top" if dy < 0 else "at the bottom"


def _related(scene: Scene, rng: random.Random) -> str:
    """Two objects by their relation, then the rest."""
    if len(scene.objects) == 1:
        return f"the only object is {_names(scene.objects)}"
    pairs = [
        (a, r, b)
        for a, b in permutations(scene.objects, 2)
        for r in RELATIONS
        if clearly(scene, a, r, b)
    ]
    a, relation, b = rng.choice(
        pairs
    )  # never empty: objects that do not overlap are apart along one axis
    rest = [item for item in scene.objects if item is not a and item is not b]
    return f"{_names([a])} {relation} {_names([b])}" + (f", and {_names(rest)}" if rest else "")
