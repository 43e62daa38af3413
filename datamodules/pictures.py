"""The images of annotations in columns, so that millions of them are looked for and compared without objects.

scene       0 0 1          of three annotations
images      b"coco/train2017/000000000009.jpg" b"coco/train2017/000000000025.jpg"
names       b"coco 9" b"coco 25" b"flickr 7"
image_of    0 1 1          of three names
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datamodules.compiled import SCHEMA, Annotations, picture
from vista.data import Annotation


@dataclass(frozen=True)
class Pictures:
    """The images of some annotations; those of a scene, of all annotations that show the same, stand here once.

    Attributes:
        scene: the number of each annotation's scene, int (N,).
        images: paths below the data root in bytes, (I,).
        scene_of: the scene of each image, int (I,).
        names: of photographs, in bytes, (M,); two images are the same photograph where they share any.
        image_of: the image that each name is of, int (M,).
    """

    scene: np.ndarray
    images: pa.ChunkedArray
    scene_of: np.ndarray
    names: pa.ChunkedArray
    image_of: np.ndarray

    @property
    def num_scenes(self) -> int:
        """One more than the highest number; some of them may have no annotation."""
        return int(self.scene_of.max(initial=self.scene.max(initial=-1))) + 1

    def of(self, rows: np.ndarray) -> "Pictures":
        """Those of some of the annotations, int (n,), alone."""
        shown = np.zeros(self.num_scenes, dtype=bool)
        shown[self.scene[rows]] = True
        kept = shown[self.scene_of]  # (I,)
        named = kept[self.image_of]  # (M,)
        place = np.cumsum(kept) - 1  # of each kept image among them
        return Pictures(
            self.scene[rows],
            self.images.filter(pa.array(kept)),
            self.scene_of[kept],
            self.names.filter(pa.array(named)),
            place[self.image_of[named]],
        )


def pictures(annotations: Sequence[Annotation]) -> Pictures:
    """The images of annotations, in a compiled table or in a list."""
    if isinstance(annotations, Annotations):
        shown = _of_table(annotations.table)
        return shown if annotations.rows is None else shown.of(annotations.rows)
    return _of_table(_table(annotations))


def _of_table(table: pa.Table) -> Pictures:
    scene = table["scene"].to_numpy()
    names = pc.list_flatten(table["names"])  # of each image a list
    return Pictures(
        scene,
        pc.list_flatten(table["images"]),
        np.repeat(scene, _lengths(table["images"])),
        pc.list_flatten(names),
        np.repeat(np.arange(len(names)), _lengths(names)),
    )


def _lengths(lists: pa.ChunkedArray) -> np.ndarray:
    return pc.list_value_length(lists).to_numpy()


def _table(annotations: Sequence[Annotation]) -> pa.Table:
    """As compiled ones, without the records."""
    scenes: dict[tuple[str, ...], int] = {}
    rows = [picture(annotation, scenes) for annotation in annotations]
    schema = SCHEMA.remove(SCHEMA.get_field_index("record"))
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * len(schema)
    return pa.table(columns, schema=schema)
