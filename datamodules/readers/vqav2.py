"""VQAv2: a question about a COCO image, with the answers of ten people.

https://visualqa.org/download.html (CC BY 4.0)
Goyal et al., Making the V in VQA Matter, CVPR 2017.

    vqav2/v2_OpenEnded_mscoco_train2014_questions.json      {"questions": [...]}
    vqav2/v2_mscoco_train2014_annotations.json              {"annotations": [...]}, none for the test splits
    coco/train2014/COCO_train2014_000000000025.jpg          (or below coco/train2017, coco/val2017)

    question    {"question_id": 25006, "image_id": 25, "question": "What is the giraffe standing behind?"}
    annotation  {"question_id": 25006, "image_id": 25, "question_type": "what is the", "answer_type": "other",
                 "multiple_choice_answer": "tree",
                 "answers": [{"answer": "tree", "answer_confidence": "yes", "answer_id": 1}, ...]}

Other tools write annotations with `question_id` and `answers` alone, also as plain texts.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from datamodules.readers.official import Official
from datamodules.readers.reader import REPEATED, CocoImages, Reader, coco_photo
from datamodules.readers.records import Record
from vista.data import Annotation

NUMBER = re.compile(r"[0-9][0-9,.:/]*")
# split -> (name in the file of questions, folder of the images)
FILES = {
    "train": ("train2014", "train2014"),
    "val": ("val2014", "val2014"),
    "test-dev": ("test-dev2015", "test2015"),
    "test": ("test2015", "test2015"),
}


QUESTION = {"question_id": int, "image_id": int, "question": str}
ANSWERED = {
    "question_id": int, "answers": (type(None), [({"answer": object}, str | int)]),
    "multiple_choice_answer": str | None, "question_type": str | None, "answer_type": str | None,
}  # fmt: skip


class VQAv2Reader(Reader):
    """One annotation per question; `label` is the most frequent answer.

    `extra`: `question_id` (int); with answers also `question_type` ("what is the") and `answer_type` ("yes/no",
    "number" or "other"). Label and answer type are those of the file, else those of the answers; the question type may
    be missing. The test splits have no answers.
    """

    name = "vqav2"
    fields = frozenset({"question", "answers", "label"})
    splits = tuple(FILES)
    source = "https://visualqa.org/download.html"

    def __init__(self, root: Path | str, split: str) -> None:
        super().__init__(root, split)
        self.answered = split in ("train", "val")
        if not self.answered:
            self.fields = frozenset({"question"})

    def _annotations(self) -> Iterator[Annotation]:
        year, folder = FILES[self.split]
        file = f"vqav2/v2_OpenEnded_mscoco_{year}_questions.json"
        questions = Official(self, self.file(file)).records("questions", QUESTION)
        answers: dict[int, Record] = {}
        if self.answered:
            # Joined by id: the two files need not stand in the same order.
            file = f"vqav2/v2_mscoco_{year}_annotations.json"
            for record in Official(self, self.file(file)).records("annotations", ANSWERED):
                first = answers.setdefault(record["question_id"], record)
                if first is not record:
                    self.leave_out(record["question_id"], REPEATED)
            answers = {key: completed(record) for key, record in answers.items()}
        images = CocoImages(self, folder)
        for record in questions:
            if not record["question"].strip():
                self.leave_out(record["question_id"], "the question is empty")
            elif self.answered and record["question_id"] not in answers:
                why = "the file of answers does not have the question"
                self.leave_out(record["question_id"], why)
            elif self.answered and not answers[record["question_id"]]["multiple_choice_answer"]:
                self.leave_out(record["question_id"], "it has no answer")
            else:
                yield self._annotation(record, answers.get(record["question_id"], {}), images)

    def _annotation(self, record: Record, answer: Record, images: CocoImages) -> Annotation:
        extra = {"question_id": record["question_id"]}
        extra |= {key: answer[key] for key in ("question_type", "answer_type") if key in answer}
        return Annotation(
            id=str(record["question_id"]),
            images=(images.path(record["image_id"]),),
            question=record["question"],
            answers=texts_of(answer),
            label=answer.get("multiple_choice_answer") or "",
            extra=extra,
            photos=((coco_photo(record["image_id"]),),),
        )


def texts_of(answer: Record) -> tuple[str, ...]:
    """The answers of an annotation."""
    found = [
        each["answer"] if isinstance(each, dict) else each for each in answer.get("answers") or ()
    ]
    return tuple(str(each) for each in found if each is not None)


def completed(answer: Record) -> Record:
    """An annotation with the label and the answer type that its answers tell, where it has none; "" without answers."""
    given = [text.strip() for text in texts_of(answer) if text.strip()]
    commonest, _ = Counter(given or [""]).most_common(1)[0]
    label = answer.get("multiple_choice_answer") or commonest
    kind = "yes/no" if label.lower() in ("yes", "no") else "other"
    if NUMBER.fullmatch(label):
        kind = "number"
    kind = answer.get("answer_type") or kind
    return answer | {"multiple_choice_answer": label, "answer_type": kind}
