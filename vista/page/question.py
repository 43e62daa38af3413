"""What a browser sends, checked, and as the prompt of a task.

    {"pictures": ["x7..."], "task": "res", "words": "the circle left of #1", "turns": [],
     "regions": [{"kind": "box", "image": 0, "points": [[0.1, 0.2], [0.4, 0.5]]}]}

`#1` is the first region. Earlier turns come first and without their `<image>` marks: the pictures stand in the
turn that is asked, so that its words guide the image tokenizer. (With the marks in the first turn, the tiny model finds
1 of 5 boxes that a second turn asks for, else 19 of 20.)
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import isfinite
from typing import Any, TypeAlias

from vista.codec.codec import Codec
from vista.data import Annotation, InputError, Size, Turns, neutralise, neutralise_answer
from vista.geometry import decode_segmentation
from vista.page.limits import Limits
from vista.task import Task

Told: TypeAlias = dict[str, Any]  # JSON, between the browser and the server
FREE = "llava"  # the task of free words
WORKED = (
    1000  # pixels of the longer side on which regions are worked out: as many as there are bins
)
_NAMED = re.compile("#([1-9])")
_PICTURE = re.compile(r"(Image [0-9]+: )?<image>\s*")
_LEAST = {"point": 1, "box": 2, "mask": 3}  # points


@dataclass(frozen=True)
class Region:
    """Drawn by hand: a point, two corners of a box, or the outline of a mask, in shares of the picture's sides."""

    kind: str
    image: int
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class Question:
    """What is asked: keys of pictures, the name of a task, words, regions, and prompts and answers before."""

    pictures: list[str]
    task: str
    words: str
    regions: list[Region]
    turns: Turns


def read_question(data: Told, limits: Limits) -> Question:
    """What a browser has sent.

    Raises:
        InputError: it is not what the page sends, or more than is allowed.
    """
    try:
        regions = [_read_region(region) for region in data["regions"]]
        turns = tuple((str(turn["prompt"]), str(turn["answer"])) for turn in data["turns"])
        pictures = [str(key) for key in data["pictures"]]
        question = Question(pictures, str(data["task"]), str(data["words"]), regions, turns)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError("this is no question of the page; load it again") from error
    _check(question, limits)
    return question


def _read_region(data: Told) -> Region:
    points = [(_share(x), _share(y)) for x, y in data["points"]]
    if len(points) < _LEAST[data["kind"]]:
        raise ValueError
    return Region(data["kind"], int(data["image"]), points)


def _share(value: float | str) -> float:
    share = float(value)
    if not isfinite(share):
        raise ValueError
    return min(max(share, 0.0), 1.0)


def _check(question: Question, limits: Limits) -> None:
    number = len(question.pictures)
    if not number:
        raise InputError("add a picture first, or choose an example")
    lengths = map(len, chain.from_iterable(question.turns))
    for what, count, most in (
        ("pictures", number, limits.images),
        ("characters in the words", len(question.words), limits.words),
        ("regions", len(question.regions), limits.regions),
        ("points in a region", max([len(r.points) for r in question.regions], default=0), limits.points),
        ("turns before this one", len(question.turns), limits.turns),
        ("characters in a turn before this one", max(lengths, default=0), 20 * limits.words),
    ):  # fmt: skip
        if count > most:
            raise InputError(f"there are {count} {what}, more than {most}")
    if any(not 0 <= region.image < number for region in question.regions):
        raise InputError("a region lies on a picture that is not there; remove it")


def worked_size(size: Size) -> Size:
    """(H, W) of a picture, shrunk until regions are cheap; bins are shares of the sides, so that none moves."""
    scale = min(1.0, WORKED / max(size))
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


def region_text(region: Region, size: Size, codec: Codec) -> str:
    """A region as a prompt writes it; an outline without a pixel is written as a point."""
    height, width = size
    points = [(x * width, y * height) for x, y in region.points]
    if region.kind == "box":
        columns, rows = zip(*points, strict=True)
        return codec.box_to_text((min(columns), min(rows), max(columns), max(rows)), size)
    if region.kind == "mask":
        outline = list(chain.from_iterable(points))
        text = codec.mask_to_text(decode_segmentation([outline], size))
        if text:
            return text
    return codec.point_to_text(points[0], size)


def annotation_of(question: Question, task: Task, sizes: Sequence[Size]) -> Annotation:
    """The question as an annotation of the task, regions written into its words.

    Args:
        question: of a person.
        task: that is asked.
        sizes: (H, W) of each picture.

    Raises:
        InputError: words, a region or pictures are missing.
    """
    worked = tuple(map(worked_size, sizes))
    texts = [region_text(each, worked[each.image], task.codec) for each in question.regions]
    template = task.templates[0]
    takes_words = "<expr>" in template or "<question>" in template
    if takes_words and not question.words.strip():
        raise InputError(f"{task.name} needs words: write what is asked")
    if "<objs>" in template and not texts:
        raise InputError(f"{task.name} needs a region: draw a point, a box or a mask on a picture")
    words, rest = _insert(neutralise(question.words.strip()), texts)
    regions = " ".join(rest or texts)
    if rest and "<expr>" in template:
        words = f"{words} {regions}"
    elif rest and "<objs>" not in template:
        words = f"Look at {regions}. {words}"
    expression = regions if "<objs>" in template else words
    return Annotation("0", tuple(question.pictures), worked, expression=expression, question=words)


def _insert(words: str, texts: Sequence[str]) -> tuple[str, list[str]]:
    """The words with `#1`, `#2`, ... as the regions of these numbers, and the regions that they do not name."""
    named = {int(number) for number in _NAMED.findall(words)}

    def text_of(match: re.Match[str]) -> str:
        number = int(match[1])
        return texts[number - 1] if number <= len(texts) else match[0]

    rest = [text for number, text in enumerate(texts, 1) if number not in named]
    return _NAMED.sub(text_of, words), rest


def turns_of(question: Question, task: Task, annotation: Annotation) -> Turns:
    """The turns before and the prompt of this one, with its `<image>` marks.

    Raises:
        InputError: the task asks about another number of pictures.
    """
    number = len(annotation.images)
    if task.multi_image and number < 2:
        raise InputError(f"{task.name} compares pictures: add another one")
    prompt = task.fill(task.templates[0], annotation)
    marks = prompt.count("<image>")
    if marks != number:
        raise InputError(f"{task.name} asks about {marks} pictures, and here are {number}")
    before = [(neutralise(asked), neutralise_answer(told)) for asked, told in question.turns]
    return (*before, (prompt, ""))


def without_pictures(prompt: str) -> str:
    """A prompt as a person reads it, and as a turn that went before."""
    return " ".join(_PICTURE.sub("", prompt).split())
