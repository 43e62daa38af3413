"""Pictures of what the model says: a sheet for each source at every validation, and one for `predict`."""

from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from vista.data import Prediction
from vista.draw import contact_sheet, draw_answer, save_png
from vista.images import ImageError, load_image


class Pictures(Callback):
    """Draws the first answers of each scored source."""

    def __init__(self, folder: Path, count: int = 6) -> None:
        """Keep the settings.

        Args:
            folder: where `pictures/<source>_<step>.png` goes.
            count: answers on a sheet.
        """
        self.folder, self.count = folder, count

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw a sheet of the first batch, into the folder and TensorBoard."""
        if batch_idx or trainer.sanity_checking or not trainer.is_global_zero:
            return
        source = trainer.datamodule.eval_sources[dataloader_idx]  # type: ignore[attr-defined]
        drawn = [draw_question(source, a, p) for a, p in zip(batch["annotations"], outputs, strict=True) if a.images]
        sheet = contact_sheet(drawn[: self.count], columns=3)
        save_png(self.folder / "pictures" / f"{source.name}_{trainer.global_step:06d}.png", sheet)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(source.name, sheet, trainer.global_step, dataformats="HWC")

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """The same for `test`."""
        self.on_validation_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)


def draw_question(source: Any, annotation: Any, prediction: Prediction) -> Any:
    """The first image with the answer drawn on it and the prompt above, uint8 (H', W', 3); grey if unreadable."""
    try:
        image = load_image(source.root / annotation.images[0])
    except ImageError:
        return draw_answer(_grey(annotation), Prediction(text="(the image cannot be read)"), "")
    return draw_answer(image, prediction, source.task.prompt(annotation).replace("<image>", "").strip())


def _grey(annotation: Any) -> Any:
    import numpy as np

    height, width = annotation.sizes[0] if annotation.sizes else (96, 96)
    return np.full((height, width, 3), 128, dtype=np.uint8)
