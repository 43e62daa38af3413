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

# Named here too: who reads records, meets their errors.
from vista.errors import InputError as InputError
from vista.errors import MissingFileError as MissingFileError
from vista.errors import SampleError as SampleError
from vista.errors import located as located

Box: TypeAlias = tuple[float, float, float, float]  # xyxy, pixels of the original image
Size: TypeAlias = tuple[int, int]  # (H, W)
Mask: TypeAlias = np.ndarray  # bool (H, W)
Segmentation: TypeAlias = list[list[float]] | dict[str, Any]  # COCO's: flat polygons, or an RLE
Reference: TypeAlias = dict[str, Any]  # raw truth of a sample, as its evaluator's class says
Turns: TypeAlias = tuple[tuple[str, str], ...]  # prompt and target of each turn of a conversation

WRITTEN = "written_target"  # in `Annotation.extra`: what its task answers, where it was written once for all epochs
_TOKEN_NAMES = re.compile(r"<(?=(?:image|bsep|msep|\|[0-9]+\||/?s|unk|pad)>)")
_SEPARATOR_OR_NAME = re.compile(rf"((?<=\] )<[bm]sep>(?= \[))|{_TOKEN_NAMES.pattern}")


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
