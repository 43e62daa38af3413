"""A source in the words of another family of models: it is asked batch by batch, and every answer becomes a record.

A killed run leaves whole batches; what is there already is not asked again.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from datamodules.source import LoadedSource
from vista.data import Annotation, Prediction, Turns
from vista.images import ImageError, load_image
from vista.others.answers import BINS, Translator
from vista.others.asking import Asker
from vista.others.family import Family
from vista.predictions import (
    Record,
    as_line,
    prompt_of,
    read_records,
    still_asked,
    to_record,
    write_records,
)
from vista.printable import say


class Answering(Protocol):
    """What answers: `HuggingFaceModel` or `Endpoint`."""

    family: Family
    controls: tuple[str, ...]

    @property
    def cuts_images(self) -> bool:
        """Whether it does not see the whole of an image."""

    def answer(
        self,
        questions: Sequence[Turns],
        images: Sequence[Sequence[np.ndarray]],
        max_new_tokens: int,
    ) -> list[str]:
        """What the model writes."""


@dataclass
class AskedSource(LoadedSource):
    """A source in a family's words.

    Attributes:
        asker: puts them.
    """

    asker: Asker | None = None

    def question(self, annotation: Annotation) -> Turns:
        """The turns in the family's form.

        Raises:
            CannotAsk: it has none.
        """
        assert self.asker is not None
        return self.asker.turns(annotation)


def in_words_of(model: Answering, source: LoadedSource) -> AskedSource:
    """A source as a model is asked about it.

    Raises:
        CannotAsk: it cannot be, for one annotation at least.
    """
    asker = Asker(model.family, source.task, model.cuts_images)
    asked = AskedSource(**vars(source), asker=asker)
    for annotation in source.annotations:
        asked.question(annotation)
    return asked


def ask(
    model: Answering, source: AskedSource, path: Path, batch_size: int, max_new_tokens: int
) -> None:
    """Write the answer to every annotation that has none yet, batch by batch.

    Args:
        model: is asked.
        source: in its words.
        path: the file of answers; a killed run has left some of them.
        batch_size: questions at once.
        max_new_tokens: longest answer.
    """
    records = still_asked(source, read_records(path)) if path.is_file() else []
    answered = {record["id"] for record in records}
    if answered:
        say(f"{source.name}: {len(answered)} answers are there already, in {path}")
    write_records(path, records)
    translate = Translator(model.family, source.task, model.controls)
    todo = iter([a for a in source.annotations if a.id not in answered])
    with path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        while batch := list(islice(todo, batch_size)):
            for record in answers_of(model, source, translate, batch, max_new_tokens):
                file.write(as_line(record))
            file.flush()  # a killed run leaves whole batches


def answers_of(
    model: Answering,
    source: AskedSource,
    translate: Translator,
    batch: Sequence[Annotation],
    max_new_tokens: int,
) -> Iterator[Record]:
    """The records of a batch; an image that cannot be read makes an empty, malformed answer, as with our own model."""
    images: list[list[np.ndarray] | None] = [readable(source, annotation) for annotation in batch]
    turns = [source.question(annotation) for annotation in batch]
    shown = [some for some in images if some is not None]
    asked = [each for each, some in zip(turns, images, strict=True) if some is not None]
    written = iter(model.answer(asked, shown, max_new_tokens) if asked else [])
    for annotation, each, some in zip(batch, turns, images, strict=True):
        if some is None:
            yield to_record(annotation, prompt_of(each), Prediction(malformed=True))
            continue
        raw = next(written)
        prediction = translate.task.read(translate(raw, annotation), annotation)
        yield to_record(annotation, prompt_of(each), prediction) | {"bins": BINS, "raw": raw}


def readable(source: LoadedSource, annotation: Annotation) -> list[np.ndarray] | None:
    """The images of a question, uint8 (H, W, 3) of the annotated sizes; None where one cannot be read."""
    images = []
    for index, name in enumerate(annotation.images):
        try:
            image = load_image(source.root / name)
        except ImageError as error:
            say(f"{source.where(annotation)}: {error}", file=sys.stderr)
            return None
        # Some data sets annotate a larger copy than they ship; places must be of one size.
        size = annotation.sizes[index] if index < len(annotation.sizes) else image.shape[:2]
        if image.shape[:2] != size:
            image = np.asarray(Image.fromarray(image).resize((size[1], size[0])))
        images.append(image)
    return images
