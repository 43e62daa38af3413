"""Scenes of the generated world: coloured shapes on a grey background, with exact masks and boxes.

rng = generator(seed=0, stream="train", index=7)            # streams.py
scene = draw_scene(rng, draw_kinds(rng), image_size=96)     # drawing.py
scene.image                 # uint8 (96, 96, 3), RGB
scene.objects[0].name       # "large red circle"
scene.objects[0].mask       # bool (96, 96): a pixel belongs to the object if its centre does
scene.objects[0].box        # xyxy, pixels, edge convention: x1 is the last column + 1
"""

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np

SHAPES = ("circle", "square", "triangle", "ring")
COLORS = {
    "red": (214, 38, 40),
    "green": (40, 160, 56),
    "blue": (42, 76, 218),
    "yellow": (238, 218, 48),
    "purple": (148, 56, 186),
    "orange": (244, 136, 28),
}
RADII = {"small": (7.0, 9.5), "large": (13.0, 18.0)}  # pixels of an image of REFERENCE_SIZE
REFERENCE_SIZE = 96
MAX_OBJECTS = 4


class Kind(NamedTuple):
    """What an object is, without where."""

    size: str
    color: str
    shape: str


VALUES = {
    "size": tuple(RADII),
    "color": tuple(COLORS),
    "shape": SHAPES,
}  # of a kind's fields
COLORED_SHAPES = [Kind("", color, shape) for color, shape in product(COLORS, SHAPES)]


class Gap(NamedTuple):
    """A cut through an object: `axis` "x" or "y", `offset` of its middle from the centre and `width` in pixels."""

    axis: str
    offset: float
    width: float


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object of a scene.

    Attributes:
        kind: size, colour and shape.
        x, y, radius: centre and half extent in pixels; the object lies in the square x +- radius, y +- radius.
        gap: the cut, None for a whole object.
        mask: bool (H, W) of the whole image; empty (0, 0) before the scene is drawn.
    """

    kind: Kind
    x: float
    y: float
    radius: float
    gap: Gap | None
    mask: np.ndarray

    @property
    def name(self) -> str:
        """The full name, "large red circle"."""
        return " ".join(self.kind)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The exact extent of the mask: xyxy, pixels, edge convention."""
        rows = np.flatnonzero(self.mask.any(1)).tolist()
        columns = np.flatnonzero(self.mask.any(0)).tolist()
        return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@dataclass(frozen=True, slots=True)
class Scene:
    """An image, uint8 (H, W, 3) in RGB, and its objects from left to right."""

    image: np.ndarray
    objects: tuple[SceneObject, ...]

    @property
    def kinds(self) -> list[Kind]:
        """What the objects are, in their order."""
        return [item.kind for item in self.objects]

    def values(self, field: str) -> list[str]:
        """The sizes, colours or shapes that occur, sorted; `field` is "size", "color" or "shape"."""
        return sorted({getattr(kind, field) for kind in self.kinds})
