"""Annotations by the images that they show, in a compiled table or in a list.

scenes(annotations)                 the number of each annotation's scene: which of them show the same images
scene_numbers(annotations, 0, 100)  numbers of the scenes of the first 100 annotations
group_by_image(annotations, 4)      groups that one encoder pass serves
whole_images(annotations, 256)      about 256 annotations, those of whole images
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from datamodules.compiled import Annotations
from vista.data import Annotation


@dataclass(frozen=True)
class ImageGroups:
    """Indices in groups, as two arrays: millions of groups cost no Python objects.

    Attributes:
        indices: those of all groups, one group after the other, int (N,).
        starts: where each group begins in `indices`, and N, int (G + 1,).
    """

    indices: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, group: int) -> np.ndarray:
        return self.indices[self.starts[group] : self.starts[group + 1]]


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


def scene_numbers(annotations: Sequence[Annotation], start: int, stop: int) -> np.ndarray:
    """Numbers that are the same for annotations start..stop - 1 of the same images, int (stop - start,)."""
    if not isinstance(annotations, Annotations):
        return scenes(annotations[start:stop])
    column = annotations.table["scene"]
    if annotations.rows is None:
        return column.slice(start, stop - start).to_numpy()
    rows = annotations.rows[start:stop]
    first, end = int(rows.min()), int(rows.max()) + 1
    return column.slice(first, end - first).to_numpy()[rows - first]


def select(annotations: Sequence[Annotation], rows: np.ndarray) -> Sequence[Annotation]:
    """Some of the annotations, in the order of `rows`, int (N,)."""
    if len(rows) == len(annotations):
        return annotations
    if isinstance(annotations, Annotations):
        return annotations.select(rows)
    return [annotations[i] for i in rows.tolist()]


def group_by_image(annotations: Sequence[Annotation], most: int) -> ImageGroups:
    """Groups of at most `most` annotations of the same images, so that one encoder pass serves them.

    Returns:
        groups of indices, in order of first occurrence.
    """
    return in_groups(scenes(annotations), most)


def in_groups(scene: np.ndarray, most: int) -> ImageGroups:
    """Groups of at most `most` indices of the same scene, int (N,); scenes in the order of their numbers."""
    # Stable, so that annotations of one scene stay in the order of the file.
    indices = np.argsort(scene, kind="stable")
    begins = np.flatnonzero(np.diff(scene[indices], prepend=-1))  # where each scene begins, (S,)
    sizes = np.diff(begins, append=len(indices))
    begin = np.repeat(begins, sizes)  # of each annotation's scene, (N,)
    rank = np.arange(len(indices)) - begin  # 0, 1, ... in each scene, (N,)
    starts = np.flatnonzero(rank % most == 0)
    bounds = np.append(starts, len(indices))  # (G + 1,)
    return ImageGroups(indices, bounds)


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
