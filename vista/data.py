"""The records that travel through the project: annotation -> example, text -> prediction -> score.

A reader turns one record of an official file into an `Annotation`. Geometry stays numeric, in pixels of the original
image (edge convention: pixel (column c, row r) covers [c, c+1] x [r, r+1]), until a task writes its target.

    Annotation(id="1234", images=("coco/train2017/000000000009.jpg",), sizes=((480, 640),),
               expression="the man on the left", boxes=((12.0, 30.5, 200.0, 400.0),), segmentations=([[...]],))
"""

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np
from pycocotools import mask as coco_mask

from vista.geometry import enclosing, malformed, run_lengths
from vista.printable import printable

Box: TypeAlias = tuple[float, float, float, float]  # xyxy, pixels of the original image
Size: TypeAlias = tuple[int, int]  # (H, W)
Mask: TypeAlias = np.ndarray  # bool (H, W)
Segmentation: TypeAlias = list[list[float]] | dict[str, Any]  # COCO's: flat polygons, or an RLE
Reference: TypeAlias = dict[str, Any]  # raw truth of a sample, as its evaluator's class says
Turns: TypeAlias = tuple[tuple[str, str], ...]  # prompt and target of each turn of a conversation

_TOKEN_NAMES = re.compile(r"<(?=(?:image|bsep|msep|\|[0-9]+\||/?s|unk|pad)>)")
_SEPARATOR_OR_NAME = re.compile(rf"((?<=\] )<[bm]sep>(?= \[))|{_TOKEN_NAMES.pattern}")


