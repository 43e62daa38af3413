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
"""

from collections.abc import Iterator
from pathlib import Path

from datamodules.readers.reader import CocoImages, Reader, Record
from vista.data import Annotation

# split -> (name in the file of questions, folder of the images)
FILES = {
    "train": ("train2014", "train2014"),
    "val": ("val2014", "val2014"),
    "test-dev": ("test-dev2015", "test2015"),
    "test": ("test2015", "test2015"),
}


class VQAv2Reader(Reader):
    """One annotation per question; `label` is the most frequent answer.

    `extra`: `question_id` (int); with answers also `question_type` ("what is the") and `answer_type` ("yes/no",
    "number" or "other"). The test splits have no answers.
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
        questions = self.json(f"vqav2/v2_OpenEnded_mscoco_{year}_questions.json")["questions"]
        answers = {}
        if self.answered:
            # Joined by id: the two files need not stand in the same order.
            records = self.json(f"vqav2/v2_mscoco_{year}_annotations.json")["annotations"]
            answers = {record["question_id"]: record for record in records}
        images = CocoImages(self, folder)
        for record in questions:
            if not record["question"].strip():
                self.leave_out(record["question_id"], "the question is empty")
            elif self.answered and record["question_id"] not in answers:
                why = "the file of answers does not have the question"
                self.leave_out(record["question_id"], why)
            else:
                yield self._annotation(record, answers.get(record["question_id"], {}), images)

    def _annotation(self, record: Record, answer: Record, images: CocoImages) -> Annotation:
        extra = {"question_id": record["question_id"]}
        extra |= {key: answer[key] for key in ("question_type", "answer_type") if key in answer}
        return Annotation(
            id=str(record["question_id"]),
            images=(images.path(record["image_id"]),),
            question=record["question"],
            answers=tuple(each["answer"] for each in answer.get("answers", ())),
            label=answer.get("multiple_choice_answer", ""),
            extra=extra,
        )
