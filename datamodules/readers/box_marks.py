"""How expressions and boxes are marked in texts: by tags, by brackets, or by marks that a list beside the text fills.

marks("<ref>a cup</ref><box>(10,20),(30,40)</box>", "qwen", None)
# [Mark(0, "a cup"), Mark(16, "", [(0, [10.0, 20.0, 30.0, 40.0])])]
"""

import re
from dataclasses import dataclass, field

from datamodules.readers.records import Record
from vista.unsound import shown

BBOX_TYPES = {"real": "pixels", "norm1": "norm1", "norm1000": "norm1000"}
NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
FOUR = ",".join([NUMBER] * 4)
REF = r"<ref>(?P<ref>[^<]*)</ref>|<\|object_ref_start\|>(?P<ref2>[^<]*)<\|object_ref_end\|>"
MARKS = {
    "ms-swift": re.compile(r"(?P<ref><ref-object>)|(?P<box><bbox>)"),
    "llava": re.compile(rf"(?P<box>\[{FOUR}\])"),
    "qwen": re.compile(
        rf"{REF}|(?P<box>(?:<box>|<\|box_start\|>)\({NUMBER},{NUMBER}\),\({NUMBER},{NUMBER}\)(?:</box>|<\|box_end\|>))"
    ),
    "internvl": re.compile(rf"{REF}|(?P<box><box>\[\[[^<]*\]\]</box>)"),
}
NUMBERS = re.compile(r"-?\d+(?:\.\d+)?")
PAIR = re.compile(r"\{[^{}]*\}")  # of JSON, in an answer: a box and its label


class UnusableError(ValueError):
    """Why a record cannot be used, for a note."""


@dataclass
class Mark:
    """An expression, or boxes.

    Attributes:
        place: in the text.
        expression: empty: these are boxes.
        boxes: the number of its image and four numbers, each.
    """

    place: int
    expression: str
    boxes: list[tuple[int, list[float]]] = field(default_factory=list)


class Objects:
    """The `objects` of a record of ms-swift, in the order in which its marks take them.

    Raises:
        UnusableError: they are not what they should be.
    """

    def __init__(self, record: Record) -> None:
        objects = record.get("objects")
        if not isinstance(objects, dict) or not isinstance(objects.get("bbox"), list):
            raise UnusableError("it has no objects with a list bbox")
        kind = objects.get("bbox_type") or "real"
        refs = objects.get("ref") or []
        if not isinstance(refs, list):
            raise UnusableError(f"its ref is {shown(refs)}, no list")
        if not isinstance(kind, str) or kind not in BBOX_TYPES:
            raise UnusableError(
                f"its bbox_type is {shown(kind)}, which is none of {', '.join(BBOX_TYPES)}"
            )
        self.stated = BBOX_TYPES[kind]
        self.refs = iter(refs)
        ids = objects.get("image_id") or []
        ids = ids if isinstance(ids, list) else [ids]
        self.boxes = iter(
            [(ids[k] if k < len(ids) else 0, box) for k, box in enumerate(objects["bbox"])]
        )

    def ref(self) -> str:
        """The next expression."""
        found = next(self.refs, None)
        if not isinstance(found, str) or not found.strip():
            raise UnusableError(
                f"a <ref-object> of it stands for {shown(found)}, which is no expression"
            )
        return found.strip()

    def box(self) -> tuple[int, list[float]]:
        """The next box, and which image it is in."""
        image, found = next(self.boxes, (0, None))
        if not isinstance(image, int):
            raise UnusableError(f"its image_id holds {shown(image)}")
        return image, four(found)


def marks(text: str, form: str, objects: Objects | None) -> list[Mark]:
    """The marked expressions and boxes of a text, in its order.

    Raises:
        UnusableError: a mark stands for nothing.
    """
    found = []
    for match in MARKS[form].finditer(text):
        groups = match.groupdict()
        if not groups["box"]:
            name = objects.ref() if objects else groups["ref"] or groups["ref2"] or ""
            found.append(Mark(match.start(), name.strip()))
        elif objects:
            found.append(Mark(match.start(), "", [objects.box()]))
        else:
            found.append(Mark(match.start(), "", boxes_in(groups["box"])))
    return labels_first(text, found) if objects else found


def boxes_in(text: str) -> list[tuple[int, list[float]]]:
    """The boxes of a mark, all of them in the first image."""
    numbers = [float(each) for each in NUMBERS.findall(text)]
    if len(numbers) % 4:
        raise UnusableError(f"it has {shown(text)}, which is no box")
    return [(0, numbers[k : k + 4]) for k in range(0, len(numbers), 4)]


def labels_first(text: str, found: list[Mark]) -> list[Mark]:
    """The same, but in `{"bbox_2d": <bbox>, "label": "<ref-object>"}` the label, which follows, first."""
    for pair in PAIR.finditer(text):
        within = [k for k, mark in enumerate(found) if pair.start() <= mark.place < pair.end()]
        if [bool(found[k].expression) for k in within] == [False, True]:
            first, second = within
            found[first], found[second] = found[second], found[first]
    return found


def four(box: object) -> list[float]:
    """A box of four numbers.

    Raises:
        UnusableError: it is none, a point for instance.
    """
    numbers = box if isinstance(box, list) else []
    if len(numbers) != 4 or not all(type(each) in (int, float) for each in numbers):
        raise UnusableError(f"it has {shown(box)}, which is no box of four numbers")
    return [float(each) for each in numbers]
