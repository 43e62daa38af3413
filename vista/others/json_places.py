"""Places in JSON, as families write them that answer in it, and a reader that survives whatever a model writes.

[{"bbox_2d": [104, 250, 396, 541], "label": "cat"}]             boxes
[{"polygon_2d": [[104, 250], [131, 263], [98, 301]]}]           outlines
[{"image": 2, "polygon_2d": [[104, 250], ...]}]                 one in the second image
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, TypeAlias

from vista.data import Box, Size
from vista.others.family import Family, Kind, Part, Point, Polygon, Question, is_finite, whole

Entry: TypeAlias = tuple[Mapping[str, object], object]  # an object of JSON, and a value of it

LONGEST = 50_000  # characters; what is longer is no answer, and may cost time
_BRACKETS = frozenset("[]{}")
_DECODER = json.JSONDecoder()
_SPOT = re.compile(r"\[(-?[0-9.]{1,9}(?:, ?-?[0-9.]{1,9})*)\]")


class JsonFamily(Family):
    """A family that is asked for JSON; numbers are parts per 1000 unless a subclass has another grid."""

    scale: ClassVar[str] = (
        "Each coordinate is a whole number from 0 to 1000 of the image's width or height."
    )
    asked: ClassVar[frozenset[Kind]] = frozenset(
        {"words", "box", "boxes", "points", "mask", "masks", "spots", "groups", "pair"}
    )
    takes: ClassVar[frozenset[Part]] = frozenset(
        {"several images", "several turns", "a point", "a box"}
    )
    json_forms: ClassVar[Mapping[str, str]] = {
        "box": 'Answer in JSON: [{"bbox_2d": [x1, y1, x2, y2], "label": "name"}].',
        "boxes": 'Answer in JSON: [{"bbox_2d": [x1, y1, x2, y2], "label": "name"}, ...], [] for none.',
        "points": 'Answer in JSON: [{"point_2d": [x, y], "label": "name"}, ...].',
        "mask": 'Answer in JSON with its outline: [{"polygon_2d": [[x1, y1], [x2, y2], ...], "label": "name"}].',
        "masks": "Answer in JSON with the outline of each object: "
        '[{"polygon_2d": [[x1, y1], [x2, y2], ...], "label": "name"}, ...], [] for none.',
        "spots": "Write one sentence, and behind each object its box as [x1, y1, x2, y2].",
        "groups": "Answer in JSON with the outline of the object in every image that shows it: "
        '[{"image": 1, "polygon_2d": [[x1, y1], [x2, y2], ...]}, ...].',
        "pair": "Answer in JSON with the numbers of the two images and the outline in each: "
        '[{"image": 1, "polygon_2d": [[x1, y1], [x2, y2], ...]}, ...].',
    }

    def ask(self, question: Question) -> str:
        """The task's own words, then the form of the answer."""
        form = self.json_forms.get(question.kind)
        return f"{question.text} {form} {self.scale}" if form else question.text

    def write_point(self, point: Point, size: Size) -> str:
        """`[x, y]`."""
        return json.dumps(list(self.to_grid(point, size)))

    def write_box(self, box: Sequence[float], size: Size) -> str:
        """`[x1, y1, x2, y2]`."""
        return json.dumps(self.box_numbers(box, size))

    def write_boxes(self, boxes: Sequence[Box], size: Size, name: str = "object") -> str:
        """A list of objects with `bbox_2d`."""
        return json.dumps(
            [{"bbox_2d": self.box_numbers(box, size), "label": name} for box in boxes]
        )

    def write_points(self, points: Sequence[Point], size: Size, name: str = "object") -> str:
        """A list of objects with `point_2d`."""
        return json.dumps(
            [{"point_2d": list(self.to_grid(point, size)), "label": name} for point in points]
        )

    def write_polygons(self, polygons: Sequence[Polygon], size: Size, name: str = "object") -> str:
        """A list of objects with `polygon_2d`."""
        written = []
        for polygon in polygons:
            points = [list(self.to_grid(point, size)) for point in polygon]
            written.append({"polygon_2d": points, "label": name})
        return json.dumps(written)

    def read_boxes(self, text: str, size: Size) -> list[Box] | None:
        """All `bbox_2d`, and bare lists of four numbers."""
        found = entries(text, "bbox_2d")
        if found is None:
            return None
        boxes = [self.box_of(flat(value) or (), size) for _, value in found]
        return whole(boxes)

    def read_points(self, text: str, size: Size) -> list[Point] | None:
        """All `point_2d`, and bare pairs of numbers."""
        found = entries(text, "point_2d")
        if found is None:
            return None
        points = [self._point(flat(value) or (), size) for _, value in found]
        return whole(points)

    def _point(self, numbers: Sequence[float], size: Size) -> Point | None:
        points = self.points_of(numbers, size)
        return points[0] if points and len(points) == 1 else None

    def read_polygons(self, text: str, size: Size) -> list[Polygon] | None:
        """All `polygon_2d`, pairs of numbers or a flat list of them."""
        found = entries(text, "polygon_2d")
        if found is None:
            return None
        polygons = [self._polygon(value, size) for _, value in found]
        return whole(polygons)

    def _polygon(self, value: object, size: Size) -> Polygon | None:
        points = self.points_of(flat(value) or (), size)
        return points if points and len(points) >= 3 else None

    def read_groups(self, text: str, sizes: Sequence[Size]) -> dict[int, list[Polygon]] | None:
        """All `polygon_2d` by their `image`, counted from 1."""
        groups: dict[int, list[Polygon]] = {}
        for entry, value in entries(text, "polygon_2d") or ():
            number = entry.get("image")
            if type(number) is not int or not 1 <= number <= len(sizes):
                return None
            polygon = self._polygon(value, sizes[number - 1])
            if polygon is None:
                return None
            groups.setdefault(number - 1, []).append(polygon)
        return groups or None

    def read_spots(self, text: str, size: Size) -> list[str | list[Box]] | None:
        """Words and boxes in brackets, in turns."""
        pieces = _SPOT.split(text)
        read: list[str | list[Box]] = []
        for index, piece in enumerate(pieces):
            if index % 2 == 0:
                if not _BRACKETS.isdisjoint(piece):
                    return None
                read.append(piece)
                continue
            box = self.box_of(numbers_of(piece) or (), size)
            if box is None:
                return None
            read.append([box])
        return read


