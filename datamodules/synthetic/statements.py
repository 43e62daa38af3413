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
from datamodules.synthetic.scene import COLORS, RADII, SHAPES, Kind

STATEMENT_KINDS = ("side", "both", "one", "more", "same")
MAX_OBJECTS = 3
# How many matching objects the left and the right image hold, where the statement is true and where it is false; for
# "side" and "more" the named image comes first.
_COUNTS = {
    "side": {True: [(1, 0), (1, 1)], False: [(0, 0), (0, 1)]},
    "both": {True: [(1, 1)], False: [(0, 1), (1, 0)]},
    "one": {True: [(0, 1), (1, 0)], False: [(0, 0), (1, 1)]},
    "more": {True: [(1, 0), (2, 1), (3, 2)], False: [(0, 1), (1, 2), (2, 3)]},
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
        thing, things = with_article(noun(self.pattern)), noun(self.pattern, plural=True)
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
        numbers = count(self.pattern, left), count(self.pattern, right)
        named, other = numbers if self.side == "left" else numbers[::-1]
        return {
            "side": named > 0,
            "both": named > 0 and other > 0,
            "one": (named > 0) != (other > 0),
            "more": named > other,
            "same": named == other,
        }[self.kind]


def draw_statement(kind: str, rng: random.Random) -> Statement:
    """A statement of a kind."""
    color, shape = rng.choice(list(COLORS)), rng.choice(SHAPES)
    pattern = {
        "more": rng.choice((ANYTHING._replace(color=color), ANYTHING._replace(shape=shape))),
        "same": ANYTHING,
    }.get(kind, Kind("", color, shape))
    return Statement(kind, pattern, rng.choice(("left", "right")))


def draw_contents(
    statement: Statement, label: bool, rng: random.Random
) -> tuple[list[Kind], list[Kind]]:
    """The objects of the left and the right image, of which the statement is true (label) or false."""
    named, other = (
        _draw_image(statement.pattern, n, rng) for n in rng.choice(_COUNTS[statement.kind][label])
    )
    return (named, other) if statement.side == "left" else (other, named)


def _draw_image(pattern: Kind, number: int, rng: random.Random) -> list[Kind]:
    """One to three objects, of which a number match the pattern; the others often share a part of it."""
    total = number if pattern == ANYTHING else rng.randint(max(1, number), MAX_OBJECTS)
    drawn = [_draw_kind(pattern, rng) for _ in range(number)]
    while len(drawn) < total:
        shared = rng.choice((ANYTHING, pattern._replace(shape=""), pattern._replace(color="")))
        kind = _draw_kind(shared, rng)
        if matches(pattern, kind):  # also where the part is the whole
            kind = _draw_kind(ANYTHING, rng)
        if not matches(pattern, kind):
            drawn.append(kind)
    rng.shuffle(drawn)
    return drawn


def _draw_kind(pattern: Kind, rng: random.Random) -> Kind:
    values = (tuple(RADII), tuple(COLORS), SHAPES)
    return Kind(
        *(wanted or rng.choice(options) for wanted, options in zip(pattern, values, strict=True))
    )


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
        seen: list[tuple[tuple[object, ...], bool]] = []
        for position in range(num_pairs):
            statement, side, label = draw_statement(kind, rng), rng.randrange(2), position % 4 < 2
            image = draw_contents(statement, label, rng)[side]
            about = statement.pattern.color != "", statement.pattern.shape != "", statement.side
            seen.append(((*about, side, count(statement.pattern, image), len(image)), label))
        votes: dict[tuple[object, ...], Counter[bool]] = defaultdict(Counter)
        for view, label in seen[::2]:
            votes[view][label] += 1
        guesses = {view: labels.most_common(1)[0][0] for view, labels in votes.items()}
        bound[kind] = sum(guesses.get(view, True) == label for view, label in seen[1::2]) / len(
            seen[1::2]
        )
    return {**bound, "mean": sum(bound.values()) / len(bound)}
