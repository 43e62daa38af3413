"""Statements about two images, and contents of the images that make them true or false.

    side   the left image contains a red circle.
    both   both images contain a red circle.
    one    exactly one image contains a red circle.
    more   there are more squares in the left image than in the right image.
    same   the two images contain the same number of objects.

Contents are drawn so that one image says as little as possible. Where one image still helps (always, where both must
be true), `one_image_bound` measures how far a guesser gets who reads the statement and sees one of the images:
side 0.75, both 0.75, one 0.50, more 0.67, same 0.50, on average 0.63. A constant answer gets 0.50.
"""

import random
from collections import Counter, defaultdict
from typing import NamedTuple

from datamodules.synthetic.phrases import ANYTHING, count, matches, noun, with_article
from datamodules.synthetic.scene import COLORS, SHAPES, VALUES, Kind

STATEMENT_KINDS = ("side", "both", "one", "more", "same")
MAX_OBJECTS = 3
PAIRS = 4  # of a set; a statement is true of half of them
Contents = tuple[list[Kind], list[Kind]]  # what the left and the right image hold
View = tuple[object, ...]  # what a guesser sees
# How many matching objects the left and the right image hold, where the statement is true and where it is false; for
# "side" and "more" the named image comes first.
COUNTS = {
    "side": {
        True: [(1, 0), (1, 1)],
        False: [(0, 0), (0, 1)],
    },
    "both": {
        True: [(1, 1)],
        False: [(0, 1), (1, 0)],
    },
    "one": {
        True: [(0, 1), (1, 0)],
        False: [(0, 0), (1, 1)],
    },
    "more": {
        True: [(1, 0), (2, 1), (3, 2)],
        False: [(0, 1), (1, 2), (2, 3)],
    },
    "same": {
        True: [(1, 1), (2, 2), (3, 3)],
        False: [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)],
    },
}


class Statement(NamedTuple):
    """A statement: its kind, what it is about and, for "side" and "more", the image it names first."""

    kind: str
    pattern: Kind
    side: str

    @property
    def text(self) -> str:
        """The sentence."""
        thing = with_article(noun(self.pattern))
        things = noun(self.pattern, plural=True)
        other = "right" if self.side == "left" else "left"
        return {
            "side": f"the {self.side} image contains {thing}.",
            "both": f"both images contain {thing}.",
            "one": f"exactly one image contains {thing}.",
            "more": f"there are more {things} in the {self.side} image than in the {other} image.",
            "same": f"the two images contain the same number of {things}.",
        }[self.kind]

    def holds(self, left: list[Kind], right: list[Kind]) -> bool:
        """Whether the statement is true of two images with these objects."""
        first = count(self.pattern, left)
        second = count(self.pattern, right)
        if self.side == "right":
            first, second = second, first
        return {
            "side": first > 0,
            "both": first > 0 and second > 0,
            "one": (first > 0) != (second > 0),
            "more": first > second,
            "same": first == second,
        }[self.kind]


def draw_statement(kind: str, rng: random.Random) -> Statement:
    """A statement of a kind."""
    color = rng.choice(list(COLORS))
    shape = rng.choice(SHAPES)
    # Drawn for every kind, so that all of them take as many random numbers.
    either = rng.choice((ANYTHING._replace(color=color), ANYTHING._replace(shape=shape)))
    pattern = Kind("", color, shape)
    if kind == "more":
        pattern = either
    elif kind == "same":
        pattern = ANYTHING
    return Statement(kind, pattern, rng.choice(("left", "right")))


def draw_contents(
    statement: Statement,
    label: bool,
    rng: random.Random,
) -> Contents:
    """The objects of the left and the right image, of which the statement is true (label) or false."""
    counts = rng.choice(COUNTS[statement.kind][label])
    first = _draw_image(statement.pattern, counts[0], rng)
    second = _draw_image(statement.pattern, counts[1], rng)
    if statement.side == "left":
        return first, second
    return second, first


def _draw_image(pattern: Kind, number: int, rng: random.Random) -> list[Kind]:
    """One to three objects, of which a number match the pattern; the others often share a part of it."""
    total = number
    if pattern != ANYTHING:
        total = rng.randint(max(1, number), MAX_OBJECTS)
    kinds = [_draw_kind(pattern, rng) for _ in range(number)]
    parts = (
        ANYTHING,
        pattern._replace(shape=""),
        pattern._replace(color=""),
    )
    while len(kinds) < total:
        part = rng.choice(parts)
        kind = _draw_kind(part, rng)
        if matches(pattern, kind):  # also where the part is the whole
            kind = _draw_kind(ANYTHING, rng)
        if not matches(pattern, kind):
            kinds.append(kind)
    rng.shuffle(kinds)
    return kinds


def _draw_kind(pattern: Kind, rng: random.Random) -> Kind:
    """A kind that matches a pattern; what the pattern leaves open is drawn."""
    size = pattern.size or rng.choice(VALUES["size"])
    color = pattern.color or rng.choice(VALUES["color"])
    shape = pattern.shape or rng.choice(VALUES["shape"])
    return Kind(size, color, shape)


def one_image_bound(seed: int = 0, num_pairs: int = 20000) -> dict[str, float]:
    """The accuracy of the best guesser that reads the statement and sees one image, by statement kind and as "mean".

    The guesser is fitted by counting on one half of freshly drawn pairs and scored on the other. It is given all that
    one image can say: which side it is, how many objects match the statement, and how many there are.

    Args:
        seed: seed of the pairs.
        num_pairs: pairs per kind.
    """
    rng = random.Random(f"one image {seed}")
    bound = {}
    for kind in STATEMENT_KINDS:
        views = [_draw_view(kind, position % 4 < 2, rng) for position in range(num_pairs)]
        fitting = views[::2]
        scoring = views[1::2]
        votes: dict[View, Counter[bool]] = defaultdict(Counter)
        for view, label in fitting:
            votes[view][label] += 1
        guesses = {view: labels.most_common(1)[0][0] for view, labels in votes.items()}
        hits = sum(guesses.get(view, True) == label for view, label in scoring)
        bound[kind] = hits / len(scoring)
    mean = sum(bound.values()) / len(bound)
    return {**bound, "mean": mean}


def _draw_view(kind: str, label: bool, rng: random.Random) -> tuple[View, bool]:
    """All that one image of a pair and the statement can say, and the label."""
    statement = draw_statement(kind, rng)
    side = rng.randrange(2)
    images = draw_contents(statement, label, rng)
    image = images[side]
    pattern = statement.pattern
    view = (
        pattern.color != "",
        pattern.shape != "",
        statement.side,
        side,
        count(pattern, image),
        len(image),
    )
    return view, label