class InputError(ValueError):
    """A sentence for people: what is wrong with a file, a setting or a sample, and what to do.

    The command line prints its text alone; any other exception is a fault of code and keeps its traceback.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class MissingFileError(InputError, FileNotFoundError):
    """A sentence for people about a file or folder that is not there."""


class SampleError(Exception):
    """A fault of code, of a task's or a reader's: first where, then what. Its cause has the traceback."""

    def __str__(self) -> str:
        return printable(super().__str__())


def located(error: Exception, where: str) -> Exception:
    """An error that says where before what: a sentence for people stays one, any other becomes a `SampleError`."""
    if isinstance(error, InputError):
        return type(error)(f"{where}: {error}")
    return SampleError(f"{where}: {type(error).__name__}: {error}")


@dataclass(slots=True)
class Annotation:
    """One record of an official file. Which fields are filled is the reader's promise (`Reader.fields`).

    Attributes:
        id: unique within one dataset and split.
        images: paths below the data root, in the order of the prompt's `<image>` marks.
        sizes: (H, W) of each image in pixels; empty where the official file does not say.
        expression: the referring expression or statement.
        question: the question.
        answers: all human answers, as written in the file.
        captions: all reference captions of the image.
        boxes: xyxy in pixels of the first image, one per region.
        segmentations: COCO segmentations (flat polygons, or an RLE dict), one per region or per image.
        label: the right answer where there is one (a class, a truth value, the index of an option).
        extra: whatever else the dataset's own scorer needs (`question_type`, `answer_type`, `identifier`, ...).
        photos: for each image the names of its photograph that hold in every data set, as the reader knows them:
            ("coco 25", "flickr 7"). Two images are the same where they share one; empty: they are told by their paths.
    """

    id: str
    images: tuple[str, ...]
    sizes: tuple[Size, ...] = ()
    expression: str = ""
    question: str = ""
    answers: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    segmentations: tuple[Segmentation, ...] = ()
    label: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    photos: tuple[tuple[str, ...], ...] = ()


_VALUES = attrgetter(*(each.name for each in fields(Annotation)))


@dataclass(slots=True)
class Example:
    """What the model is trained on or asked: images and one or several turns of text.

    Attributes:
        images: paths below the data root.
        turns: (prompt, target) pairs; the `<image>` marks stand in the prompts, one per image, in order.
    """

    images: tuple[str, ...]
    turns: Turns


@dataclass(slots=True)
class Prediction:
    """A parsed answer, in pixels of the original image.

    Attributes:
        text: the decoded text without special tokens, otherwise untouched.
        malformed: the text breaks the task's form; it earns no credit and counts as a parse failure.
        answer: the answer in words (a caption, a class, a number).
        boxes: xyxy in pixels.
        masks: bool (H, W) each, at the original size.
        choice: index of the chosen option, None where nothing was chosen.
        decision: yes or true, no or false; None where neither was said.
        numbers: numbers that the answer names, such as those of images, in the order of the text.
        phrases: the words before each of `boxes`, in a caption that holds boxes.
        scores: likelihoods that some metrics need, by name.
        confidence: mean log-probability, in nats, of the tokens that the answer's grammar left open; 0 is certain.
        spreads: standard deviation, in bins, of what the model thought of each coordinate, in the order of the text.
    """

    text: str = ""
    malformed: bool = False
    answer: str = ""
    boxes: list[Box] = field(default_factory=list)
    masks: list[Mask] = field(default_factory=list)
    choice: int | None = None
    decision: bool | None = None
    numbers: list[int] = field(default_factory=list)
    phrases: list[str] = field(default_factory=list)
    scores: dict[str, float] = field(default_factory=dict)
    confidence: float | None = None
    spreads: list[float] = field(default_factory=list)


def annotation_to_json(annotation: Annotation) -> str:
    """An annotation as JSON, field by field.

    Raises:
        ValueError: it would come back as another one.
    """
    # Read back at once: a tuple in `extra` would come back as a list, and a run differ from its compiled source.
    with suppress(TypeError):  # of what JSON does not know
        text = json.dumps(_VALUES(annotation))
        if annotation_from_json(text) == annotation:
            return text
    raise ValueError(
        f"annotation {annotation.id} does not come back from JSON as it is (lists do, tuples do not)"
    )


def annotation_from_json(text: str) -> Annotation:
    """The inverse of `annotation_to_json`."""
    annotation = Annotation(*json.loads(text))
    # JSON knows lists alone.
    for name in ("images", "answers", "captions", "segmentations"):
        setattr(annotation, name, tuple(getattr(annotation, name)))
    annotation.sizes = tuple((height, width) for height, width in annotation.sizes)
    annotation.boxes = tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in annotation.boxes)
    annotation.photos = tuple(tuple(names) for names in annotation.photos)
    return annotation


def decode_segmentation(segmentation: Segmentation, size: Size) -> Mask:
    """A COCO segmentation as a mask.

    Args:
        segmentation: list of flat polygons [x1, y1, x2, y2, ...] in pixels, or an RLE dict (compressed or not).
        size: (H, W) of the image.

    Returns:
        bool (H, W).

    Raises:
        InputError: it is no segmentation of an image of that size.
    """
    problem = malformed(segmentation, size)
    if problem:
        raise InputError(problem)
    height, width = size
    if isinstance(segmentation, dict):
        runs = run_lengths(segmentation["counts"])
        columns = np.repeat(np.arange(len(runs)) % 2 == 1, runs)  # (W * H,), column by column
        return np.ascontiguousarray(columns.reshape(width, height).T)
    polygons = enclosing(segmentation)
    if not polygons:
        return np.zeros((height, width), dtype=bool)
    rle = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    # pycocotools fills masks column by column, the rest of the project row by row.
    return np.ascontiguousarray(coco_mask.decode(rle), dtype=bool)


def box_area(box: Box) -> float:
    """Area in square pixels; 0 for swapped corners."""
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def box_intersection(a: Box, b: Box) -> float:
    """Area that two boxes share, in square pixels; continuous coordinates (no +1)."""
    return box_area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union, 0..1; 0 where either area is 0."""
    shared = box_intersection(a, b)
    union = box_area(a) + box_area(b) - shared
    return shared / union if shared and union else 0.0


def size_of(annotation: Annotation) -> Size:
    """(H, W) of the first image in pixels.

    Raises:
        InputError: the annotation does not say.
    """
    if not annotation.sizes:
        raise InputError(
            f"annotation {annotation.id} has no image size, so its regions cannot be written in bins"
        )
    return annotation.sizes[0]


def neutralise(text: str) -> str:
    """A text from outside with every string that names a token broken by a space: `<image>` -> `< image>`."""
    return _TOKEN_NAMES.sub("< ", text)


def neutralise_answer(text: str) -> str:
    """As `neutralise`, but for the separators that the codec writes between two brackets: `[..] <msep> [..]`."""
    return _SEPARATOR_OR_NAME.sub(lambda match: match[1] or "< ", text)
