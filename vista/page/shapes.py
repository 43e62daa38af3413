"""The numbers of an answer as shapes, each with its place in the text, also while the text is being written.

    "The masks are [12, 40, 300, 41" -> one shape: open, of the characters 14 to 31, points (0.01, 0.04), ...

Points are shares of the picture's width and height, so that a browser draws them at any size.
"""

import re
from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from vista.codec.brackets import is_box, is_point, is_polygon
from vista.codec.codec import Codec
from vista.codec.quantize import dequantize
from vista.data import Annotation, Prediction
from vista.decoding.grammar import Regions
from vista.task import Task

_BRACKET = re.compile(r"\[([0-9 ,]*)(\]|$)")  # the last one may be open
_NUMBER = re.compile("[0-9]+")
_DIGITS = 9  # of a number that is one


class Shape(TypedDict):
    """A bracket of a text.

    `kind` is point, box or mask; open, while the bracket is; empty, of no point.
    """

    kind: str
    image: int  # of the pictures
    start: int  # of the bracket in the text
    end: int
    numbers: list[list[int]]  # start and end of each number in the text
    points: list[list[float]]  # x and y of each, 0..1


def shapes_of(text: str, images: Sequence[int], codec: Codec) -> list[Shape]:
    """The shapes of a text; what is no shape is left to the text.

    Args:
        text: an answer, or its beginning.
        images: the picture of each bracket, the first one for any further.
        codec: has written the numbers.
    """
    shapes: list[Shape] = []
    for index, match in enumerate(_BRACKET.finditer(text)):
        spans = [number.span() for number in _NUMBER.finditer(text, *match.span(1))]
        values = [int(text[start:end][:_DIGITS]) for start, end in spans]
        kind = _kind_of(values) if match[2] else "open"
        if kind is None or max(values, default=0) >= codec.num_bins:
            continue
        pairs = np.array(values[: len(values) // 2 * 2], dtype=np.int64).reshape(-1, 2)
        shapes.append(
            {
                "kind": kind,
                "image": images[index] if index < len(images) else 0,
                "start": match.start(),
                "end": match.end(),
                "numbers": [list(span) for span in spans],
                "points": dequantize(pairs, (1, 1), codec.num_bins, codec.scale).tolist(),
            }
        )
    return shapes


def _kind_of(values: Sequence[int]) -> str | None:
    """What a bracket of such numbers is; None where it is nothing."""
    if not values:
        return "empty"
    kinds = {"point": is_point, "box": is_box, "mask": is_polygon}
    return next((kind for kind, fits in kinds.items() if fits(values)), None)


def images_of(task: Task, annotation: Annotation, prediction: Prediction) -> list[int]:
    """The picture in which each region of an answer lies, counted from 0; the first one where this is empty."""
    count = len(annotation.images)
    if count < 2:
        return []
    if prediction.numbers:
        return [number - 1 if number <= count else 0 for number in prediction.numbers]
    pieces = [piece for piece in task.grammar(annotation) if isinstance(piece, Regions)]
    one_for_each = any(piece.count == count for piece in pieces)
    return list(range(count)) if one_for_each else []
