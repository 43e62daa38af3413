"""Predictions as lines of a file, and back: what `test` writes, `score` reads and a killed test resumes from.

{"id": "423_1203", "prompt": "<image> ...", "text": "[12, 40, 300, 410]", "malformed": false,
 "confidence": -0.41, "spreads": [3.1, 7.0, 5.5, 9.2]}
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vista.data import Annotation, Prediction
from vista.task import Task

Record = dict[str, Any]


def to_record(annotation: Annotation, prompt: str, prediction: Prediction) -> Record:
    """What is kept of an answer; regions stand in the text."""
    record = {
        "id": annotation.id,
        "prompt": prompt,
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


def from_record(task: Task, annotation: Annotation, record: Record) -> Prediction:
    """The prediction of which a record was made."""
    if record["malformed"] and not record["text"]:  # the image could not be read
        return Prediction(malformed=True)
    prediction = task.parse(record["text"], annotation)
    prediction.scores = prediction.scores | record.get("scores", {})
    prediction.confidence, prediction.spreads = record.get("confidence"), record.get("spreads", [])
    return prediction


def read_records(path: Path) -> Iterator[Record]:
    """The records of a JSONL file; the last line may be cut, where its writer was killed."""
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return
