"""Questions of Visual7W about the generated world: "which" asks for an object, the others are answered in words.

which object is red?                        what color is the small one?    red.
which object is the small circle?           how many circles are there?     two.
which object is left of the red circle?     where is the red circle?        on the left.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

from datamodules.synthetic.captions import place
from datamodules.synthetic.phrases import (
    ANYTHING,
    MARGIN,
    NUMBERS,
    RELATIONS,
    clearly,
    count,
    describe,
    identifying,
    minimal,
    noun,
)
from datamodules.synthetic.questions import VALUES, Quota
from datamodules.synthetic.scene import Kind, Scene, SceneObject

POINTING_PER_SCENE = 3
PLACES = ("in the middle", "on the left", "on the right", "at the top", "at the bottom")


class Telling(NamedTuple):
    """A question, its answer and the other answers that it could have; `kind` is "what", "where" or "how"."""

    kind: str
    text: str
    answer: str
    others: tuple[str, ...]


def pointing(scene: Scene, rng: random.Random) -> list[tuple[str, int]]:
    """Up to `POINTING_PER_SCENE` questions, each with the position of the one object that answers it.

    None asks for a place or a size alone: the candidates' boxes would tell that.
    """
    asked: dict[str, int] = {}
    for position, item in enumerate(scene.objects):
        patterns = minimal([p for p in identifying(scene, item) if p.color or p.shape])
        asked |= {f"which object is {_words(pattern)}?": position for pattern in patterns}
        for relation in RELATIONS if patterns else ():
            found = [
                other is not item and clearly(scene, other, relation, item)
                for other in scene.objects
            ]
            if found.count(True) == 1 and None not in found:
                asked[f"which object is {relation} the {noun(rng.choice(patterns))}?"] = (
                    found.index(True)
                )
    return rng.sample(list(asked.items()), min(POINTING_PER_SCENE, len(asked)))


def _words(pattern: Kind) -> str:
    """The color alone, or a phrase such as "the small circle"."""
    return (
        pattern.color if pattern == Kind("", pattern.color, "") else f"the {noun(pattern, 'one')}"
    )


def telling(scene: Scene, rng: random.Random, quota: Quota) -> Telling | None:
    """A question answered in words; None where the scene gives none of the kind that was drawn."""
    form = rng.choice(("color", "shape", "place", "number"))
    kind, answers, make = _FORMS[form]
    options = [(text, answer) for text, answer in make(scene, rng) if text and answer]
    for answer in quota.order(form, dict.fromkeys(answers, 1.0), rng):
        if fitting := [text for text, given in options if given == answer]:
            quota.note(form, answer)
            return Telling(
                kind,
                rng.choice(fitting),
                answer,
                tuple(other for other in answers if other != answer),
            )
    return None


Options = list[tuple[str, str]]


def _attribute(name: str) -> Callable[[Scene, random.Random], Options]:
    def make(scene: Scene, rng: random.Random) -> Options:
        subjects = [(item, describe(scene, item, rng, hidden=name)) for item in scene.objects]
        return [
            (f"what {name} is {text}?" if text else "", getattr(item.kind, name))
            for item, text in subjects
        ]

    return make


def _place(scene: Scene, rng: random.Random) -> Options:
    # Not by size: a small object is found at the edges, a large one cannot be.
    names = [(item, minimal(identifying(scene, item, hidden="size"))) for item in scene.objects]
    return [
        (f"where is the {noun(rng.choice(found))}?", clear_place(scene, item))
        for item, found in names
        if found
    ]


def clear_place(scene: Scene, item: SceneObject) -> str:
    """Where an object is in the image; empty where it is about as much in one place as in another."""
    side = len(scene.image)
    far, near = sorted((abs(item.x - side / 2), abs(item.y - side / 2)), reverse=True)
    in_the_middle = far < side / 8
    if not in_the_middle and (far < side / 6 or far - near < MARGIN * side):
        return ""
    return place(scene, item)


def _number(scene: Scene, rng: random.Random) -> Options:
    fields = [(field, value) for field in ("color", "shape") for value in VALUES[field]]
    patterns = [ANYTHING._replace(**{field: value}) for field, value in fields]
    counts = [count(pattern, [item.kind for item in scene.objects]) for pattern in patterns]
    return [
        (f"how many {noun(p, plural=True)} are there?", NUMBERS[n])
        for p, n in zip(patterns, counts, strict=True)
        if n
    ]


_FORMS: dict[str, tuple[str, tuple[str, ...], Callable[[Scene, random.Random], Options]]] = {
    "color": ("what", VALUES["color"], _attribute("color")),
    "shape": ("what", VALUES["shape"], _attribute("shape")),
    "place": ("where", PLACES, _place),
    "number": ("how", NUMBERS[1:], _number),
}
