"""What of a split cannot be used: records that its reader left out, and images that are not there.

A question whose image is missing stays a question, in every verb: it counts as wrong. A training sample keeps its
position, too, and is learned from with weight zero, unless `data.allow_missing` leaves it out.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from datamodules.by_image import select
from datamodules.compiled import Annotations, decode
from datamodules.listing import Listing
from datamodules.pictures import pictures
from datamodules.readers.own import PASSED_OVER
from datamodules.readers.reader import REPEATED
from vista.data import Annotation, InputError

TOLERATED = 0.01  # share of a split that may be unusable before the run stops
LISTED = 20  # problems that a message names


def check_split(
    what: str, annotations: Annotations, root: Path, listing: Listing, allow_missing: bool
) -> None:
    """Name in one warning what cannot be used, images included.

    Args:
        what: the split, for messages.
        annotations: all that its reader gives.
        root: the data root.
        listing: of its files.
        allow_missing: accept it, however much it is.

    Raises:
        InputError: more than one per cent of the split cannot be used.
    """
    rows, images = absent_images(annotations, root, listing)
    absent = [
        f"{annotations[row].id}: the image {image} is missing"
        for row, image in zip(rows.tolist(), images, strict=False)
    ]
    number = len(annotations.problems) + len(rows)
    total = len(annotations) + len(annotations.problems)
    # A record that stands twice is there, and one that nobody asks about is sound: nothing is lost.
    sound = sum(why in (REPEATED, *PASSED_OVER) for _, why in annotations.problems)
    if number - sound > TOLERATED * total and not allow_missing:
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


def with_images(
    annotations: Sequence[Annotation], root: Path, listing: Listing
) -> Sequence[Annotation]:
    """The annotations whose images are all there."""
    rows, _ = absent_images(annotations, root, listing)
    return select(annotations, np.delete(np.arange(len(annotations)), rows))


def absent_images(
    annotations: Sequence[Annotation], root: Path, listing: Listing
) -> tuple[np.ndarray, list[str]]:
    """Which annotations have an image that is not there.

    Returns:
        their indices, int (N,), and for each of the first ones the last such image.
    """
    shown = pictures(annotations)
    absent = np.flatnonzero(listing.absent(shown.images, root))
    last = np.full(shown.num_scenes, -1)
    last[shown.scene_of[absent]] = absent  # of several the last one stays
    rows = np.flatnonzero(last[shown.scene] >= 0)
    first = shown.images.take(pa.array(last[shown.scene[rows[:LISTED]]]))
    return rows, [decode(image) for image in first.to_pylist()]
