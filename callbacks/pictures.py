"""Pictures of what the model answers: a sheet for each source at every validation, and one for `predict`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from vista.data import Annotation, Prediction
from vista.draw import contact_sheet, draw_answer, save_png
from vista.images import ImageError, load_image
from vista.task import Source
from vista.tokens.batch_types import EvaluationBatch
from vista.training.evaluation import eval_sources


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
        batch: EvaluationBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw a sheet of the first batch, into the folder and TensorBoard."""
        if batch_idx or trainer.sanity_checking or not trainer.is_global_zero:
            return
        source = eval_sources(trainer)[dataloader_idx]
        answers = zip(batch["annotations"], outputs, strict=True)
        drawable = [(annotation, pred) for annotation, pred in answers if annotation.images]
        if not drawable:
            return
        pictures = [draw_question(source, *answer) for answer in drawable[: self.count]]
        sheet = contact_sheet(pictures, columns=3)
        save_png(self.folder / "pictures" / f"{source.name}_{trainer.global_step:06d}.png", sheet)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(
                    source.name,
                    sheet,
                    trainer.global_step,
                    dataformats="HWC",
                )

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: EvaluationBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """The same for `test`."""
        self.on_validation_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)


def draw_question(
    source: Source,
    annotation: Annotation,
    prediction: Prediction,
    exif: bool = False,
) -> np.ndarray:
    """The images side by side with the answer on them, the prompt and the text below the first.

    Args:
        source: gives the task and the data root.
        annotation: what was asked; an image that cannot be read is grey.
        prediction: the answer. Boxes lie in the first image; so do masks, unless there is one for each image.
        exif: turn images upright, as they were for the model.

    Returns:
        uint8 (H', W', 3), RGB.
    """
    prompt = " ".join(source.question(annotation)[0][0].replace("<image>", " ").split())
    several = len(annotation.images) > 1
    mask_per_image = several and len(prediction.masks) == len(annotation.images)
    pictures = []
    for k, path in enumerate(annotation.images):
        image = _image(source.root / path, annotation, k, exif)
        # What is not of this image alone is drawn on the first one.
        part = prediction if k == 0 else Prediction()
        masks = [prediction.masks[k]] if mask_per_image else part.masks
        # A wrong size in an official file must not end the run.
        fitting = [mask for mask in masks if mask.shape == image.shape[:2]]
        title = prompt if k == 0 else ""
        pictures.append(draw_answer(image, replace(part, masks=fitting), title))
    return contact_sheet(pictures, columns=len(pictures)) if several else pictures[0]


def _image(
    path: Path,
    annotation: Annotation,
    k: int,
    exif: bool,
) -> np.ndarray:
    """Pixels of the k-th image, grey ones if it cannot be read."""
    try:
        return load_image(path, exif=exif)
    except ImageError:
        size = annotation.sizes[k] if k < len(annotation.sizes) else (96, 96)
        return np.full((*size, 3), 128, dtype=np.uint8)
