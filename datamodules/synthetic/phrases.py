"""Phrases of the generated world: noun phrases, places and relations, and expressions that identify one object.

    the red circle | the small one | the left square | the circle at the top | the object below the blue triangle

A `Kind` with empty fields is a pattern: Kind("", "red", "") is "red object". Whatever compares positions does so by a
clear margin or not at all: two objects whose centres differ by less than a twelfth of the image are neither left nor
right of each other, and no expression is made that would depend on it.
"""

import random
from collections.abc import Sequence
from itertools import permutations, product

from datamodules.synthetic.scene import Kind, Scene, SceneObject

ANYTHING = Kind("", "", "")
RELATIONS = {
    "left of": ("x", -1),
    "right of": ("x", 1),
    "above": ("y", -1),
    "below": ("y", 1),
}
NUMBERS = ("no", "one", "two", "three", "four")
MARGIN = 1 / 12  # of the image's side
# A place: the relation to all other candidates that it stands for, and its wordings.
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
    words = [pattern.size, pattern.color, pattern.shape or word]
    ending = "s" if plural else ""
    return " ".join(part for part in words if part) + ending


def with_article(words: str) -> str:
    """The words after "a" or "an"."""
    article = "an" if words[0] in "aeiou" else "a"
    return f"{article} {words}"


def listing(parts: Sequence[str]) -> str:
    """The parts joined as English does, "a, b and c"."""
    *others, last = parts
    if not others:
        return last
    return f"{', '.join(others)} and {last}"


def clearly(scene: Scene, a: SceneObject, relation: str, b: SceneObject) -> bool | None:
    """Whether a stands in the relation to b, by their centres; None where it is not clear."""
    axis, sign = RELATIONS[relation]
    distance = sign * (getattr(a, axis) - getattr(b, axis))
    margin = MARGIN * len(scene.image)
    return None if abs(distance) < margin else distance > 0


def clear_relations(scene: Scene) -> list[tuple[int, str, int]]:
    """All (i, relation, j) where the object i clearly stands in the relation to the object j, pair after pair."""
    objects = scene.objects
    pairs = permutations(range(len(objects)), 2)
    return [
        (i, relation, j)
        for (i, j), relation in product(pairs, RELATIONS)
        if clearly(scene, objects[i], relation, objects[j])
    ]


def patterns(kind: Kind, hidden: str = "") -> list[Kind]:
    """All patterns made of some of a kind's attributes, the shortest first; never of the hidden one ("color", ...)."""
    options = []
    for field, value in zip(Kind._fields, kind, strict=True):
        options.append(("",) if field == hidden else ("", value))
    every = [Kind(*values) for values in product(*options)]
    return sorted(every, key=_num_attributes)


def all_patterns(fields: Sequence[str], values: Sequence[Sequence[str]]) -> list[Kind]:
    """Every combination of the values of each field, the last field's changing fastest."""
    combinations = product(*values)
    return [ANYTHING._replace(**dict(zip(fields, some, strict=True))) for some in combinations]


def _num_attributes(pattern: Kind) -> int:
    return len(pattern) - pattern.count("")


def identifying_patterns(scene: Scene, target: SceneObject, hidden: str = "") -> list[Kind]:
    """The patterns with at least one attribute that match the target alone, the shortest first."""
    candidates = [p for p in patterns(target.kind, hidden) if p != ANYTHING]
    return [p for p in candidates if count(p, scene.kinds) == 1]


def minimal_patterns(candidates: Sequence[Kind]) -> list[Kind]:
    """Those patterns of which no part is a candidate too."""
    return [p for p in candidates if not _has_part(p, candidates)]


def _has_part(pattern: Kind, candidates: Sequence[Kind]) -> bool:
    return any(part != pattern and matches(part, pattern) for part in candidates)


def shortest_names(scene: Scene, target: SceneObject, hidden: str = "") -> list[Kind]:
    """The patterns that match the target alone and would not if any attribute were left out."""
    return minimal_patterns(identifying_patterns(scene, target, hidden))


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
    weights = {_by_attributes: 5, _by_place: 2}
    if relations:
        weights[_by_relation] = 3
    first = rng.choices(list(weights), list(weights.values()))[0]
    others = [family for family in weights if family is not first]
    for family in (first, *others):
        found = family(scene, target, rng, hidden)
        if found:
            return rng.choice(found)
    return ""


def _by_attributes(scene: Scene, target: SceneObject, rng: random.Random, hidden: str) -> list[str]:
    candidates = identifying_patterns(scene, target, hidden)
    if rng.random() < 0.8:
        candidates = minimal_patterns(candidates)
    return [f"the {_loose_noun(p, rng)}" for p in candidates]


def _loose_noun(pattern: Kind, rng: random.Random) -> str:
    """The pattern in words; "object" or "one" where it names no shape."""
    word = rng.choice(("object", "one"))
    return noun(pattern, word)


def _by_place(scene: Scene, target: SceneObject, rng: random.Random, hidden: str) -> list[str]:
    """The extreme one of two or more that share a pattern."""
    found = []
    for pattern in patterns(target.kind, hidden):
        others = _others(scene, target, pattern)
        for relation, forms in PLACES.values() if others else ():
            if all(clearly(scene, target, relation, other) for other in others):
                form = rng.choice(forms)
                found.append(form.format(_loose_noun(pattern, rng)))
    return found


def _by_relation(scene: Scene, target: SceneObject, rng: random.Random, hidden: str) -> list[str]:
    """The only one that matches a pattern and is, for example, left of another object that attributes identify."""
    found = []
    for anchor in _others(scene, target, ANYTHING):
        names = shortest_names(scene, anchor)
        if not names:
            continue
        relations = [r for r in RELATIONS if clearly(scene, target, r, anchor)]
        for relation, pattern in product(relations, patterns(target.kind, hidden)):
            others = [item for item in _others(scene, target, pattern) if item is not anchor]
            # Not enough that no other one clearly stands in the relation: none may nearly do so.
            if all(clearly(scene, other, relation, anchor) is False for other in others):
                name = noun(rng.choice(names))
                found.append(f"the {noun(pattern)} {relation} the {name}")
    return found


def _others(scene: Scene, target: SceneObject, pattern: Kind) -> list[SceneObject]:
    """All objects but the target that match a pattern."""
    return [item for item in scene.objects if item is not target and matches(pattern, item.kind)]
