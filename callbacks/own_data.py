"""How own data was read: which convention its coordinates are in, and three boxes drawn, when training begins."""

from pathlib import Path

import numpy as np
from lightning import Callback, LightningModule, Trainer

from vista.data import Annotation, Prediction
from vista.draw import contact_sheet, draw_answer, save_png
from vista.images import ImageError, load_image
from vista.printable import say
from vista.task import Source

EXAMPLES = 3


class OwnDataExamples(Callback):
    """Says of each source of own data how its file was read; boxes shifted by a wrong convention are seen at once."""

    def __init__(self, folder: Path) -> None:
        """Keep the folder; `pictures/own_<source>.png` goes there."""
        self.folder = folder

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say it and draw, in one process."""
        if not trainer.is_global_zero:
            return
        for source in getattr(trainer.datamodule, "train_sources", []):  # type: ignore[attr-defined]
            found = len(source.annotations) and source.annotations[0].extra.get("found")
            if found:
                path = self.folder / "pictures" / f"own_{source.name}.png"
                save_png(path, contact_sheet(examples(source), columns=EXAMPLES))
                say(f"{source.name}: {found}; three of them are drawn in {path}")


def examples(source: Source) -> list[np.ndarray]:
    """Three samples with their annotated boxes, from the beginning, the middle and the end."""
    number = len(source.annotations)
    places = sorted({0, number // 2, number - 1})
    return [drawn(source.root, source.annotations[place]) for place in places]


def drawn(root: Path, annotation: Annotation) -> np.ndarray:
    """The annotated boxes on their image, grey where it cannot be read, uint8 (H, W, 3)."""
    try:
        image = load_image(root / annotation.images[0])
    except ImageError:
        image = np.full((*annotation.sizes[0], 3), 128, np.uint8)
    return draw_answer(image, Prediction(boxes=list(annotation.boxes)), annotation.expression)
