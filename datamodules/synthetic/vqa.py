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
from typing import Any

from datamodules.synthetic.files import INFO, LICENSE, write_document
from datamodules.synthetic.questions import Question

NUM_ANSWERS = 10
Records = list[dict[str, Any]]


def vqa_records(asked: Sequence[Question], identifier: int) -> tuple[Records, Records]:
    """The `questions` and the `annotations` entries of one image."""
    questions: Records = []
    annotations: Records = []
    for position, question in enumerate(asked):
        number = 1000 * identifier + position
        questions.append({"image_id": identifier, "question": question.text, "question_id": number})
        annotations.append(
            {
                "question_type": question.question_type,
                "multiple_choice_answer": question.answer,
                "answers": [
                    {"answer": question.answer, "answer_confidence": "yes", "answer_id": 1 + i}
                    for i in range(NUM_ANSWERS)
                ],
                "image_id": identifier,
                "answer_type": question.answer_type,
                "question_id": number,
            }
        )
    return questions, annotations


def write_vqa(root: Path, subtype: str, questions: list[str], annotations: list[str]) -> None:
    """Writes both files of a split, "train2014" or "val2014", from pieces of `json_lines`."""
    head = {"info": INFO, "data_type": "mscoco", "license": LICENSE, "data_subtype": subtype}
    path = root / "vqav2" / f"v2_OpenEnded_mscoco_{subtype}_questions.json"
    write_document(path, {**head, "task_type": "Open-Ended"}, {"questions": questions})
    write_document(
        root / "vqav2" / f"v2_mscoco_{subtype}_annotations.json", head, {"annotations": annotations}
    )
