"""Answers in files: those that `test` writes, the official result files of three benchmarks, and other systems'.

jsonl           {"id": "423_1203", "text": "[12, 40, 300, 410]"}            one JSON object a line, other keys allowed
vqa             [{"question_id": 262148000, "answer": "red"}, ...]          VQAv2 and TextVQA, as EvalAI takes them
coco_caption    [{"image_id": 139, "caption": "a room with a table"}, ...]  as COCO's caption server takes them
pope            {"question": "Is there a dog in the image?", "answer": "no"}    JSON lines, in the order of the official
                file; or with "question_id" in any order
llava           {"question_id": 10000001, "prompt": "Is there ...", "text": "No"}   JSON lines, see `llava_answers`
lmms_eval, ms_swift, coco, ref_l4       see `system_answers`
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datamodules.commands.llava_answers import LlavaAnswer, match
from datamodules.commands.system_answers import (
    Region,
    in_order,
    of_coco,
    of_lmms_eval,
    of_ms_swift,
    of_ref_l4,
)
from datamodules.readers.files import json_items
from tasks.rec import may_be_none
from vista.data import Annotation, InputError
from vista.predictions import numbered_lines

NONE_IS_AN_ANSWER = ("grec", "gres")  # tasks
LLAVA = frozenset({"question_id", "prompt", "text"})  # keys of LLaVA's own form
MOST_BINS = 1_000_000_000
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
        regions: boxes and segmentations in the place of a text, where the file has them as numbers.
        bins: bins of a side in which its regions are written, where they are not the codec's.
    """

    location: str
    id: str
    text: str
    unreadable: bool = False
    scores: dict[str, float] = field(default_factory=dict)
    regions: list[Region] = field(default_factory=list)
    bins: int | None = None


def read_answers(
    path: Path,
    form: str,
    annotations: Sequence[Annotation],
    task: str = "",
) -> Iterator[Answer]:
    """All answers of a file, one at a time.

    Args:
        path: the file.
        form: `llava`, `coco`, or one of `IN_ORDER` or `FORMS`.
        annotations: what is answered; those of other systems need them.
        task: its name; the files of LLaVA and COCO need it.

    Raises:
        FileNotFoundError: it is not there.
        InputError: it is not of that form; names the line or record.
    """
    if form == "llava":
        for identifier, each in match(_of_llava(path), annotations, task):
            yield Answer(each.location, identifier, each.text)
    elif form in IN_ORDER:
        for identifier, asked in in_order(IN_ORDER[form](_lines(path)), annotations):
            yield Answer(asked.location, identifier, asked.text)
    elif form == "coco":
        yield from _from_coco(path, annotations, task)
    else:
        yield from FORMS[form](path, annotations)


def _from_jsonl(path: Path, annotations: Sequence[Annotation]) -> Iterator[Answer]:
    for location, record in _lines(path):
        text = _get(record, "text", location)
        identifier = _get(record, "id", location)
        malformed = record.get("malformed", False)
        if not isinstance(malformed, bool):
            raise InputError(f"{location}: `malformed` is {malformed!r}, not true or false")
        # A well-formed empty answer may be right ("no such object"); that of an unreadable image never is.
        unreadable, scores = malformed and not text, _scores(record, location)
        bins = _bins(record, location)
        yield Answer(location, identifier, text, unreadable, scores, bins=bins)


def _bins(record: Record, location: str) -> int | None:
    bins = record.get("bins")
    if bins is not None and (type(bins) is not int or not 2 <= bins <= MOST_BINS):
        raise InputError(f"{location}: `bins` is {json.dumps(bins)[:80]}, not a number of bins")
    return bins


def _scores(record: Record, location: str) -> dict[str, float]:
    scores = record.get("scores", {})
    if not isinstance(scores, dict) or not all(map(_is_number, scores.values())):
        given = json.dumps(scores)[:80]
        raise InputError(
            f'{location}: `scores` is {given}; likelihoods by name are expected, such as {{"yes": 0.7}}'
        )
    return scores


def _is_number(value: object) -> bool:
    # To Python, True is an int, and JSON's NaN a number.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max  # type: ignore[arg-type]


