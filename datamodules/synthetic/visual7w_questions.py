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
    all_patterns,
    clearly,
    count,
    describe,
    identifying_patterns,
    minimal_patterns,
    noun,
    shortest_names,
)
from datamodules.synthetic.quota import Quota
from datamodules.synthetic.scene import VALUES, Kind, Scene, SceneObject

POINTING_PER_SCENE = 3
PLACES = ("in the middle", "on the left", "on the right", "at the top", "at the bottom")


class Telling(NamedTuple):
    """A question, its answer and the other answers that it could have; `kind` is "what", "where" or "how"."""

    kind: str
    text: str
    answer: str
    others: tuple[str, ...]


def pointing_questions(scene: Scene, rng: random.Random) -> list[tuple[str, int]]:
    """Up to `POINTING_PER_SCENE` questions, each with the position of the one object that answers it.

    None asks for a place or a size alone: the candidates' boxes would tell that.
    """
    by_text: dict[str, int] = {}
    for position, item in enumerate(scene.objects):
        candidates = [p for p in identifying_patterns(scene, item) if p.color or p.shape]
        patterns = minimal_patterns(candidates)
        for pattern in patterns:
            by_text[f"which object is {_words(pattern)}?"] = position
        for relation in RELATIONS if patterns else ():
            stands = [
                other is not item and clearly(scene, other, relation, item)
                for other in scene.objects
            ]
            # Exactly one object clearly stands in the relation, and none nearly does.
            if stands.count(True) == 1 and None not in stands:
                anchor = noun(rng.choice(patterns))
                by_text[f"which object is {relation} the {anchor}?"] = stands.index(True)
    number = min(POINTING_PER_SCENE, len(by_text))
    return rng.sample(list(by_text.items()), number)


def _words(pattern: Kind) -> str:
    """The color alone, or a phrase such as "the small circle"."""
    if pattern == ANYTHING._replace(color=pattern.color):
        return pattern.color
    return f"the {noun(pattern, 'one')}"


def telling_question(scene: Scene, rng: random.Random, quota: Quota) -> Telling | None:
    """A question answered in words; None where the scene gives none of the kind that was drawn."""
    form = rng.choice(("color", "shape", "place", "number"))
    kind, answers, make = _FORMS[form]
    options = [(text, answer) for text, answer in make(scene, rng) if text and answer]
    for answer in quota.order(form, dict.fromkeys(answers, 1.0), rng):
        fitting = [text for text, its_answer in options if its_answer == answer]
        if fitting:
            quota.note(form, answer)
            others = tuple(other for other in answers if other != answer)
            return Telling(kind, rng.choice(fitting), answer, others)
    return None


Options = list[tuple[str, str]]


def _attribute(name: str) -> Callable[[Scene, random.Random], Options]:
    def make(scene: Scene, rng: random.Random) -> Options:
        options = []
        for item in scene.objects:
            subject = describe(scene, item, rng, hidden=name)
            if subject:
                question = f"what {name} is {subject}?"
                answer = getattr(item.kind, name)
                options.append((question, answer))
        return options

    return make


def _place(scene: Scene, rng: random.Random) -> Options:
    options = []
    for item in scene.objects:
        # Not by size: a small object is found at the edges, a large one cannot be.
        names = shortest_names(scene, item, hidden="size")
        if names:
            question = f"where is the {noun(rng.choice(names))}?"
            options.append((question, clear_place(scene, item)))
    return options


def clear_place(scene: Scene, item: SceneObject) -> str:
    """Where an object is in the image; empty where it is about as much in one place as in another."""
    side = len(scene.image)
    dx = abs(item.x - side / 2)
    dy = abs(item.y - side / 2)
    far = max(dx, dy)
    near = min(dx, dy)
    is_in_the_middle = far < side / 8
    is_outside = far >= side / 6 and far - near >= MARGIN * side
    if is_in_the_middle or is_outside:
        return place(scene, item)
    return ""


def _number(scene: Scene, rng: random.Random) -> Options:
    patterns = all_patterns(["color"], [VALUES["color"]])
    patterns += all_patterns(["shape"], [VALUES["shape"]])
    options = []
    for pattern in patterns:
        number = count(pattern, scene.kinds)
        if number > 0:
            question = f"how many {noun(pattern, plural=True)} are there?"
            options.append((question, NUMBERS[number]))
    return options


# For each form: its kind, all answers to it, and what makes the (question, answer) pairs of a scene.
_FORMS: dict[str, tuple[str, tuple[str, ...], Callable[[Scene, random.Random], Options]]] = {
    "color": ("what", VALUES["color"], _attribute("color")),
    "shape": ("what", VALUES["shape"], _attribute("shape")),
    "place": ("where", PLACES, _place),
    "number": ("how", NUMBERS[1:], _number),
}
