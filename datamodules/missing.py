"""What of a split cannot be used: records that its reader left out, and images that are not there.

A question whose image is missing stays a question, in every verb: it counts as wrong. A training sample keeps its
position, too, and is learned from with weight zero, unless `data.allow_missing` leaves it out.
"""

import os
import warnings
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from datamodules.by_image import scenes, select
from datamodules.compiled import Annotations
from datamodules.readers.reader import REPEATED
from vista.data import Annotation, InputError

TOLERATED = 0.01  # share of a split that may be unusable before the run stops
LISTED = 20  # problems that a message names


def check_split(what: str, annotations: Annotations, root: Path, allow_missing: bool) -> None:
    """Name in one warning what cannot be used, images included.

    Args:
        what: the split, for messages.
        annotations: all that its reader gives.
        root: the data root.
        allow_missing: accept it, however much it is.

    Raises:
        InputError: more than one per cent of the split cannot be used.
    """
    rows, images = absent_images(annotations, root)
    absent = [
        f"{annotations[row].id}: the image {image} is missing"
        for row, image in zip(rows[:LISTED].tolist(), images, strict=False)
    ]
    number = len(annotations.problems) + len(rows)
    total = len(annotations) + len(annotations.problems)
    # A record that stands twice is there: nothing is lost.
    repeated = sum(why == REPEATED for _, why in annotations.problems)
    if number - repeated > TOLERATED * total and not allow_missing:
        head = _count(what, number, total)
        advice = "set --data.allow_missing true to go on without them"
        raise InputError(f"{head}, {advice}: {_list(annotations, absent, number)}")
    _warn(what, annotations, absent, number)


def name_left_out(what: str, annotations: Annotations, root: Path) -> None:
    """Name in one warning the records that the reader left out; images are not looked at."""
    _warn(what, annotations, [], len(annotations.problems))


def _warn(what: str, annotations: Annotations, absent: list[str], number: int) -> None:
    if number:
        head = _count(what, number, len(annotations) + len(annotations.problems))
        warnings.warn(f"{head}: {_list(annotations, absent, number)}", stacklevel=3)


def _count(what: str, number: int, total: int) -> str:
    return f"{what}: {number} of {total} annotations cannot be used"


def _list(annotations: Annotations, absent: list[str], number: int) -> str:
    """The first problems, those of records before those of images."""
    left_out = [f"{key}: {why}" for key, why in annotations.problems[:LISTED]]
    return "; ".join([*left_out, *absent][:LISTED]) + ("; ..." if number > LISTED else "")


def with_images(annotations: Sequence[Annotation], root: Path) -> Sequence[Annotation]:
    """The annotations whose images are all there."""
    rows, _ = absent_images(annotations, root)
    return select(annotations, np.delete(np.arange(len(annotations)), rows))


def absent_images(annotations: Sequence[Annotation], root: Path) -> tuple[np.ndarray, list[str]]:
    """Which annotations have an image that is not there. Folders are listed once, not asked for each file.

    Returns:
        their indices, int (N,), and for each the last such image.
    """
    first, scene = scenes(annotations)
    images_of = [annotation.images for annotation in first]  # of each scene
    absent = _absent(set(chain.from_iterable(images_of)), root)
    last = [_last_of(images, absent) for images in images_of]  # empty: all are there
    incomplete = np.array([bool(image) for image in last], dtype=bool)  # (S,)
    rows = np.flatnonzero(incomplete[scene])
    return rows, [last[number] for number in scene[rows].tolist()]


def _last_of(images: tuple[str, ...], absent: set[str]) -> str:
    return next((image for image in reversed(images) if image in absent), "")


def _absent(images: set[str], root: Path) -> set[str]:
    """Those paths below the root that are no files."""
    by_folder: dict[str, set[str]] = defaultdict(set)
    for image in images:
        folder, _, name = image.rpartition("/")
        by_folder[folder].add(name)
    absent: set[str] = set()
    for folder, names in by_folder.items():
        there = os.listdir(root / folder) if (root / folder).is_dir() else []
        absent |= {f"{folder}/{name}" if folder else name for name in names.difference(there)}
    return absent
