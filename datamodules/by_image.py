"""Annotations by the images that they show, in a compiled table or in a list.

scenes(annotations)                 the number of each annotation's scene: which of them show the same images
group_by_image(annotations, 4)      groups that one encoder pass serves
whole_images(annotations, 256)      about 256 annotations, those of whole images
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from datamodules.compiled import Annotations
from datamodules.order import Groups
from vista.data import Annotation


def scenes(annotations: Sequence[Annotation]) -> np.ndarray:
    """Which annotations have the same images: the number of each one's scene, in order of first occurrence, (N,)."""
    if not isinstance(annotations, Annotations):
        # The order of images tells pairs apart: ("a", "b") and ("b", "a") are two scenes.
        seen: dict[tuple[str, ...], int] = {}
        numbers = [seen.setdefault(annotation.images, len(seen)) for annotation in annotations]
        return np.array(numbers, dtype=np.int32)
    scene = annotations.table["scene"].to_numpy()
    if annotations.rows is None:
        return scene
    return pa.array(scene[annotations.rows]).dictionary_encode().indices.to_numpy()


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
    scene = scenes(annotations)
    # Stable, so that annotations of one scene stay in the order of the file.
    indices = np.argsort(scene, kind="stable")
    begins = np.flatnonzero(np.diff(scene[indices], prepend=-1))  # where each scene begins, (S,)
    sizes = np.diff(begins, append=len(indices))
    begin = np.repeat(begins, sizes)  # of each annotation's scene, (N,)
    rank = np.arange(len(indices)) - begin  # 0, 1, ... in each scene, (N,)
    starts = np.flatnonzero(rank % most == 0)
    bounds = np.append(starts, len(indices))  # (G + 1,)
    return Groups(indices, bounds)


def whole_images(annotations: Sequence[Annotation], most: int | None) -> Sequence[Annotation]:
    """About `most` annotations, those of whole images spread evenly over the file; None: all of them."""
    if most is None or len(annotations) <= most:
        return annotations
    groups = group_by_image(annotations, len(annotations))
    share = round(len(groups) * most / len(annotations))
    last = len(groups) - 1
    numbers = np.linspace(0, last, max(1, share)).astype(int)
    rows = [groups[number] for number in numbers.tolist()]
    return select(annotations, np.concatenate(rows))
