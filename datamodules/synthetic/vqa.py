"""VQA v2 of the generated world (https://visualqa.org/download.html).

    vqav2/v2_OpenEnded_mscoco_{train2014,val2014}_questions.json
    vqav2/v2_mscoco_{train2014,val2014}_annotations.json

    {"image_id": 1000001, "question": "what color is the large circle?", "question_id": 1000001000}
    {"question_type": "what color is the", "multiple_choice_answer": "red", "answers": [{"answer": "red",
     "answer_confidence": "yes", "answer_id": 1}, ...], "image_id": 1000001, "answer_type": "other",
     "question_id": 1000001000}

All ten people agree. Images are those of coco/{train2017,val2017}, by their ids.
"""

from collections.abc import Sequence
from pathlib import Path

from datamodules.synthetic.files import INFO, LICENSE, Record, write_document
from datamodules.synthetic.questions import Question

NUM_ANSWERS = 10


def question_id(identifier: int, position: int) -> int:
    """The number of the question at a position about an image."""
    return 1000 * identifier + position


def question_records(questions: Sequence[Question], identifier: int) -> list[Record]:
    """The `questions` entries of one image."""
    return [
        {
            "image_id": identifier,
            "question": question.text,
            "question_id": question_id(identifier, i),
        }
        for i, question in enumerate(questions)
    ]


def answer_records(questions: Sequence[Question], identifier: int) -> list[Record]:
    """The `annotations` entries of one image."""
    records: list[Record] = []
    for position, question in enumerate(questions):
        answer = {"answer": question.answer, "answer_confidence": "yes"}
        records.append(
            {
                "question_type": question.question_type,
                "multiple_choice_answer": question.answer,
                "answers": [{**answer, "answer_id": 1 + i} for i in range(NUM_ANSWERS)],
                "image_id": identifier,
                "answer_type": question.answer_type,
                "question_id": question_id(identifier, position),
            }
        )
    return records


def write_vqa(
    root: Path,
    subtype: str,
    questions: list[str],
    annotations: list[str],
) -> None:
    """Writes both files of a split, "train2014" or "val2014", from pieces of `json_lines`."""
    head = {
        "info": INFO,
        "data_type": "mscoco",
        "license": LICENSE,
        "data_subtype": subtype,
    }
    folder = root / "vqav2"
    question_head = {**head, "task_type": "Open-Ended"}
    path = folder / f"v2_OpenEnded_mscoco_{subtype}_questions.json"
    write_document(path, question_head, {"questions": questions})
    path = folder / f"v2_mscoco_{subtype}_annotations.json"
    write_document(path, head, {"annotations": annotations})
