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

Records = Iterator[tuple[str, dict[str, Any]]]


@dataclass(slots=True)
class Answer:
    """One answer of a file.

    Attributes:
        place: where it stands, e.g. `a.jsonl, line 3`.
        id: of the annotation.
        text: what the model wrote, or the official file's answer.
        unreadable: the sample could not be shown to the model; it counts as wrong.
        scores: likelihoods by name, where the file has them.
    """

    place: str
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
        InputError: it is not of that form; names the place.
    """
    return list(FORMS[form](path, annotations))


def _from_jsonl(path: Path, annotations: Sequence[Annotation]) -> Iterator[Answer]:
    for place, record in _lines(path):
        text = _get(record, "text", place)
        # A well-formed empty answer may be right ("no such object"); that of an unreadable image never is.
        unreadable = not text and bool(record.get("malformed"))
        yield Answer(place, _get(record, "id", place), text, unreadable, record.get("scores") or {})


def _from_vqa(path: Path, annotations: Sequence[Annotation]) -> Iterator[Answer]:
    for place, record in _items(path):
        yield Answer(place, _get(record, "question_id", place), _get(record, "answer", place))


def _from_captions(path: Path, annotations: Sequence[Annotation]) -> Iterator[Answer]:
    for place, record in _items(path):
        yield Answer(place, _get(record, "image_id", place), _get(record, "caption", place))


def _from_pope(path: Path, annotations: Sequence[Annotation]) -> Iterator[Answer]:
    records = list(_lines(path))
    if all("question_id" in record for _, record in records):
        for place, record in records:
            yield Answer(place, _get(record, "question_id", place), _get(record, "answer", place))
        return
    if len(records) != len(annotations):
        raise InputError(
            f"{path} has {len(records)} answers without `question_id`, but the split has {len(annotations)} questions"
        )
    for (place, record), annotation in zip(records, annotations, strict=True):
        asked = str(record.get("question", annotation.question))
        if asked.split() != annotation.question.split():
            raise InputError(
                f"{place}: the question is {asked!r}, but the split's is {annotation.question!r}"
            )
        yield Answer(place, annotation.id, _get(record, "answer", place))


FORMS: dict[str, Callable[[Path, Sequence[Annotation]], Iterator[Answer]]] = {
    "jsonl": _from_jsonl,
    "vqa": _from_vqa,
    "coco_caption": _from_captions,
    "pope": _from_pope,
}


def _get(record: dict[str, Any], key: str, place: str) -> str:
    """A text or a number as text."""
    value = record.get(key)
    if not isinstance(value, str | int) or isinstance(value, bool):
        known = ", ".join(f"`{name}`" for name in record)
        problem = (
            f"has no {key!r} but {known or 'nothing'}"
            if value is None
            else f"has {key!r} {value!r}, which is no text"
        )
        raise InputError(f"{place}: the record {problem}")
    return str(value)


def _lines(path: Path) -> Records:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                place = f"{path}, line {number}"
                yield place, _record(_json(line, place), place)


def _items(path: Path) -> Records:
    content = _json(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(content, list):
        raise InputError(f"{path} is no JSON list of records")
    for number, item in enumerate(content, start=1):
        place = f"{path}, record {number}"
        yield place, _record(item, place)


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{place}: this is not JSON ({error})") from error


def _record(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{place}: a record is a JSON object, not {type(value).__name__}")
    return value
