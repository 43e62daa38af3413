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

A list inside a text points into `objects` (from 0).
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from datamodules.readers.files import inside, json_lines
from datamodules.readers.reader import Reader, clip_box
from vista.data import Annotation, Box, Size

# The texts are tokens of spaCy: these stand without a space before them (the last also for "do n't").
CLOSES = re.compile(r" (?=[.,?!;:%)\]]|'\w|'(?= |$)|n't\b)")
TEXTS = ("question", "answer_choices", "rationale_choices")
LABELS = ("answer_label", "rationale_label")


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
        if split == "test":
            self.fields = self.fields - {"label"}
        self.still: tuple[str, Size, list[Box | None]] = ("", (0, 0), [])

    def _annotations(self) -> Iterator[Annotation]:
        file = self.file(f"vcr/vcr1annots/{self.split}.jsonl", f"vcr/{self.split}.jsonl")
        for record in json_lines(file):
            size, boxes = self._boxes(record["metadata_fn"])
            objects = record["objects"]
            if len(boxes) != len(objects) or None in boxes:
                why = "its objects do not each have a box inside the image"
                self.leave_out(record["annot_id"], why)
                continue
            named = {key: texts(record[key], objects.__getitem__) for key in TEXTS}
            labels = {key: record[key] for key in LABELS if key in record}
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
            )

    def _boxes(self, name: str) -> tuple[Size, list[Box | None]]:
        """(H, W) of a still and its boxes, xyxy in pixels; questions about one still follow each other."""
        if self.still[0] != name:
            data = self.json(inside(f"vcr/vcr1images/{name}"))
            size = (data["height"], data["width"])
            self.still = (name, size, [clip_box(box[:4], size) for box in data["boxes"]])
        return self.still[1:]


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
    return CLOSES.sub("", " ".join(words)).replace("( ", "(")
