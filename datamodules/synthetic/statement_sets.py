"""Several statements about the same four pairs of images, each true of two pairs and false of two.

What one statement asks of the images leaves room for others. "more" and "same" count: how many objects of their
pattern an image holds is drawn for them, as it is for a set of one statement. "side", "both" and "one" ask for a
pattern that some images have and others have not: images are filled anew until such patterns are found in them.

    same  the two images contain the same number of small objects.     drawn for
    more  there are more circles in the left image than in the right image.
    side  the left image contains a red circle.                        found
    both  both images contain a large object.

The plans of five sets have each kind four times. One image says as little as in a set of one statement: of the pairs
that "side" and "one" are asked of, one has the pattern on both sides, one on neither, one on the left, one on the
right; of those of "both" two on both sides, one on the left, one on the right.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import count, permutations

from datamodules.synthetic.phrases import ANYTHING, patterns
from datamodules.synthetic.scene import COLORED_SHAPES, VALUES, Kind
from datamodules.synthetic.statements import COUNTS, MAX_OBJECTS, PAIRS, Contents, Statement

PLANS = (
    ("same", "side", "both", "one"),
    ("same", "side", "both", "one"),
    ("more", "same", "side", "both"),
    ("more", "same", "side", "one"),
    ("more", "more", "both", "one"),
)
COUNTED = ("more", "same")
PALETTE = {
    "size": 2,
    "color": 3,
    "shape": 2,
}  # values of a set, few enough to occur again and again
TRIES = 8  # at filling the images for the same patterns
COLORED_SHAPES_SHARE = 0.5  # of the patterns that are found; the others have any attributes
SIDES = ("left", "right")
Counts = tuple[int, int]  # of objects in the left and in the right image


def _tables(*pairs: Counts) -> frozenset[tuple[int, ...]]:
    """Every order of the pairs, as a row: left and right of the first pair, of the second, ..."""
    return frozenset(sum(order, ()) for order in permutations(pairs))


_EACH_ONCE = _tables((0, 0), (0, 1), (1, 0), (1, 1))
# Which of the eight images a pattern must be in.
_TABLES = {
    "side": _EACH_ONCE,
    "one": _EACH_ONCE,
    "both": _tables((1, 1), (1, 1), (0, 1), (1, 0)),
}
_patterns = cache(patterns)


def draw_statements(number: int, rng: random.Random) -> tuple[list[Statement], list[Contents]]:
    """The statements of a set, all different, and what the two images of each of its pairs hold."""
    plan = PLANS[number % len(PLANS)]
    # Drawn once and kept: what is easily found together would be counted most.
    counts = {kind: _draw_counts(kind, rng) for kind in COUNTED if kind in plan}
    for attempt in count():
        # A few small images cannot hold three colored shapes as often as they are asked for.
        if attempt % TRIES == 0:
            wanted = [
                (kind, rng.random() < COLORED_SHAPES_SHARE) for kind in plan if kind in _TABLES
            ]
        palette = {name: rng.sample(VALUES[name], size) for name, size in PALETTE.items()}
        counted = _draw_patterns(plan, palette, rng)
        contents = _draw_contents({counted[kind]: counts[kind] for kind in counts}, palette, rng)
        found = _find(wanted, contents, rng)
        if len(found) == len(wanted):
            break
    return [*_counting(plan, counted, rng), *found], contents


def _draw_counts(kind: str, rng: random.Random) -> list[Counts]:
    """How many objects of a kind's pattern the images of each pair hold."""
    labels = [True, False] * (PAIRS // 2)
    return [rng.choice(COUNTS[kind][label]) for label in rng.sample(labels, PAIRS)]


def _draw_patterns(
    plan: Sequence[str],
    palette: Mapping[str, list[str]],
    rng: random.Random,
) -> dict[str, Kind]:
    """What "more" counts, a color or a shape, and "same": all objects, or a size where "more" bounds their number."""
    field = rng.choice(("color", "shape"))
    same = ANYTHING
    if "more" in plan:
        same = ANYTHING._replace(size=rng.choice(palette["size"]))
    return {"more": ANYTHING._replace(**{field: palette[field][0]}), "same": same}


def _draw_contents(
    counts: Mapping[Kind, list[Counts]],
    palette: Mapping[str, list[str]],
    rng: random.Random,
) -> list[Contents]:
    """Images that hold so many objects of each pattern."""
    contents = []
    for pair in range(PAIRS):
        both = []
        for side in range(2):
            numbers = {pattern: own[pair][side] for pattern, own in counts.items()}
            both.append(_draw_image(numbers, palette, rng))
        contents.append((both[0], both[1]))
    return contents


def _draw_image(
    numbers: Mapping[Kind, int],
    palette: Mapping[str, list[str]],
    rng: random.Random,
) -> list[Kind]:
    """One to three objects, of which so many match each pattern of one attribute."""
    # By this image's own numbers alone, so that it tells nothing of the other image.
    total = numbers.get(ANYTHING) or rng.randint(max(1, *numbers.values()), MAX_OBJECTS)
    values = {name: rng.choices(palette[name], k=total) for name in palette}
    for pattern, number in numbers.items():
        for name, value in zip(Kind._fields, pattern, strict=True):
            if value:
                others = [other for other in palette[name] if other != value]
                rest = rng.choices(others, k=total - number)
                values[name] = rng.sample([value] * number + rest, total)
    return [Kind(*each) for each in zip(*values.values(), strict=True)]


def _counting(
    plan: Sequence[str],
    counted: Mapping[str, Kind],
    rng: random.Random,
) -> list[Statement]:
    """The statements that count; the second one of a kind names the other image first."""
    statements = []
    for kind in COUNTED:
        for side in rng.sample(SIDES, plan.count(kind)):
            statements.append(Statement(kind, counted[kind], side))
    return statements


def _find(
    wanted: Sequence[tuple[str, bool]],
    contents: Sequence[Contents],
    rng: random.Random,
) -> list[Statement]:
    """The other statements, each of a pattern of its own; fewer where none is found for one.

    Args:
        wanted: their kinds, and whether the pattern is to be a color and a shape.
        contents: of the pairs.
        rng: chooses among the patterns.
    """
    rows = _rows(contents)
    statements: list[Statement] = []
    for kind, is_colored_shape in wanted:
        fitting = [pattern for pattern, row in rows.items() if row in _TABLES[kind]]
        fitting = [p for p in fitting if (p in COLORED_SHAPES) == is_colored_shape]
        if not fitting:
            break
        pattern = rng.choice(fitting)
        del rows[pattern]
        statements.append(Statement(kind, pattern, rng.choice(SIDES)))
    return statements


def _rows(contents: Sequence[Contents]) -> dict[Kind, tuple[int, ...]]:
    """Which images hold each pattern that any holds: 0 or 1 of each image, left and right of pair after pair."""
    rows: defaultdict[Kind, list[int]] = defaultdict(lambda: [0] * (2 * PAIRS))
    for pair, images in enumerate(contents):
        for side, kinds in enumerate(images):
            for kind in kinds:
                for pattern in _patterns(kind):
                    rows[pattern][2 * pair + side] = 1
    return {pattern: tuple(row) for pattern, row in rows.items()}
