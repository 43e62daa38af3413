"""Every prediction of `test`, as it is made: `predictions/<source>.jsonl`, one JSON object a line."""

import json
from pathlib import Path
from typing import Any, TextIO

from lightning import Callback, LightningModule, Trainer


class Predictions(Callback):
    """Writes id, prompt and text of every answer."""

    def __init__(self, folder: Path) -> None:
        """Keep the folder.

        Args:
            folder: of the run; a file of each source goes below it. Processes but the first add their rank.
        """
        self.folder = folder / "predictions"
        self.files: dict[str, TextIO] = {}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Append the answers of a batch."""
        source = trainer.datamodule.eval_sources[dataloader_idx]  # type: ignore[attr-defined]
        if source.name not in self.files:
            self.folder.mkdir(parents=True, exist_ok=True)
            rank = f".{trainer.global_rank}" if trainer.global_rank else ""
            self.files[source.name] = (self.folder / f"{source.name}{rank}.jsonl").open("w", encoding="utf-8")
        for annotation, prediction in zip(batch["annotations"], outputs, strict=True):
            prompt = source.task.prompt(annotation)
            record = {"id": annotation.id, "prompt": prompt, "text": prediction.text, "malformed": prediction.malformed}
            record |= {"scores": prediction.scores} if prediction.scores else {}
            self.files[source.name].write(json.dumps(record, ensure_ascii=False) + "\n")
        self.files[source.name].flush()  # a killed test leaves whole batches

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the files."""
        for file in self.files.values():
            file.close()
        self.files = {}
