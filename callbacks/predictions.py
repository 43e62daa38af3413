"""Every prediction of `test`, as it is made: `predictions/<source>.jsonl`, one JSON object a line.

While a test runs, `predictions/unfinished.json` says of what. If it is killed, the next test of the same checkpoint
under the same settings takes the answers that are there and asks for the others only.
"""

import json
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any, TextIO, cast

from lightning import Callback, LightningModule, Trainer

from vista.module import VistaModule
from vista.predictions import Record, read_records, to_record
from vista.tokens.batch_types import EvaluationBatch
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
        names = [source.name for source in eval_sources(trainer)]
        module = cast(VistaModule, pl_module)
        mark, subject = self.folder / "unfinished.json", subject_of(trainer, module)
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            resumed = mark.is_file() and mark.read_text() == subject
            for name in names:
                self._join(name, resumed)
            mark.write_text(subject)
        trainer.strategy.barrier()
        recorded = {name: self._read(name) for name in names}
        module.recorded = recorded
        count = sum(map(len, recorded.values()))
        if trainer.is_global_zero and count:
            print(f"{count} answers of an unfinished test are taken from {self.folder}")
        trainer.strategy.barrier()  # all have read before anyone writes

    def _join(self, name: str, keep: bool) -> None:
        """Bring the answers of all processes into one file, without a cut line; or remove them."""
        path = self.folder / f"{name}.jsonl"
        parts = sorted(self.folder.glob(f"{name}.*jsonl"))
        records = chain.from_iterable(read_records(part) for part in parts)
        lines = [as_line(record) for record in records]
        # Written aside and renamed: a kill here must not lose what was there.
        if keep and lines:
            joined = path.with_suffix(".joined")
            joined.write_text("".join(dict.fromkeys(lines)), encoding="utf-8")
            joined.replace(path)
        for part in parts:
            if part != path or not keep:
                part.unlink()

    def _read(self, name: str) -> dict[str, Record]:
        path = self.folder / f"{name}.jsonl"
        return {record["id"]: record for record in read_records(path)} if path.is_file() else {}

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
            self.files[source.name] = path.open("a", encoding="utf-8")
        for annotation, prediction in zip(batch["annotations"], outputs, strict=True):
            if annotation.id not in recorded:
                prompt = source.question(annotation)[0][0]
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
                self._join(source.name, keep=True)
            (self.folder / "unfinished.json").unlink(missing_ok=True)


def as_line(record: Record) -> str:
    """A record as a line of a JSONL file."""
    return json.dumps(record, ensure_ascii=False) + "\n"


def subject_of(trainer: Trainer, module: VistaModule) -> str:
    """What the answers depend on, as JSON: the checkpoint, the settings of text and decoding, the sources."""
    checkpoint = Path(str(trainer.ckpt_path))
    decoding = asdict(module.decoder.settings)
    sources = [(s.name, str(s.root), len(s.annotations)) for s in eval_sources(trainer)]
    modified = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    subject = {
        "checkpoint": str(checkpoint),
        "modified": modified,
        "decoding": decoding,
        "sources": sources,
    }
    return json.dumps(subject | {"text": module.text_settings()}, default=str)
