"""Every prediction of `test`, as it is made: `predictions/<source>.jsonl`, one JSON object a line.

While a test runs, `predictions/unfinished.json` says of what. If it is killed, the next test of the same weights under
the same settings takes the answers that are there, where the same is asked, and asks for the others only. Of a split
whose answers are hidden the file for the benchmark's server is written beside: `<source>.submission.json`.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, TextIO, cast

from lightning import Callback, LightningModule, Trainer

from vista.data import Annotation, Prediction
from vista.module import VistaModule
from vista.predictions import (
    Record,
    as_line,
    from_record,
    prompt_of,
    read_records,
    still_asked,
    to_record,
    write_submission,
)
from vista.printable import say
from vista.task import Source
from vista.tokens.batch_types import EvaluationBatch
from vista.training.checkpoints import identity
from vista.training.evaluation import eval_sources


class Predictions(Callback):
    """Writes id, prompt, text and confidence of every answer."""

    def __init__(self, folder: Path) -> None:
        """Keep the folder.

        Args:
            folder: of the run; a file of each source goes below it. Until a test ends, every process but the first
                writes one of its own.
        """
        self.folder = folder / "predictions"
        self.files: dict[str, TextIO] = {}

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand the answers of a killed test to the model, or begin anew."""
        sources = eval_sources(trainer)
        module = cast(VistaModule, pl_module)
        mark, subject = self.folder / "unfinished.json", subject_of(trainer, module)
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            resumed = mark.is_file() and mark.read_text(errors="replace") == subject
            for source in sources:
                records = self._records(source.name) if resumed else []
                self._keep(source.name, still_asked(source, records))
            # In the folder of a stranger's run it may be a link that leads elsewhere.
            mark.unlink(missing_ok=True)
            mark.write_text(subject)
        trainer.strategy.barrier()
        module.recorded = {}
        for source in sources:
            records = self._records(source.name)
            module.recorded[source.name] = {record["id"]: record for record in records}
        count = sum(map(len, module.recorded.values()))
        if trainer.is_global_zero and count:
            say(f"{count} answers of an unfinished test are taken from {self.folder}")
        trainer.strategy.barrier()  # all have read before anyone writes

    def _parts(self, name: str) -> list[Path]:
        """The file of a source, and those of other processes: `x.jsonl` and `x.1.jsonl`, but not `x.testA.jsonl`."""
        own = re.compile(rf"{re.escape(name)}(\.[0-9]+)?\.jsonl")
        return sorted(path for path in self.folder.iterdir() if own.fullmatch(path.name))

    def _records(self, name: str) -> list[Record]:
        """The answers of all processes to the questions of a source."""
        return list(chain.from_iterable(map(read_records, self._parts(name))))

    def _keep(self, name: str, records: Sequence[Record]) -> None:
        """Bring the answers of all processes into one file; it is not there where there are none."""
        path, parts = self.folder / f"{name}.jsonl", self._parts(name)
        # Written aside and renamed: a kill here must not lose what was there.
        if records:
            joined = self.folder / f"{name}.joined"
            lines = dict.fromkeys(map(as_line, records))
            with _open(joined, "w") as file:
                file.writelines(lines)
            joined.replace(path)
        for part in parts:
            if part != path or not records:
                part.unlink()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: EvaluationBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Append the answers of a batch."""
        source = eval_sources(trainer)[dataloader_idx]
        recorded = cast(VistaModule, pl_module).recorded[source.name]
        if source.name not in self.files:
            rank = f".{trainer.global_rank}" if trainer.global_rank else ""
            path = self.folder / f"{source.name}{rank}.jsonl"
            self.files[source.name] = _open(path, "a")
        for annotation, prediction in zip(batch["annotations"], outputs, strict=True):
            if annotation.id not in recorded:
                prompt = prompt_of(source.question(annotation))
                record = to_record(annotation, prompt, prediction)
                self.files[source.name].write(as_line(record))
        self.files[source.name].flush()  # a killed test leaves whole batches

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the files; the answers of all processes are then in one file a source."""
        for file in self.files.values():
            file.close()
        self.files = {}
        trainer.strategy.barrier()
        if trainer.is_global_zero:
            for source in eval_sources(trainer):
                records = self._records(source.name)
                self._keep(source.name, records)
                if not source.scored:
                    self._submit(source, records)
            (self.folder / "unfinished.json").unlink(missing_ok=True)

    def _submit(self, source: Source, records: Sequence[Record]) -> None:
        """Write the file for the benchmark's server beside the folder."""
        by_id = {record["id"]: record for record in records}

        def answer(annotation: Annotation) -> Prediction:
            record = by_id.get(annotation.id)
            if record is None:
                return Prediction(malformed=True)
            return from_record(source.task, annotation, record)

        file = write_submission(self.folder.parent / source.name, source, answer)
        if file is not None:
            count = len(source.annotations)
            say(
                f"{source.name} has no answers in this split; for its server: {file} ({count} questions)"
            )


def _open(path: Path, mode: str) -> TextIO:
    # Lone surrogates, which no file can hold, are written as JSON's escapes for them.
    return cast(TextIO, path.open(mode, encoding="utf-8", errors="backslashreplace", newline="\n"))


def weights_of(trainer: Trainer, module: LightningModule) -> dict[str, Any]:
    """Which weights are tested: where they were read, and the files there."""
    # The weights of a sharded run are not taken by Lightning, but by the module.
    named = trainer.ckpt_path or getattr(module, "init_from", None)
    if named is None:
        return {"path": "", "files": []}
    path = Path(named).resolve()
    return {"path": str(path), "files": identity(path)}


def settings_of(trainer: Trainer, module: VistaModule) -> dict[str, Any]:
    """What else shapes the answers, beside the questions: prompts in token ids, decoding, precision."""
    encoding = trainer.datamodule.encoding  # type: ignore[attr-defined]
    return {
        "precision": str(trainer.precision),
        "decoding": asdict(module.decoder.settings),
        "template": encoding.template,
        "num_queries": encoding.num_queries,
        "image_size": encoding.transform.image_size,
        "text": module.text_settings(),
        # The tokenizer of instructions is in it.
        "tokenizer": sha256(module.tokenizer.to_json().encode()).hexdigest(),
    }


def subject_of(trainer: Trainer, module: VistaModule) -> str:
    """What the answers depend on, as JSON: the weights, the settings of prompts and decoding, the sources."""
    sources = [(s.name, str(s.root), len(s.annotations)) for s in eval_sources(trainer)]
    subject = {"weights": weights_of(trainer, module), "sources": sources}
    return json.dumps(subject | settings_of(trainer, module), default=str)
