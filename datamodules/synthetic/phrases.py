"""Phrases of the generated world: noun phrases, places and relations, and expressions that identify one object.

    the red circle | the small one | the left square | the circle at the top | the object below the blue triangle

A `Kind` with empty fields is a pattern: Kind("", "red", "") is "red object". Whatever compares positions does so by a
clear margin or not at all: two objects whose centres differ by less than a twelfth of the image are neither left nor
right of each other, and no expression is made that would depend on it.
"""

import random
from collections.abc import Sequence
from itertools import product

from datamodules.synthetic.scene import Kind, Scene, SceneObject

ANYTHING = Kind("", "", "")
RELATIONS = {"left of": ("x", -1), "right of": ("x", 1), "above": ("y", -1), "below": ("y", 1)}
NUMBERS = ("no", "one", "two", "three", "four")
MARGIN = 1 / 12  # of the image's side
# A place and the relation to all other candidates that it stands for.
PLACES = {
    "left": ("left of", ("the left {}", "the {} on the left", "the leftmost {}")),
    "right": ("right of", ("the right {}", "the {} on the right", "the rightmost {}")),
    "top": ("above", ("the top {}", "the {} at the top")),
    "bottom": ("below", ("the bottom {}", "the {} at the bottom")),
}


def wording(seed: int, stream: str, index: int) -> random.Random:
    """The random choices of words for one scene; apart from the scene's own, so that words never change an image."""
    return random.Random(f"words {seed} {stream} {index}")


def matches(pattern: Kind, kind: Kind) -> bool:
    """Whether a kind has all that the pattern asks for."""
    size, color, shape = pattern
    return size in ("", kind.size) and color in ("", kind.color) and shape in ("", kind.shape)


def count(pattern: Kind, kinds: Sequence[Kind]) -> int:
    """How many of the kinds match the pattern."""
    return sum(matches(pattern, kind) for kind in kinds)


def noun(pattern: Kind, word: str = "object", plural: bool = False) -> str:
    """The pattern in words, "large red circle"; `word` where it names no shape."""
    words = [part for part in (pattern.size, pattern.color, pattern.shape or word) if part]
    return " ".join(words) + ("s" if plural else "")


def with_article(words: str) -> str:
    """The words after "a" or "an"."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def listing(parts: Sequence[str]) -> str:
    """The parts joined as English does, "a, b and c"."""
    return " and ".join([part for part in (", ".join(parts[:-1]), parts[-1]) if part])


def clearly(scene: Scene, a: SceneObject, relation: str, b: SceneObject) -> bool | None:
    """Whether a stands in the relation to b, by their centres; None where it is not clear."""
    axis, sign = RELATIONS[relation]
    distance = sign * (getattr(a, axis) - getattr(b, axis))
    return None if abs(distance) < MARGIN * len(scene.image) else distance > 0


def patterns(kind: Kind, hidden: str = "") -> list[Kind]:
    """All patterns made of some of a kind's attributes, the shortest first; never of the hidden one ("color", ...)."""
    kept = [
        ("",) if field == hidden else ("", value)
        for field, value in zip(Kind._fields, kind, strict=True)
    ]
    return sorted((Kind(*values) for values in product(*kept)), key=lambda p: sum(map(bool, p)))


def identifying(scene: Scene, target: SceneObject, hidden: str = "") -> list[Kind]:
    """The patterns with at least one attribute that match the target alone, the shortest first."""
    kinds = [item.kind for item in scene.objects]
    return [p for p in patterns(target.kind, hidden) if p != ANYTHING and count(p, kinds) == 1]


def minimal(candidates: Sequence[Kind]) -> list[Kind]:
    """Those patterns of which no part is a candidate too."""
    return [p for p in candidates if not any(q != p and matches(q, p) for q in candidates)]


def describe(
    scene: Scene, target: SceneObject, rng: random.Random, hidden: str = "", relations: bool = True
) -> str:
    """An expression, "the ...", that refers to the target and to nothing else in the scene; empty if there is none.

    Args:
        scene: the scene.
        target: one of its objects.
        rng: chooses among the expressions.
        hidden: an attribute that must not be named of the target: "size", "color" or "shape".
        relations: whether other objects may be named.
    """
    families = [_by_attributes, _by_place, _by_relation][: 3 if relations else 2]
    first = rng.choices(families, (5, 2, 3)[: len(families)])[0]
    for family in (first, *(f for f in families if f is not first)):
        found = family(scene, target, rng, hidden)
        if found:
            return rng.choice(found)
    return ""


def _by_attributes(scene: Scene, target: SceneObject, rng: random.Random, hidden: str) -> list[str]:
    candidates = identifying(scene, target, hidden)
    if rng.random() < 0.8:
        candidates = minimal(candidates)
    return [f"the {noun(p, rng.choice(('object', 'one')))}" for p in candidates]


def _by_place(scene: Scene, target: SceneObject, rng: random.Random, hidden: str) -> list[str]:
    """The extreme one of two or more that share a pattern."""
    found = []
    for pattern in patterns(target.kind, hidden):
        others = _others(scene, target, pattern)
        for relation, forms in PLACES.values():
            if others and all(clearly(scene, target, relation, other) for other in others):
                found.append(rng.choice(forms).format(noun(pattern, rng.choice(("object", "one")))))
    return found


def _by_relation(scene: Scene, target: SceneObject, rng: random.Random, hidden: str) -> list[str]:
    """The only one that matches a pattern and is, for example, left of another object that attributes identify."""
    found = []
    for anchor in (item for item in scene.objects if item is not target):
        names = minimal(identifying(scene, anchor))
        related = [r for r in RELATIONS if clearly(scene, target, r, anchor)] if names else []
        for relation, pattern in product(related, patterns(target.kind, hidden)):
            others = (other for other in _others(scene, target, pattern) if other is not anchor)
            if all(clearly(scene, other, relation, anchor) is False for other in others):
                found.append(f"the {noun(pattern)} {relation} the {noun(rng.choice(names))}")
    return found


def _others(scene: Scene, target: SceneObject, pattern: Kind) -> list[SceneObject]:
    return [item for item in scene.objects if item is not target and matches(pattern, item.kind)]
