"""The answer to a person's question: `predict` prints its text and draws it."""

import math
import sys
from pathlib import Path

from lightning import Callback, LightningModule, Trainer

from callbacks.pictures import draw_question
from vista.data import Prediction
from vista.draw import save_png
from vista.printable import say
from vista.tokens.batch_types import EvaluationBatch
from vista.training.evaluation import eval_sources


class Answers(Callback):
    """Prints the answer alone on the standard output; where the picture went, on the standard error."""

    def __init__(self, out: Path) -> None:
        """Keep the file.

        Args:
            out: where the picture goes, PNG.
        """
        self.out = out

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: list[Prediction],
        batch: EvaluationBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Print and draw the one answer."""
        if not trainer.is_global_zero:
            return
        source = eval_sources(trainer)[dataloader_idx]
        for annotation, prediction in zip(batch["annotations"], outputs, strict=True):
            say(prediction.text)
            save_png(self.out, draw_question(source, annotation, prediction, exif=True))
            say(f"picture: {self.out}", file=sys.stderr)
            if prediction.confidence is not None:
                print(
                    f"mean probability of the words: {math.exp(prediction.confidence):.2f}",
                    file=sys.stderr,
                )
            if prediction.spreads:
                spread = sum(prediction.spreads) / len(prediction.spreads)
                print(f"mean spread of the coordinates: {spread:.0f} bins", file=sys.stderr)
