"""What an adapter is: how one family of outside models is asked, and how it writes places.

    class Mine(Family):
        name, model_types = "Mine", ("mine",)
        asked = frozenset({"words", "box"})
        forms = {"box": "Answer as (x1,y1),(x2,y2)."}

Families are told apart by the `model_type` of a model's config.json, never by the look of the numbers: `[120, 80, 400,
300]` is a box in four conventions. Coordinates are edges in pixels of the original image, sizes are (H, W).
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

from PIL.Image import Image

from vista.data import Box, InputError, Size

T = TypeVar("T")
# A place in a text before the family's form of it: characters that no data set holds, so words cannot be taken for it.
PLACE = re.compile("\ue000([0-9]+)\ue001")
Point: TypeAlias = tuple[float, float]  # x, y
Polygon: TypeAlias = list[Point]
# What is answered: a text, one box, any number, points, one mask, any number, a caption with boxes, a mask for each
# image, two images with a mask in each.
Kind = Literal["words", "box", "boxes", "points", "mask", "masks", "spots", "groups", "pair"]
# What a question may hold beside words and one image.
Part = Literal["several images", "several turns", "a point", "a box"]
IN_WORDS = {
    "words": "a question in words",
    "box": "a box",
    "boxes": "several boxes",
    "points": "points",
    "mask": "a mask",
    "masks": "several masks",
    "spots": "a caption with boxes",
    "groups": "a mask in each of several images",
    "pair": "two of several images with their masks",
}


class CannotAsk(Exception):
    """A family has no form for a question; one sentence."""


@dataclass(frozen=True)
class Question:
    """A question of one of our tasks, before a family puts it into its own form.

    Attributes:
        kind: of the answer.
        text: the task's own words, each image marked by `<image>`.
        expression: what is looked for, where the task names it so.
        task: name of the task.
        sizes: (H, W) of each image as annotated.
        before: earlier turns, each with its answer.
    """

    kind: Kind
    text: str
    expression: str
    task: str
    sizes: tuple[Size, ...]
    before: tuple[tuple[str, str], ...] = ()


class Family(ABC):
    """An adapter; a subclass with `model_types` makes itself known.

    Attributes:
        name: in messages.
        model_types: of config.json.
        asked: kinds of answers that it can be asked for.
        takes: what its questions may hold.
        forms: of a kind of answer, what is said behind the task's own words.
        reasons: of a kind or part that it lacks, why.
        chat: whether its processor has a chat template; else the text is all.
        alone: whether each question is a batch of its own: pads change its answers.
    """

    name: ClassVar[str]
    model_types: ClassVar[tuple[str, ...]]
    asked: ClassVar[frozenset[Kind]]
    takes: ClassVar[frozenset[Part]] = frozenset()
    forms: ClassVar[Mapping[str, str]] = {}
    reasons: ClassVar[Mapping[str, str]] = {}
    chat: ClassVar[bool] = True
    alone: ClassVar[bool] = False
    known: ClassVar[dict[str, type["Family"]]] = {}

    def __init_subclass__(cls) -> None:
        """Make the subclass known under its model types."""
        super().__init_subclass__()
        for model_type in cls.__dict__.get("model_types", ()):
            Family.known[model_type] = cls

    def __init__(self, processor: Any = None) -> None:
        """Keep the processor.

        Args:
            processor: of transformers, whose settings decide how images are resized; None where it is not known, as
                behind a URL.
        """
        self.processor = processor

    def ask(self, question: Question) -> str:
        """The last turn in this family's form, each image marked by `<image>`."""
        return f"{question.text} {self.forms.get(question.kind, '')}".strip()

    # The grid of coordinates; most families count a thousand parts of each side.

    def to_grid(self, point: Point, size: Size) -> Point:
        """Pixels -> numbers as the family writes them."""
        height, width = size
        x, y = point
        return clamped(round(1000 * x / width), 1000), clamped(round(1000 * y / height), 1000)

    def from_grid(self, point: Point, size: Size) -> Point:
        """The inverse: numbers of the family -> pixels."""
        height, width = size
        return point[0] / 1000 * width, point[1] / 1000 * height

    def limits(self, size: Size) -> Point:
        """The greatest x and y that the family writes."""
        return 1000, 1000

    # Writing

    def write_point(self, point: Point, size: Size) -> str:
        """A point in a question."""
        raise CannotAsk(self.lacking("a point"))

    def write_box(self, box: Sequence[float], size: Size) -> str:
        """A box in a question."""
        raise CannotAsk(self.lacking("a box"))

    @abstractmethod
    def write_boxes(self, boxes: Sequence[Box], size: Size, name: str = "object") -> str:
        """Boxes of things of one name as the family answers."""

    def write_polygons(self, polygons: Sequence[Polygon], size: Size, name: str = "object") -> str:
        """Outlines, each of an object of one part, as the family answers."""
        raise CannotAsk(self.lacking("mask"))

    def box_numbers(self, box: Sequence[float], size: Size) -> list[float]:
        """x1, y1, x2, y2 on the family's grid."""
        x0, y0, x1, y1 = box
        return [*self.to_grid((x0, y0), size), *self.to_grid((x1, y1), size)]

    # Reading; texts may hold anything, and nothing is raised.

    @abstractmethod
    def read_boxes(self, text: str, size: Size) -> list[Box] | None:
        """Boxes in pixels; empty where the text names no place, None where it is malformed."""

    def read_points(self, text: str, size: Size) -> list[Point] | None:
        """Points in pixels, as `read_boxes`."""
        return None

    def with_mask_decoder(self, file: Path) -> "Family":
        """The same family with the decoder of its masks in a file.

        Raises:
            InputError: it has none, or the file is not what it should be.
        """
        raise InputError(f"{self.name} has no mask decoder; --mask_decoder is for PaliGemma")

    def read_polygons(self, text: str, size: Size) -> list[Polygon] | None:
        """Outlines in pixels, as `read_boxes`."""
        return None

    def read_groups(self, text: str, sizes: Sequence[Size]) -> dict[int, list[Polygon]] | None:
        """Outlines by the index of their image, as `read_boxes`."""
        return None

    def read_spots(self, text: str, size: Size) -> list[str | list[Box]] | None:
        """A caption in pieces: words, and the boxes behind them, as `read_boxes`."""
        return None

    def box_of(self, numbers: Sequence[float], size: Size) -> Box | None:
        """A box in pixels of four numbers of the family; None where they are none."""
        points = self.points_of(numbers, size) if len(numbers) == 4 else None
        if points is None or points[1][0] < points[0][0] or points[1][1] < points[0][1]:
            return None
        return (*points[0], *points[1])

    def points_of(self, numbers: Sequence[float], size: Size) -> list[Point] | None:
        """Points in pixels of pairs of numbers; None where one is no number of the family, or lacks its second."""
        across, down = self.limits(size)
        pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
        if len(numbers) % 2 or not all(0 <= x <= across and 0 <= y <= down for x, y in pairs):
            return None  # NaN compares as false, too
        return [self.from_grid(pair, size) for pair in pairs]

    # Images and tensors

    def prepare(self, image: Image) -> Image:
        """What is done to an image (PIL, RGB) before the processor sees it."""
        return image

    def lacking(self, what: str) -> str:
        """Why something cannot be asked, in a sentence."""
        verb = "for " if what in IN_WORDS else "with "
        reason = self.reasons.get(what, "it has no form for it")
        return f"{self.name} cannot be asked {verb}{IN_WORDS.get(what, what)}: {reason}"


def clamped(value: float, most: float) -> float:
    """A number within 0..most."""
    return min(max(value, 0), most)


def is_finite(value: object) -> bool:
    """Whether a value out of JSON is a number that a coordinate may be; to Python, True is one."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) < 1e9 and math.isfinite(value)  # type: ignore[arg-type]


def whole(values: Iterable[T | None]) -> list[T] | None:
    """The values as a list; None where one of them is None."""
    kept: list[T] = []
    for value in values:
        if value is None:
            return None
        kept.append(value)
    return kept


def family_of(model_type: str) -> type[Family]:
    """The adapter of a model type.

    Raises:
        InputError: there is none; says how to bring one.
    """
    package = import_module("vista.others.families")
    for file in iter_modules(package.__path__):
        import_module(f"{package.__name__}.{file.name}")
    if model_type not in Family.known:
        known = ", ".join(sorted(Family.known))
        raise InputError(
            f"there is no adapter for the model type {model_type!r}, and conventions of coordinates are not guessed; "
            f"write a subclass of vista.others.family.Family with model_types = ({model_type!r},) into a file and "
            f"name it by --plugin FILE (docs/others.md). There are {known}"
        )
    return Family.known[model_type]