def numbers_of(text: str) -> list[float] | None:
    """`1, 2.5, 3` -> numbers; None where a piece is no finite number."""
    try:
        numbers = [float(piece) for piece in text.split(",")]
    except ValueError:
        return None
    return numbers if all(map(is_finite, numbers)) else None


def entries(text: str, key: str) -> list[Entry] | None:
    """Every object of JSON in a text that has a key, with the key's value; a bare list counts as a value of none.

    Returns:
        None where brackets of the text are not JSON, or hold anything else; empty where it has none.
    """
    found: list[Entry] = []
    for value in json_values(text):
        if value is None or not _collect(value, key, found):
            return None
    return found


def json_values(text: str) -> Iterator[object]:
    """The JSON lists and objects of a text, one after the other; None for a bracket that begins or ends none."""
    if len(text) > LONGEST:
        yield None
        return
    place = 0
    while place < len(text):
        if text[place] not in _BRACKETS:
            place += 1
            continue
        try:
            value, place = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            yield None
            return
        yield value


def _collect(value: object, key: str, found: list[Entry]) -> bool:
    """Add what a value holds; whether it holds nothing else."""
    if isinstance(value, dict):
        if key in value:
            found.append((value, value[key]))
        return key in value
    if not isinstance(value, list):
        return False
    if value and all(map(is_finite, value)):
        found.append(({}, value))
        return True
    return all(_collect(each, key, found) for each in value)


def flat(value: object) -> list[float] | None:
    """Numbers of a list, or of a list of pairs, in a row; None where it is neither."""
    if not isinstance(value, list):
        return None
    numbers: list[float] = []
    for each in value:
        if isinstance(each, list):
            if len(each) != 2 or not all(map(is_finite, each)):
                return None
            numbers += each
        elif is_finite(each):
            numbers.append(each)
        else:
            return None
    return numbers
