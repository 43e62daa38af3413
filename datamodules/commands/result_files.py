"""Answers in files: those that `test` writes, and the official result files of three benchmarks.

jsonl           {"id": "423_1203", "text": "[12, 40, 300, 410]"}            one JSON object a line, other keys allowed
vqa             [{"question_id": 262148000, "answer": "red"}, ...]          VQAv2 and TextVQA, as EvalAI takes them
coco_caption    [{"image_id": 139, "caption": "a room with a table"}, ...]  as COCO's caption server takes them
pope            {"question": "Is there a dog in the image?", "answer": "no"}    JSON lines, in the order of the official
                file; or with "question_id" in any order
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vista.data import Annotation, InputError

Record = dict[str, Any]
Records = Iterator[tuple[str, Record]]  # where each stands, and what it says


@dataclass(slots=True)
class Answer:
    """One answer of a file.

    Attributes:
        location: where it stands, such as `a.jsonl, line 3`.
        id: of the annotation.
        text: what the model wrote, or the official file's answer.
        unreadable: the sample could not be shown to the model; it counts as wrong.
        scores: likelihoods by name, where the file has them.
    """

    location: str
    id: str
    text: str
    unreadable: bool = False
    scores: dict[str, float] = field(default_factory=dict)


def read_answers(path: Path, form: str, annotations: Sequence[Annotation]) -> list[Answer]:
    """All answers of a file.

    Args:
        path: the file.
        form: one of `FORMS`.
        annotations: what is answered; only a POPE file without ids needs them.

    Raises:
        FileNotFoundError: it is not there.
        InputError: it is not of that form; names the line or record.
    """
    return list(FORMS[form](path, annotations))


def _from_jsonl(path: Path, annotations: Sequence[Annotation]) -> Iterator[Answer]:
    for location, record in _lines(path):
        text = _get(record, "text", location)
        identifier = _get(record, "id", location)
        # A well-formed empty answer may be right ("no such object"); that of an unreadable image never is.
        unreadable = not text and bool(record.get("malformed"))
        yield Answer(location, identifier, text, unreadable, record.get("scores") or {})


def _from_vqa(path: Path, annotations: Sequence[Annotation]) -> Iterator[Answer]:
    for location, record in _items(path):
        yield _answer(location, record, "question_id", "answer")


def _from_captions(path: Path, annotations: Sequence[Annotation]) -> Iterator[Answer]:
    for location, record in _items(path):
        yield _answer(location, record, "image_id", "caption")


def _from_pope(path: Path, annotations: Sequence[Annotation]) -> Iterator[Answer]:
    records = list(_lines(path))
    if all("question_id" in record for _, record in records):
        for location, record in records:
            yield _answer(location, record, "question_id", "answer")
        return
    num_answers, num_questions = len(records), len(annotations)
    if num_answers != num_questions:
        raise InputError(
            f"{path} has {num_answers} answers without `question_id`, but the split has {num_questions} questions"
        )
    for (location, record), annotation in zip(records, annotations, strict=True):
        question = str(record.get("question", annotation.question))
        if question.split() != annotation.question.split():
            differs = f"the question is {question!r}, but the split's is {annotation.question!r}"
            raise InputError(f"{location}: {differs}")
        yield Answer(location, annotation.id, _get(record, "answer", location))


FORMS: dict[str, Callable[[Path, Sequence[Annotation]], Iterator[Answer]]] = {
    "jsonl": _from_jsonl,
    "vqa": _from_vqa,
    "coco_caption": _from_captions,
    "pope": _from_pope,
}


def _answer(location: str, record: Record, id_key: str, text_key: str) -> Answer:
    return Answer(location, _get(record, id_key, location), _get(record, text_key, location))


def _get(record: Record, key: str, location: str) -> str:
    """A text or a number as text."""
    value = record.get(key)
    if value is None:
        known = ", ".join(f"`{name}`" for name in record) or "nothing"
        raise InputError(f"{location}: the record has no {key!r} but {known}")
    # To Python, True is an int.
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise InputError(f"{location}: the record has {key!r} {value!r}, which is no text")
    return str(value)


def _lines(path: Path) -> Records:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                location = f"{path}, line {number}"
                yield location, _record(_json(line, location), location)


def _items(path: Path) -> Records:
    content = _json(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(content, list):
        raise InputError(f"{path} is no JSON list of records")
    for number, item in enumerate(content, start=1):
        location = f"{path}, record {number}"
        yield location, _record(item, location)


def _json(text: str, location: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{location}: this is not JSON ({error})") from error


def _record(value: object, location: str) -> Record:
    if not isinstance(value, dict):
        raise InputError(f"{location}: a record is a JSON object, not {type(value).__name__}")
    return value