def _of_llava(path: Path) -> Iterator[LlavaAnswer]:
    for location, record in _lines(path):
        prompt = record.get("prompt", "")
        if not isinstance(prompt, str):
            raise InputError(f"{location}: the record has 'prompt' {prompt!r}, which is no text")
        answer = _answer(location, record, "question_id", "text")
        yield LlavaAnswer(location, answer.id, prompt, answer.text)


def _from_vqa(path: Path, annotations: Sequence[Annotation]) -> Iterator[Answer]:
    for location, record in _items(path):
        yield _answer(location, record, "question_id", "answer")


def _from_captions(path: Path, annotations: Sequence[Annotation]) -> Iterator[Answer]:
    for location, record in _items(path):
        yield _answer(location, record, "image_id", "caption")


def _from_pope(path: Path, annotations: Sequence[Annotation]) -> Iterator[Answer]:
    if all("question_id" in record for _, record in _lines(path)):
        for location, record in _lines(path):
            yield _answer(location, record, "question_id", "answer")
        return
    num_answers = sum(1 for _ in _lines(path))
    num_questions = len(annotations)
    if num_answers != num_questions:
        raise InputError(
            f"{path} has {num_answers} answers without `question_id`, but the split has {num_questions} questions"
        )
    for (location, record), annotation in zip(_lines(path), annotations, strict=True):
        question = str(record.get("question", annotation.question))
        if question.split() != annotation.question.split():
            differs = f"the question is {question!r}, but the split's is {annotation.question!r}"
            raise InputError(f"{location}: {differs}")
        yield Answer(location, annotation.id, _get(record, "answer", location))


def _from_coco(path: Path, annotations: Sequence[Annotation], task: str) -> Iterator[Answer]:
    """One answer a question, with all its regions; of none, nothing was found."""
    answers: dict[str, Answer] = {}
    for region in of_coco(_items(path), annotations):
        answers.setdefault(region.id, _of_region(region, [])).regions.append(region)
    yield from answers.values()
    for annotation in annotations:
        none = task in NONE_IS_AN_ANSWER or may_be_none(annotation)
        if none and annotation.id not in answers:
            yield Answer(str(path), annotation.id, "")


def _from_ref_l4(path: Path, annotations: Sequence[Annotation]) -> Iterator[Answer]:
    yield from (_of_region(region, [region]) for region in of_ref_l4(_items(path)))


def _of_region(region: Region, regions: list[Region]) -> Answer:
    return Answer(region.location, region.id, "", regions=regions)


IN_ORDER = {"lmms_eval": of_lmms_eval, "ms_swift": of_ms_swift}
FORMS: dict[str, Callable[[Path, Sequence[Annotation]], Iterator[Answer]]] = {
    "jsonl": _from_jsonl,
    "vqa": _from_vqa,
    "coco_caption": _from_captions,
    "pope": _from_pope,
    "ref_l4": _from_ref_l4,
}


def _answer(
    location: str,
    record: Record,
    id_key: str,
    text_key: str,
) -> Answer:
    return Answer(location, _get(record, id_key, location), _get(record, text_key, location))


def _get(record: Record, key: str, location: str) -> str:
    """A text or a number as text."""
    value = record.get(key)
    if value is None:
        known = ", ".join(f"`{name}`" for name in record) or "nothing"
        hint = "; LLaVA's form is read by --format llava" if record.keys() >= LLAVA - {key} else ""
        raise InputError(f"{location}: the record has no {key!r} but {known}{hint}")
    # To Python, True is an int.
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise InputError(f"{location}: the record has {key!r} {value!r}, which is no text")
    return str(value)


def _lines(path: Path) -> Records:
    for number, line in numbered_lines(path):
        location = f"{path}, line {number}"
        try:
            value = json.loads(line.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:  # of the encoding, or of the syntax
            raise InputError(f"{location}: this is not JSON ({error})") from error
        yield location, _record(value, location)


def _items(path: Path) -> Records:
    for number, item in enumerate(json_items(path), start=1):
        location = f"{path}, record {number}"
        yield location, _record(item, location)


def _record(value: object, location: str) -> Record:
    if not isinstance(value, dict):
        raise InputError(f"{location}: a record is a JSON object, not {type(value).__name__}")
    return value
