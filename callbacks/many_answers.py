"""Answers to many questions of a person: `predict` about a folder of images, or of a JSONL file.

answers/answers.jsonl       an answer a line, written as it is made: a killed `predict` goes on where it stopped
answers/pictures/ID.png     the answer drawn over its images
answers/coco_results.json   boxes and masks of all answers, as COCO's evaluation takes them; written at the end
answers/made_by.json        which weights and settings have answered
"""

import json
import math
import sys
from collections.abc import Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import cast
from urllib.parse import quote

import numpy as np
from lightning import Callback, LightningModule, Trainer

from callbacks.pictures import draw_question
from callbacks.predictions import settings_of, weights_of
from vista.data import InputError, Prediction
from vista.draw import save_png
from vista.module import VistaModule
from vista.predictions import (
    Record,
    as_line,
    prompt_of,
    read_records,
    to_record,
    write_records,
)
from vista.printable import say
from vista.rle import encode_mask
from vista.tokens.batch_types import EvaluationBatch
from vista.training.evaluation import eval_sources

ANSWERS = "answers.jsonl"
LONGEST = 120  # letters of the name of a picture


class ManyAnswers(Callback):
    """Writes answers, pictures and COCO results into a folder."""

    def __init__(self, folder: Path) -> None:
        """Keep the folder.

        Args:
            folder: where all goes; answers of an earlier call stay.
        """
        self.folder = folder
        self.count = 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin, or go on; called also where no question is left, as what follows.

        Raises:
            InputError: the folder holds answers of other weights, or made under other settings.
        """
        module = cast(VistaModule, pl_module)
        made_by = {"weights": weights_of(trainer, module), **settings_of(trainer, module)}
        mark, text = self.folder / "made_by.json", json.dumps(made_by, indent=1, default=str)
        self.folder.mkdir(parents=True, exist_ok=True)
        if mark.is_file() and mark.read_text() != text and (self.folder / ANSWERS).is_file():
            raise InputError(
                f"{self.folder} holds answers of other weights or settings; name another folder by --out"
            )
        mark.write_text(text)
        self._cut_broken_line()

    def _cut_broken_line(self) -> None:
        """Take away the half of a line that a kill has left."""
        file = self.folder / ANSWERS
        content = file.read_bytes() if file.is_file() else b""
        if content and not content.endswith(b"\n"):
            file.write_bytes(content[: content.rfind(b"\n") + 1])

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: list[Prediction],
        batch: EvaluationBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the answers of a batch, then write them: an answer that is there has its picture."""
        source = eval_sources(trainer)[dataloader_idx]
        lines = []
        for problem in batch["problems"]:
            say(problem, file=sys.stderr)
        for annotation, prediction in zip(batch["annotations"], outputs, strict=True):
            picture = self.folder / "pictures" / picture_name(annotation.id)
            save_png(picture, draw_question(source, annotation, prediction, exif=True))
            record = to_record(annotation, prompt_of(source.question(annotation)), prediction)
            lines.append(as_line(record | {"task": source.task.name, **regions_of(prediction)}))
        with (self.folder / ANSWERS).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(lines)
        self.count += len(lines)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Keep the last answer to each question, and write the COCO results of all."""
        file = self.folder / ANSWERS
        by_question = (
            {(r["id"], r.get("task")): r for r in read_records(file)} if file.is_file() else {}
        )
        records = list(by_question.values())
        write_records(file, records)
        results = list(chain.from_iterable(map(coco_results, records)))
        (self.folder / "coco_results.json").write_text(json.dumps(results) + "\n")
        earlier = len(records) - self.count
        before = f", {earlier} of them from before" if earlier > 0 else ""
        say(f"{len(records)} answers{before}: {self.folder / ANSWERS}")


def picture_name(identifier: str) -> str:
    """A file's name that no other question's picture has."""
    name = quote(identifier, safe=" ")
    if len(name) > LONGEST:
        name = sha256(identifier.encode(errors="surrogatepass")).hexdigest()
    return f"{name}.png"


def regions_of(prediction: Prediction) -> Record:
    """Boxes xyxy in pixels, and masks as COCO's RLE, where there are any."""
    found: Record = {}
    if prediction.boxes:
        found["boxes"] = np.round(prediction.boxes, 2).tolist()
    if prediction.masks:
        found["masks"] = [encode_mask(mask) for mask in prediction.masks]
    return found


def coco_results(record: Record) -> Iterator[Record]:
    """The boxes and masks of an answer as COCO's results; `score` is the mean probability of its words."""
    identifier = record["id"]
    common = {
        "image_id": int(identifier) if identifier.isdecimal() else identifier,
        "category_id": 1,
        "score": round(math.exp(record.get("confidence") or 0.0), 4),
    }
    for x0, y0, x1, y1 in record.get("boxes", []):
        yield common | {"bbox": [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)]}
    for rle in record.get("masks", []):
        yield common | {"segmentation": rle}
