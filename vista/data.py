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

Box: TypeAlias = tuple[float, float, float, float]  # xyxy, pixels of the original image
Size: TypeAlias = tuple[int, int]  # (H, W)
Mask: TypeAlias = np.ndarray  # bool (H, W)

_TOKEN_NAMES = re.compile(r"<(?=(?:image|bsep|msep|\|[0-9]+\||/?s|unk|pad)>)")


class InputError(ValueError):
    """A sentence for people: what is wrong with a file, a setting or a sample, and what to do.

    The command line prints its text alone; any other exception is a fault of code and keeps its traceback.
    """


class MissingFileError(InputError, FileNotFoundError):
    """A sentence for people about a file or folder that is not there."""


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
    """

    id: str
    images: tuple[str, ...]
    sizes: tuple[Size, ...] = ()
    expression: str = ""
    question: str = ""
    answers: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    segmentations: tuple[Any, ...] = ()
    label: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


_VALUES = attrgetter(*(each.name for each in fields(Annotation)))


@dataclass(slots=True)
class Example:
    """What the model is trained on or asked: images and one or several turns of text.

    Attributes:
        images: paths below the data root.
        turns: (prompt, target) pairs; the `<image>` marks stand in the prompts, one per image, in order.
    """

    images: tuple[str, ...]
    turns: tuple[tuple[str, str], ...]


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
        InputError: it would come back as another one.
    """
    with suppress(TypeError):  # of what JSON does not know
        text = json.dumps(_VALUES(annotation))
        if annotation_from_json(text) == annotation:
            return text
    raise ValueError(
        f"annotation {annotation.id} does not come back from JSON as it is (lists do, tuples do not)"
    )


def annotation_from_json(text: str) -> Annotation:
    """The inverse of `annotation_to_json`."""
    (
        key,
        images,
        sizes,
        expression,
        question,
        answers,
        captions,
        boxes,
        segmentations,
        label,
        extra,
    ) = json.loads(text)
    return Annotation(
        id=key,
        images=tuple(images),
        sizes=tuple(map(tuple, sizes)),
        expression=expression,
        question=question,
        answers=tuple(answers),
        captions=tuple(captions),
        boxes=tuple(map(tuple, boxes)),
        segmentations=tuple(segmentations),
        label=label,
        extra=extra,
    )


def decode_segmentation(segmentation: Any, size: Size) -> Mask:
    """A COCO segmentation as a mask.

    Args:
        segmentation: list of flat polygons [x1, y1, x2, y2, ...] in pixels, or an RLE dict (compressed or not).
        size: (H, W) of the image.

    Returns:
        bool (H, W).

    Raises:
        InputError: the RLE is of another size than the image.
    """
    height, width = size
    if isinstance(segmentation, dict):
        if tuple(segmentation["size"]) != (height, width):
            raise InputError(
                f"the mask has size {segmentation['size']}, its image {[height, width]}"
            )
        counts = segmentation["counts"]
        rle = (
            coco_mask.frPyObjects(segmentation, height, width)
            if isinstance(counts, list)
            else segmentation
        )
        return np.ascontiguousarray(
            coco_mask.decode(rle), dtype=bool
        )  # from column by column to row by row
    polygons = [p for p in segmentation if len(p) >= 6]
    if not polygons:
        return np.zeros((height, width), dtype=bool)
    rle = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    return np.ascontiguousarray(coco_mask.decode(rle), dtype=bool)


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
    """A text from outside with every string that names a token broken by a blank: `<image>` -> `< image>`."""
    return _TOKEN_NAMES.sub("< ", text)
