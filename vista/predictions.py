"""Predictions as lines of a file, and back: what `test` writes, `score` reads and a killed test resumes from.

{"id": "423_1203", "prompt": "<image> ...", "images": ["coco/..."], "text": "[12, 40, 300, 410]", "malformed": false,
 "confidence": -0.41, "spreads": [3.1, 7.0, 5.5, 9.2]}
"""

import json
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from itertools import chain
from pathlib import Path
from typing import Any

from vista.data import Annotation, InputError, Prediction, Turns
from vista.task import Source, Task

Record = dict[str, Any]
LONGEST_LINE = 1 << 20  # bytes; prompt and answer of a conversation have thousands


def prompt_of(turns: Turns) -> str:
    """All that is asked, as a record keeps it: the prompt of the last turn, after the turns before it."""
    return "\n".join(chain.from_iterable(turns)).removesuffix("\n")  # the last answer is left empty


def to_record(annotation: Annotation, prompt: str, prediction: Prediction) -> Record:
    """What is kept of an answer; regions stand in the text."""
    record = {
        "id": annotation.id,
        "prompt": prompt,
        "images": list(annotation.images),
        "text": prediction.text,
        "malformed": prediction.malformed,
    }
    if prediction.scores:
        record["scores"] = prediction.scores
    if prediction.confidence is not None:
        record["confidence"] = round(prediction.confidence, 4)
    if prediction.spreads:
        record["spreads"] = [round(spread, 1) for spread in prediction.spreads]
    return record


def in_bins(task: Task, num_bins: int) -> Task:
    """The task with a grid of its own for regions: other models' places are finer than ours, or coarser."""
    other = copy(task)
    other.codec = copy(task.codec)
    other.codec.num_bins = num_bins
    return other


def from_record(task: Task, annotation: Annotation, record: Record) -> Prediction:
    """The prediction of which a record was made."""
    if record["malformed"] and not record["text"]:  # the image could not be read
        return Prediction(malformed=True)
    prediction = task.read(record["text"], annotation)
    prediction.scores = prediction.scores | record.get("scores", {})
    prediction.confidence, prediction.spreads = record.get("confidence"), record.get("spreads", [])
    return prediction


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not blank, one at a time, each with its number from 1.

    Raises:
        InputError: one is longer than any record; names file and line.
    """
    # Lines end at line feeds alone: a text may hold U+2028 and others that Python takes for the end of a line, too.
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise InputError(
                    f"{path}, line {number}: it has more than {LONGEST_LINE:,} bytes, so it is no answer's"
                )
            if line.strip():
                yield number, line


def read_records(path: Path) -> Iterator[Record]:
    """The records of a JSONL file; the last line alone may be cut, where its writer was killed.

    Raises:
        InputError: any other line is no record; names file and line.
    """
    for number, line in numbered_lines(path):
        try:
            record = json.loads(line.decode())
        except (ValueError, RecursionError) as error:  # of the encoding, or of the syntax
            if not line.endswith(b"\n"):
                return
            raise InputError(f"{path}, line {number}: this is not JSON ({error})") from error
        if not isinstance(record, dict) or not isinstance(record.get("id"), str):
            raise InputError(f"{path}, line {number}: this is no answer of `test`, it has no `id`")
        yield record


def as_line(record: Record) -> str:
    """A record as a line of a JSONL file."""
    return json.dumps(record, ensure_ascii=False) + "\n"


def write_records(path: Path, records: Iterable[Record]) -> None:
    """The file with these records alone; written aside and renamed, so that a kill here loses none."""
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.writelines(map(as_line, records))
    part.replace(path)


def still_asked(source: Source, records: Iterable[Record]) -> list[Record]:
    """Those records, in the order of the annotations, that answer what is asked today: the same words and images.

    An answer to an image that could not be read is none: the file may have been repaired.
    """
    by_id = {record["id"]: record for record in records}
    kept = []
    for annotation in source.annotations if by_id else ():
        record = by_id.get(annotation.id)
        if record is not None and _answers(record, source, annotation):
            kept.append(record)
    return kept


def _answers(record: Record, source: Source, annotation: Annotation) -> bool:
    asked = {"prompt": prompt_of(source.question(annotation)), "images": list(annotation.images)}
    same = all(record.get(key) == value for key, value in asked.items())
    return same and bool(record.get("text") or not record.get("malformed", True))


def write_submission(
    stem: Path, source: Source, answer: Callable[[Annotation], Prediction]
) -> Path | None:
    """Write what a benchmark's server takes for a split whose answers are hidden.

    Args:
        stem: the file without its ending.
        source: the split.
        answer: gives the answer to each of its annotations.

    Returns:
        the file; None where no server is known for the task.
    """
    made = source.task.submission((a, answer(a)) for a in source.annotations)
    if made is None:
        return None
    ending, content = made
    file = stem.with_name(f"{stem.name}.submission{ending}")
    file.write_text(content, encoding="utf-8")
    return file
