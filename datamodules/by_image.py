"""Annotations by the images that they show, in a compiled table or in a list.

scenes(annotations)                 the first annotation of each scene, and the scene of each annotation
scene_numbers(annotations, 0, 100)  numbers of the scenes of the first 100 annotations
group_by_image(annotations, 4)      groups that one encoder pass serves
whole_images(annotations, 256)      about 256 annotations, those of whole images
"""

import json
from collections.abc import Iterator, Sequence
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


def scenes(annotations: Sequence[Annotation]) -> tuple[Iterator[Annotation], np.ndarray]:
    """Which annotations have the same images.

    Returns:
        the first annotation of each scene, and the number of each annotation's scene, int (N,).
    """
    if isinstance(annotations, Annotations):
        return _compiled_scenes(annotations)
    # The order of images tells pairs apart: ("a", "b") and ("b", "a") are two scenes.
    first: dict[tuple[str, ...], Annotation] = {}
    for annotation in annotations:
        first.setdefault(annotation.images, annotation)
    numbers = {images: number for number, images in enumerate(first)}
    scene = [numbers[annotation.images] for annotation in annotations]
    return iter(first.values()), np.array(scene, dtype=np.int32)


def scene_numbers(annotations: Sequence[Annotation], start: int, stop: int) -> np.ndarray:
    """Numbers that are the same for annotations start..stop - 1 of the same images, int (stop - start,)."""
    if not isinstance(annotations, Annotations):
        return scenes(annotations[start:stop])[1]
    column = annotations.table["scene"]
    if annotations.rows is None:
        return column.slice(start, stop - start).to_numpy()
    rows = annotations.rows[start:stop]
    first, end = int(rows.min()), int(rows.max()) + 1
    return column.slice(first, end - first).to_numpy()[rows - first]


def _compiled_scenes(annotations: Annotations) -> tuple[Iterator[Annotation], np.ndarray]:
    """As `scenes`, without a look at the records: of the first annotations there is only what `picture` tells."""
    numbers = annotations.table["scene"].to_numpy()
    if annotations.rows is not None:
        numbers = numbers[annotations.rows]
    encoded = pa.array(numbers).dictionary_encode()
    pictures = annotations.table["picture"].drop_null()
    first = _annotations_of(pictures.take(encoded.dictionary))
    return first, encoded.indices.to_numpy()


def _annotations_of(pictures: pa.ChunkedArray) -> Iterator[Annotation]:
    for chunk in pictures.chunks:
        # All of a chunk at once takes half the time of one after the other.
        records = ",".join(chunk.to_pylist())
        for images, photos in json.loads(f"[{records}]"):
            names = tuple(map(tuple, photos))
            yield Annotation("", tuple(images), photos=names)


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
    return in_groups(scenes(annotations)[1], most)


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
