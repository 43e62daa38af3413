"""VCR: a question about people in a film still, four answers, and four reasons for the right one.

https://visualcommonsense.com
Zellers et al., From Recognition to Cognition: Visual Commonsense Reasoning, CVPR 2019.

    vcr/vcr1annots/train.jsonl, val.jsonl, test.jsonl       (also directly below vcr/)
    vcr/vcr1images/<movie>/<clip>@0.jpg, <clip>@0.json      the still, and the boxes of its objects

    {"annot_id": "val-1", "img_fn": "<movie>/<clip>@0.jpg", "metadata_fn": "<movie>/<clip>@0.json",
     "objects": ["person", "person", "car"], "question": ["Does", [0], "live", "in", "this", "house", "?"],
     "answer_choices": [["No", ",", [0], "lives", "nowhere", "close", "."], ...], "answer_label": 2,
     "rationale_choices": [[[0], "is", "nicely", "dressed", ...], ...], "rationale_label": 3}
    {"boxes": [[955.7, 52.3, 1551.6, 789.0, 0.999], ...], "names": [...], "width": 1920, "height": 797}    xyxy, score

A list inside a text points into `objects` (from 0). Tokens are those of spaCy, ["do", "n't"], or split at apostrophes:
["don", "'", "t"], [[0], "'", "s", "mouth"].
"""

import re
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from datamodules.readers.files import inside
from datamodules.readers.official import load
from datamodules.readers.reader import Reader
from datamodules.readers.records import Record, fits, misfit
from vista.data import Annotation, Box, InputError, MissingFileError, Size
from vista.geometry import clip_box
from vista.unsound import size_problem

# An apostrophe of its own joins on both sides: before the end of a short form, and after the start of one.
JOINS = re.compile(
    r"(?<=[\w>]) (['\u2019]) (?=(?:s|t|re|ve|ll|d|m|n|em|am)\b)|(?<=\b[odlyc]) (['\u2019]) (?=\w)",
    re.IGNORECASE,
)
# These stand without a space before them (the last also for "do n't").
CLOSES = re.compile(r" (?=[.,?!;:%)\]]|['\u2019]\w|['\u2019](?= |$)|n['\u2019]t\b)")
TEXTS = ("question", "answer_choices", "rationale_choices")
LABELS = ("answer_label", "rationale_label")
QUESTION = {
    "annot_id": str, "img_fn": str, "metadata_fn": str, "objects": [str], "question": [object],
    "answer_choices": [[object]], "rationale_choices": [[object]], "answer_label": int | None,
    "rationale_label": int | None,
}  # fmt: skip
STILL = {"boxes": [[object]], "width": object, "height": object}


class VCRReader(Reader):
    """One annotation per question. Persons and things are written as their class names; `boxes` has one per object.

    `label`: index of the right answer. `extra`: `annot_id`, `objects` (class names, in the order of `boxes`),
    `answer_choices` and `rationale_choices` (four texts each), `answer_label`, `rationale_label` (int), `marked`:
    the three texts once more, with `<k>` where object k is mentioned. The test split has no labels.
    """

    name = "vcr"
    fields = frozenset({"question", "boxes", "sizes", "label"})
    splits = ("train", "val", "test")
    source = "https://visualcommonsense.com/download"

    def __init__(self, root: Path | str, split: str) -> None:
        super().__init__(root, split)
        self.answered = split != "test"
        if not self.answered:
            self.fields = self.fields - {"label"}
        self.still: tuple[str, Size, list[Box | None], str] = ("", (0, 0), [], "")

    def _annotations(self) -> Iterator[Annotation]:
        places = (f"vcr/vcr1annots/{self.split}.jsonl", f"vcr/{self.split}.jsonl")
        for record in self.lines(QUESTION, *places):
            size, boxes, why = self._boxes(record["metadata_fn"])
            objects = record["objects"]
            if not why and (len(boxes) != len(objects) or None in boxes):
                why = "its objects do not each have a box inside the image"
            why = why or self._problem(record)
            if why:
                self.leave_out(record["annot_id"], why)
                continue
            labels = {key: record[key] for key in LABELS if key in record and self.answered}
            if self.answered and not labelled(record):
                self.leave_out(record["annot_id"], "it has no label of one of four options")
                continue
            named = {key: texts(record[key], objects.__getitem__) for key in TEXTS}
            yield Annotation(
                id=record["annot_id"],
                images=(inside(f"vcr/vcr1images/{record['img_fn']}"),),
                sizes=(size,),
                question=named.pop("question"),
                boxes=tuple(box for box in boxes if box),
                label=str(labels.get("answer_label", "")),
                extra={
                    "annot_id": record["annot_id"],
                    "objects": objects,
                    "marked": {key: texts(record[key], "<{}>".format) for key in TEXTS},
                    **named,
                    **labels,
                },
                photos=((f"vcr {record['img_fn']}",),),
            )

    def _problem(self, record: Record) -> str:
        """Why a question cannot be used: a text points at what is not there."""
        count = len(record["objects"])
        choices = [record[key] for key in TEXTS[1:]]
        if not all(len(each) == 4 for each in choices):
            return "it does not have four answers and four reasons"
        if not all(mentions_known(text, count) for text in (record["question"], *chain(*choices))):
            return "a text of it mentions an object that is not there"
        return ""

    def _boxes(self, name: str) -> tuple[Size, list[Box | None], str]:
        """(H, W) of a still, its boxes, xyxy in pixels, and why it cannot be used, or nothing.

        Questions about one still follow each other.
        """
        # The last still is kept, since its file is read for each of its questions otherwise.
        if self.still[0] != name:
            path = inside(f"vcr/vcr1images/{name}")
            try:
                why, data = "", load(self.file(path), self.source)
            except MissingFileError:
                raise
            except InputError as error:  # one still's file is damaged
                why, data = str(error), None
            misfits = "" if why else misfit(data, STILL)
            why = why or (misfits and f"{path} {misfits}")
            size = (0, 0) if why else (data["height"], data["width"])
            why = why or size_problem(size)
            boxes = [] if why else [clip_box(box[:4], size) for box in data["boxes"]]
            self.still = (name, size, boxes, why)
        return self.still[1:]


def mentions_known(tokens: list, count: int) -> bool:
    """Whether a text is one: words, and lists of indices of objects of which there are so many."""
    for token in tokens:
        places = token if isinstance(token, list) else ()
        known = all(fits(place, int) and 0 <= place < count for place in places)
        if not known or not isinstance(token, str | list):
            return False
    return bool(tokens)


def labelled(record: Record) -> bool:
    """Whether both labels are there, and each is the index of an option."""
    return all(record.get(key) in range(4) for key in LABELS)


def is_text(token: object) -> bool:
    """Whether it is a text of its own, a list of tokens, and not a token: a word or a list of objects."""
    return isinstance(token, list) and not all(isinstance(part, int) for part in token)


def texts(tokens: list, mention: Callable[[int], str]) -> Any:
    """Tokens as a text, or several lists of tokens as several texts.

    Args:
        tokens: words, and lists of indices of objects.
        mention: how one object is written.
    """
    if all(map(is_text, tokens)):
        return [texts(each, mention) for each in tokens]
    words = []
    for token in tokens:
        words.append(token if isinstance(token, str) else " and ".join(map(mention, token)))
    joined = JOINS.sub(lambda apostrophe: apostrophe[1] or apostrophe[2], " ".join(words))
    return CLOSES.sub("", joined).replace("( ", "(")
