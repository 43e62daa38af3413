"""Captions of the generated world: five a scene, each naming every object.

    a large red circle and a small blue square.
    there are two objects, a large red circle and a small blue square.
    a large red circle on the left and a small blue square at the top.
    a small blue square above a large red circle.
    an image with a small blue square and a large red circle.

The first one is fixed by the scene; in the others some words vary.
"""

import random
from collections import Counter
from collections.abc import Sequence

from datamodules.synthetic.phrases import NUMBERS, clear_relations, listing, with_article
from datamodules.synthetic.scene import Scene, SceneObject

OPENINGS = ("an image with", "a picture of", "the image shows")


def captions(scene: Scene, rng: random.Random) -> list[str]:
    """Five different captions; the first lists the objects from left to right."""
    objects = scene.objects
    number = len(objects)
    there = "there is one object"
    if number != 1:
        there = f"there are {NUMBERS[number]} objects"
    names_with_places = [f"{with_article(item.name)} {place(scene, item)}" for item in objects]
    downwards = sorted(objects, key=lambda item: item.y)
    return [
        f"{_names(objects)}.",
        f"{there}, {_names(objects)}.",
        f"{listing(names_with_places)}.",
        f"{_related(scene, rng)}.",
        f"{rng.choice(OPENINGS)} {_names(downwards)}.",
    ]


def _names(objects: Sequence[SceneObject]) -> str:
    """The objects in their order, equal ones together: "two small red rings and a large blue square"."""
    # A Counter keeps the order in which names were first seen.
    counts = Counter(item.name for item in objects)
    parts = [_counted(name, number) for name, number in counts.items()]
    return listing(parts)


def _counted(name: str, number: int) -> str:
    if number == 1:
        return with_article(name)
    return f"{NUMBERS[number]} {name}s"


def place(scene: Scene, item: SceneObject) -> str:
    """Where an object is in the image, by the larger of its two offsets from the middle."""
    middle = len(scene.image) / 2
    dx = item.x - middle
    dy = item.y - middle
    across = abs(dx)
    down = abs(dy)
    if max(across, down) < middle / 4:
        return "in the middle"
    if across > down:
        return "on the left" if dx < 0 else "on the right"
    return "at the top" if dy < 0 else "at the bottom"


def _related(scene: Scene, rng: random.Random) -> str:
    """Two objects by their relation, then the rest."""
    if len(scene.objects) == 1:
        return f"the only object is {_names(scene.objects)}"
    # Never empty: objects that do not overlap are apart along one axis.
    relations = clear_relations(scene)
    i, relation, j = rng.choice(relations)
    first = scene.objects[i]
    second = scene.objects[j]
    text = f"{_names([first])} {relation} {_names([second])}"
    rest = [item for k, item in enumerate(scene.objects) if k not in (i, j)]
    if not rest:
        return text
    return f"{text}, and {_names(rest)}"
