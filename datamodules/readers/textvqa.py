"""TextVQA: a question whose answer must be read in the image, with the answers of ten people.

https://textvqa.org/dataset (CC BY 4.0)
Singh et al., Towards VQA Models That Can Read, CVPR 2019.

    textvqa/TextVQA_0.5.1_train.json, ..._val.json, ..._test.json       {"data": [...]}
    textvqa/train_images/003a8ae2ef43b901.jpg       of train and val
    textvqa/test_images/168850c40ad1897e.jpg

    {"question_id": 34602, "question": "what is the brand of this camera?", "image_id": "003a8ae2ef43b901",
     "image_width": 1024, "image_height": 664, "answers": ["nous les gosses", "dakota", ...], "set_name": "val"}
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from datamodules.readers.files import inside
from datamodules.readers.official import Official
from datamodules.readers.reader import Reader
from vista.data import Annotation

QUESTION = {
    "question_id": int, "question": str, "image_id": str, "image_height": object, "image_width": object,
    "answers": (type(None), [str]),
}  # fmt: skip


class TextVQAReader(Reader):
    """One annotation per question; `label` is the most frequent answer, the first given of several.

    `extra`: `question_id` (int). The test split has no answers.
    """

    name = "textvqa"
    fields = frozenset({"question", "answers", "label", "sizes"})
    splits = ("train", "val", "test")
    source = "https://textvqa.org/dataset"

    def __init__(self, root: Path | str, split: str) -> None:
        super().__init__(root, split)
        if split == "test":
            self.fields = frozenset({"question", "sizes"})

    def _annotations(self) -> Iterator[Annotation]:
        folder = "test_images" if self.split == "test" else "train_images"
        file = Official(self, self.file(f"textvqa/TextVQA_0.5.1_{self.split}.json"))
        for record in file.records("data", QUESTION):
            answers = tuple(record.get("answers") or ())
            stated = {"height": record["image_height"], "width": record["image_width"]}
            size = file.size(stated, record["question_id"])
            if size is None:
                continue
            if not record["question"].strip():
                self.leave_out(record["question_id"], "the question is empty")
            elif len(answers) != 10 and self.split != "test":
                self.leave_out(record["question_id"], f"it has {len(answers)} answers, not ten")
            else:
                yield Annotation(
                    id=str(record["question_id"]),
                    images=(inside(f"textvqa/{folder}/{record['image_id']}.jpg"),),
                    sizes=(size,),
                    question=record["question"],
                    answers=answers,
                    label=Counter(map(str.strip, answers)).most_common(1)[0][0] if answers else "",
                    extra={"question_id": record["question_id"]},
                    photos=((f"openimages {record['image_id']}",),),
                )
