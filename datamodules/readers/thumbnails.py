"""Is an image among some others, under whatever name, size or compression? By its thumbnail in grey."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.readers.mask_images import UNREADABLE, damage
from datamodules.readers.reader import Reader

SIDE = 16
TOLERANCE = 6.0  # mean difference in grey values, of 255; another compression of one image differs by about 1
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


def thumbnail(path: Path) -> np.ndarray:
    """An image file in 16 x 16 grey values, float32 (256,)."""
    with Image.open(path) as image:
        image.draft("L", (8 * SIDE, 8 * SIDE))  # a JPEG is decoded no larger than needed
        return np.asarray(
            image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32
        ).ravel()


def thumbnails(reader: Reader, paths: Iterable[Path]) -> np.ndarray:
    """Thumbnails of the image files among some paths, float32 (number, 256); the reader is told of damaged ones."""
    found = [np.zeros((0, SIDE * SIDE), np.float32)]
    for path in sorted(path for path in paths if path.suffix.lower() in SUFFIXES):
        try:
            found.append(thumbnail(path)[None])
        except UNREADABLE as error:
            reader.leave_out(path.relative_to(reader.root), damage(path, error))
    return np.concatenate(found)


def alike(path: Path, others: np.ndarray) -> bool:
    """Whether an image file looks like one of others, float32 (number, 256); a missing file looks like none."""
    if not len(others) or not path.is_file():
        return False
    return bool(np.abs(others - thumbnail(path)).mean(axis=1).min() < TOLERANCE)
