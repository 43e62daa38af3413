"""NLVR2: a statement about a pair of photographs, true or false.

https://github.com/lil-lab/nlvr (annotations CC BY 4.0; the images are given on request)
Suhr et al., A Corpus for Reasoning about Natural Language Grounded in Photographs, ACL 2019.

    nlvr2/train.json, dev.json, test1.json, test2.json      one JSON record a line (also below nlvr2/data/)
    nlvr2/images/train/<directory>/train-10171-0-img0.png
    nlvr2/dev/dev-481-2-img0.png, -img1.png                 the left and the right photograph

    {"identifier": "dev-481-2-1", "sentence": "All of the beer is in bottles.", "label": "True", "directory": 43, ...}

The identifier is split-set-pair-sentence; `directory` stands in the training file only.
"""

from collections.abc import Iterator
from pathlib import Path

from datamodules.readers.files import inside
from datamodules.readers.reader import Reader
from datamodules.readers.records import Record
from vista.data import Annotation
from vista.unsound import shown

STATEMENT = {"identifier": str, "sentence": str, "label": object, "directory": int | str | None}


class NLVR2Reader(Reader):
    """One annotation per statement and pair: `expression`, and `label` "True" or "False".

    `extra`: `identifier`, whose set and sentence numbers group the pairs for the consistency score.
    """

    name = "nlvr2"
    fields = frozenset({"expression", "label"})
    splits = ("train", "dev", "test1", "test2")
    source = "https://github.com/lil-lab/nlvr/tree/master/nlvr2"

    def _annotations(self) -> Iterator[Annotation]:
        places = (f"nlvr2/{self.split}.json", f"nlvr2/data/{self.split}.json")
        for record in self.lines(STATEMENT, *places):
            identifier = record["identifier"]
            if not record["sentence"].strip():
                self.leave_out(identifier, "the statement is empty")
            elif record["label"] not in ("True", "False"):
                why = f"the label {shown(record['label'])} is neither True nor False"
                self.leave_out(identifier, why)
            else:
                images = self._images(record)
                yield Annotation(
                    id=identifier,
                    images=images,
                    expression=record["sentence"],
                    label=record["label"],
                    extra={"identifier": identifier},
                    photos=tuple((f"nlvr2 {Path(image).name}",) for image in images),
                )

    def _images(self, record: Record) -> tuple[str, str]:
        folder = f"nlvr2/{self.split}"
        # A record names its folder; where it does not, the images lie side by side.
        if self.split == "train":
            folder = f"nlvr2/images/train/{record.get('directory', '')}".rstrip("/")
        pair = record["identifier"].rsplit("-", 1)[0]
        return inside(f"{folder}/{pair}-img0.png"), inside(f"{folder}/{pair}-img1.png")
