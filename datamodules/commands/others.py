"""`test --answers_by`: our sources, asked of somebody else's model and scored as ours.

    python main.py test --answers_by hf --model llava-hf/llava-1.5-7b-hf --config coinit --task rec vqav2
    python main.py test --answers_by url --url http://localhost:8000/v1 --model qwen --family qwen2_5_vl

Answers go to runs/NAME/predictions/SOURCE.jsonl, where `score` can read them; what is there already is not asked again.
A source that the model cannot be asked about is left out of the table, with the reason.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import yaml
from PIL import Image

from datamodules.commands.configured import Setup, read_setup
from datamodules.commands.options import OthersOptions
from datamodules.commands.score import score_files
from datamodules.questions import limit
from datamodules.source import LoadedSource, Source, check_names, check_source, nearest
from vista.app.report import Row, print_table
from vista.app.runs import RUNS
from vista.data import Annotation, InputError, Prediction, Turns
from vista.images import ImageError, load_image
from vista.leftovers import held
from vista.others.answers import BINS, Translator
from vista.others.asking import Asker
from vista.others.family import CannotAsk, Family, family_of
from vista.predictions import Record, prompt_of, read_records, still_asked, to_record
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


def main(options: OthersOptions) -> None:
    """Ask, score and print the table.

    Raises:
        InputError: one sentence about what does not fit.
    """
    setup = read_setup(options.config, options.data.root, options.plugin)
    sources = chosen(setup, options.task)
    model = make_model(options)
    folder = RUNS / (options.name or f"{options.answers_by}-{Path(options.model).name}")
    (folder / "predictions").mkdir(parents=True, exist_ok=True)
    with held(folder):
        claim_folder(folder, subject_of(options, model))
        (folder / "config.yaml").write_text(yaml.safe_dump(_config(setup), sort_keys=False))
        rows, left_out = test(model, setup, sources, folder, options)
    content = {"answered_by": subject_of(options, model), "table": rows, "left_out": left_out}
    (folder / "scores_test.json").write_text(json.dumps(content, indent=1) + "\n")
    if rows:
        print_table(rows)
    for name, why in left_out.items():
        say(f"left out: {name}: {why}")


def test(
    model: Answering,
    setup: Setup,
    sources: dict[str, Source],
    folder: Path,
    options: OthersOptions,
) -> tuple[list[Row], dict[str, str]]:
    """Ask and score one source after the other.

    Returns:
        rows of the table, and why each source without one was left out.
    """
    most = options.data.scoring.max_test
    loaded = setup.splits.load(sources, "test")
    check_names(loaded)
    limit(loaded, most)
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    for source in loaded:
        try:
            asked = in_words_of(model, source)
        except CannotAsk as reason:
            left_out[source.name] = str(reason)
            say(f"{source.name} is left out: {reason}", file=sys.stderr)
            continue
        path = folder / "predictions" / f"{source.name}.jsonl"
        ask(model, asked, path, options.batch_size, options.max_new_tokens)
        rows.append(score_files(setup, source.name, [path], most=most))
    return rows, left_out


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
    _rewrite(path, records)
    translate = Translator(model.family, source.task, model.controls)
    todo = iter([a for a in source.annotations if a.id not in answered])
    with path.open("a", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        while batch := list(islice(todo, batch_size)):
            for record in answers_of(model, source, translate, batch, max_new_tokens):
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
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


def chosen(setup: Setup, tasks: Sequence[str]) -> dict[str, Source]:
    """The sources of some tasks that are tested; of all where none is named.

    Raises:
        InputError: a source is unsound, or no source has such a task.
    """
    tested = {name: source for name, source in setup.sources.items() if source.test}
    known = sorted({source.task for source in tested.values()})
    for task in tasks:
        if task not in known:
            raise InputError(nearest(task, known, "task with a source to be tested"))
    wanted = {name: source for name, source in tested.items() if source.task in (tasks or known)}
    for name, source in wanted.items():
        check_source(name, source)
    return wanted


def make_model(options: OthersOptions) -> Answering:
    """What answers.

    Raises:
        InputError: an option is missing, or the model cannot be had.
    """
    from vista.others.endpoint import Endpoint
    from vista.others.huggingface import load_model

    if options.answers_by == "hf":
        return load_model(options.model, options.device, options.dtype)
    if not (options.url and options.family):
        raise InputError(
            "--answers_by url needs --url http://HOST/v1, --model NAME, and --family MODEL_TYPE, whose conventions "
            "the model keeps (such as qwen2_5_vl)"
        )
    family = family_of(options.family)
    if not family.chat:
        raise InputError(f"{family.name} is asked by no chat, so it cannot be asked by a URL")
    return Endpoint(options.url, options.model, family(), options.timeout)


def subject_of(options: OthersOptions, model: Answering) -> dict[str, object]:
    """What the answers depend on beside the questions."""
    files = sorted(Path(options.model).glob("*")) if options.answers_by == "hf" else []
    stamps = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return {
        "model": options.model,
        "files": [list(stamp) for stamp in stamps],
        "url": options.url,
        "family": model.family.name,
        "dtype": options.dtype,
        "max_new_tokens": options.max_new_tokens,
    }


def claim_folder(folder: Path, subject: dict[str, object]) -> None:
    """Say whose answers a folder holds.

    Raises:
        InputError: it holds those of another model, or under other settings.
    """
    file = folder / "answered_by.json"
    if file.is_file() and file.read_text(errors="replace") != json.dumps(subject):
        raise InputError(
            f"{folder} holds answers of another model or under other settings; choose another --name"
        )
    if not file.is_file() and any((folder / "predictions").iterdir()):
        raise InputError(f"{folder} holds answers of one of our runs; choose another --name")
    file.write_text(json.dumps(subject))


def _config(setup: Setup) -> dict[str, object]:
    """The settings with the data root that was used: `score` finds them beside the answers."""
    data = dict(setup.settings.get("data") or {}) | {"root": str(setup.root)}
    return setup.settings | {"data": data}


def _rewrite(path: Path, records: Sequence[Record]) -> None:
    """The file with these records alone; written aside and renamed, so that a kill here loses none."""
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.writelines(lines)
    part.replace(path)
