"""POPE: is there such an object in the image? A test for objects that a model makes up.

https://github.com/RUCAIBox/POPE (MIT)
Li et al., Evaluating Object Hallucination in Large Vision-Language Models, EMNLP 2023.

    pope/coco_pope_random.json, coco_pope_popular.json, coco_pope_adversarial.json      one JSON record a line
    coco/val2014/COCO_val2014_000000310196.jpg      (or below coco/train2017, coco/val2017)

    {"question_id": 55, "image": "COCO_val2014_000000017708.jpg", "text": "Is there a bird in the image?",
     "label": "yes"}
"""

import re
from collections.abc import Iterator

from datamodules.readers.coco import coco_photos
from datamodules.readers.files import inside
from datamodules.readers.reader import CocoImages, Reader
from vista.data import Annotation

QUESTION = {"question_id": int | str, "image": str, "text": str, "label": str}
NAME = re.compile(r"COCO_val2014_(\d{12})\.jpg")


class POPEReader(Reader):
    """One annotation per question; `label` is "yes" or "no". The split says how the absent objects were drawn."""

    name = "pope"
    fields = frozenset({"question", "label"})
    splits = ("random", "popular", "adversarial")
    source = "https://github.com/RUCAIBox/POPE/tree/main/output/coco"

    def _annotations(self) -> Iterator[Annotation]:
        images = CocoImages(self, "val2014")
        # The file of a setting has one question a line, six for each of 500 images.
        for record in self.lines(QUESTION, f"pope/coco_pope_{self.split}.json"):
            label = record["label"].strip().lower()
            if label not in ("yes", "no") or not record["text"].strip():
                why = "it has no question, or an answer that is neither yes nor no"
                self.leave_out(record["question_id"], why)
                continue
            name = NAME.fullmatch(record["image"])
            of_coco = images.path(int(name[1])) if name else ""
            yield Annotation(
                id=str(record["question_id"]),
                images=(of_coco or inside(f"coco/val2014/{record['image']}"),),
                question=record["text"],
                label=label,
                photos=(coco_photos(record["image"]),),
            )
