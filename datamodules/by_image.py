"""Annotations by the images that they show, in a compiled table or in a list.

scenes(annotations)                 the first annotation of each scene, and the scene of each annotation
group_by_image(annotations, 4)      groups that one encoder pass serves
whole_images(annotations, 256)      about 256 annotations, those of whole images
"""

from collections.abc import Iterator, Sequence

import numpy as np

from datamodules.compiled import Annotations
from datamodules.order import Groups
from vista.data import Annotation


def scenes(annotations: Sequence[Annotation]) -> tuple[Iterator[Annotation], np.ndarray]:
    """Which annotations have the same images.

    Returns:
        the first annotation of each scene, and the number of each annotation's scene, int (N,).
    """
    if isinstance(annotations, Annotations):
        return annotations.scenes()
    first: dict[tuple[str, ...], Annotation] = {}
    for annotation in annotations:
        first.setdefault(annotation.images, annotation)
    numbers = {images: number for number, images in enumerate(first)}
    scene = np.array([numbers[annotation.images] for annotation in annotations], dtype=np.int32)
    return iter(first.values()), scene


def select(annotations: Sequence[Annotation], rows: np.ndarray) -> Sequence[Annotation]:
    """Some of the annotations, in the order of `rows`, int (N,)."""
    if len(rows) == len(annotations):
        return annotations
    if isinstance(annotations, Annotations):
        return annotations.select(rows)
    return [annotations[i] for i in rows.tolist()]


def group_by_image(annotations: Sequence[Annotation], most: int) -> Groups:
    """Groups of at most `most` annotations of the same images, so that one encoder pass serves them.

    Returns:
        groups of indices, in order of first occurrence.
    """
    _, scene = scenes(annotations)
    indices = np.argsort(scene, kind="stable")
    begins = np.flatnonzero(np.diff(scene[indices], prepend=-1))  # where each scene begins, (S,)
    sizes = np.diff(begins, append=len(indices))
    rank = np.arange(len(indices)) - np.repeat(begins, sizes)  # 0, 1, ... in each scene, (N,)
    starts = np.flatnonzero(rank % most == 0)
    return Groups(indices, np.append(starts, len(indices)))


def whole_images(annotations: Sequence[Annotation], most: int | None) -> Sequence[Annotation]:
    """About `most` annotations, those of whole images spread evenly over the file; None: all of them."""
    if most is None or len(annotations) <= most:
        return annotations
    groups = group_by_image(annotations, len(annotations))
    share = round(len(groups) * most / len(annotations))
    numbers = np.linspace(0, len(groups) - 1, max(1, share)).astype(int)
    return select(annotations, np.concatenate([groups[number] for number in numbers.tolist()]))
