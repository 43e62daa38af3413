"""Scenes of the generated world: coloured shapes on a grey background, with exact masks and boxes.

    rng = generator(seed=0, stream="train", index=7)
    scene = draw_scene(rng, draw_kinds(rng), image_size=96)
    scene.image                 # uint8 (96, 96, 3), RGB
    scene.objects[0].name       # "large red circle"
    scene.objects[0].mask       # bool (96, 96): a pixel belongs to the object if its centre does
    scene.objects[0].box        # xyxy, pixels, edge convention: x1 is the last column + 1

A scene is a pure function of (seed, stream, index) and, in training, of the number of scenes: they are sorted from few
objects to many (`crowd`), so that files can be learned from in their order. Streams are the splits: two streams, or two
indices of one stream, use different keys of a counter-based generator (Philox), so splits share no scene and any
process can draw any scene.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

_SPLITS = ("train", "val", "test")
_FORMAT_SPLITS = {
    "visual_genome": _SPLITS,
    "flickr30k_entities": _SPLITS,
    "vcr": _SPLITS,
    "textvqa": _SPLITS,
    "iconqa": _SPLITS,
    "hateful_memes": ("train", "dev_seen", "dev_unseen", "test_seen", "test_unseen"),
    "coseg": ("pascal", "msrc", "icoseg"),
    "groupwise_res": _SPLITS,
}
# A stream's place is part of its key: new ones are added at the end.
STREAMS = (
    *(
        "train",
        "val",
        "test",
        "refer_test",
        "pretrain",
        "nlvr2_train",
        "nlvr2_dev",
        "nlvr2_test1",
        "language",
    ),
    *(f"{name}_{split}" for name, splits in _FORMAT_SPLITS.items() for split in splits),
)
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
EASY_SHARE = 0.7
GAP_SHARE = 0.04  # objects that are cut in two, so that masks of two parts exist
SUBPIXELS = 3  # odd: the middle sample is the pixel's centre


class Kind(NamedTuple):
    """What an object is, without where."""

    size: str
    color: str
    shape: str


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
        rows, columns = np.flatnonzero(self.mask.any(1)), np.flatnonzero(self.mask.any(0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@dataclass(frozen=True, slots=True)
class Scene:
    """An image, uint8 (H, W, 3) in RGB, and its objects from left to right."""

    image: np.ndarray
    objects: tuple[SceneObject, ...]


def generator(seed: int, stream: str, index: int) -> np.random.Generator:
    """The random generator that belongs to one index of one stream; every other one is independent of it."""
    return np.random.Generator(
        np.random.Philox(key=np.array([seed, STREAMS.index(stream) << 40 | index], np.uint64))
    )


def crowd(index: int, total: int) -> int:
    """Most objects of a training scene: one at first, and as many as there may be after `EASY_SHARE` of all scenes."""
    return min(MAX_OBJECTS, 1 + int(index * MAX_OBJECTS / (EASY_SHARE * total)))


def draw_kinds(rng: np.random.Generator, number: int = 0) -> list[Kind]:
    """So many kinds, 0: one to four; a later one often repeats a colour or a shape, so that one seldom identifies."""
    kinds: list[Kind] = []
    colors = tuple(COLORS)
    for _ in range(number or 1 + int(rng.integers(MAX_OBJECTS))):
        u = rng.random(5)
        size, color, shape = (
            tuple(RADII)[int(2 * u[0])],
            colors[int(6 * u[1])],
            SHAPES[int(4 * u[2])],
        )
        if kinds and u[3] < 0.3:
            color = kinds[-1].color
        if kinds and u[4] < 0.3:
            shape = kinds[0].shape
        kinds.append(Kind(size, color, shape))
    return kinds


def draw_scene(
    rng: np.random.Generator, kinds: Sequence[Kind], image_size: int = REFERENCE_SIZE
) -> Scene:
    """Places the kinds without overlap, wholly inside the image, and draws them.

    Raises:
        ValueError: no room was found for so many objects.
    """
    placed = _place(rng, kinds, image_size)
    image = np.empty((image_size, image_size, 3), np.float32)
    image[:] = rng.uniform(70, 215) + rng.uniform(-6, 6, 3)
    objects = [
        paint(image, item, np.array(COLORS[item.kind.color]) + rng.uniform(-12, 12, 3))
        for item in placed
    ]
    image += rng.integers(-3, 4, (image_size, image_size, 1), np.int8)
    return Scene(
        np.clip(image, 0, 255).astype(np.uint8), tuple(sorted(objects, key=lambda item: item.x))
    )


def _place(rng: np.random.Generator, kinds: Sequence[Kind], image_size: int) -> list[SceneObject]:
    """Positions by rejection: the squares around the objects keep 2 pixels apart; a crowded start is thrown away."""
    scale = image_size / REFERENCE_SIZE
    for _ in range(200):
        placed: list[SceneObject] = []
        for kind in kinds:
            for u in rng.random((20, 3)).tolist():
                low, high = RADII[kind.size]
                radius = scale * (low + (high - low) * u[0])
                x, y = (1 + radius + (image_size - 2 - 2 * radius) * v for v in u[1:])
                if all(max(abs(x - o.x), abs(y - o.y)) > radius + o.radius + 2 for o in placed):
                    placed.append(
                        SceneObject(
                            kind, x, y, radius, _draw_gap(rng, radius), np.zeros((0, 0), bool)
                        )
                    )
                    break
        if len(placed) == len(kinds):
            return placed
    raise ValueError(
        f"{len(kinds)} objects do not fit into an image of {image_size} x {image_size} pixels"
    )


def _draw_gap(rng: np.random.Generator, radius: float) -> Gap | None:
    """A cut of 2-3 pixels that leaves about 35 % on one side, for a few of the objects."""
    u = rng.random(4)
    if u[0] >= GAP_SHARE:
        return None
    side = 1 if u[1] < 0.5 else -1
    return Gap("x" if u[2] < 0.5 else "y", side * 0.3 * radius, 2.0 + u[3])


# Whether points (offsets from the centre in units of the radius) lie in a shape.
_INSIDE: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": lambda x, y: x**2 + y**2 <= 1,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) <= 0.9,
    "triangle": lambda x, y: (y <= 0.85) & (abs(x) * 1.85 <= y + 1),
    "ring": lambda x, y: abs(x**2 + y**2 - 0.625) <= 0.375,  # radii 0.5 and 1
}


def paint(image: np.ndarray, item: SceneObject, rgb: np.ndarray) -> SceneObject:
    """Blends an object into the image by its share of each pixel, and gives it its mask."""
    window = tuple(slice(int(c - item.radius), int(c + item.radius) + 2) for c in (item.y, item.x))
    ys, xs = (
        s.start + (np.arange((s.stop - s.start) * SUBPIXELS) + 0.5) / SUBPIXELS - c
        for s, c in zip(window, (item.y, item.x), strict=True)
    )
    inside = _INSIDE[item.kind.shape](xs[None, :] / item.radius, ys[:, None] / item.radius)
    if item.gap is not None:
        along = xs[None, :] if item.gap.axis == "x" else ys[:, None]
        inside &= abs(along - item.gap.offset) > item.gap.width / 2
    middle = SUBPIXELS // 2
    mask = np.zeros(image.shape[:2], bool)
    mask[window] = inside[middle::SUBPIXELS, middle::SUBPIXELS]
    height, width = mask[window].shape
    share = inside.reshape(height, SUBPIXELS, width, SUBPIXELS).mean((1, 3), dtype=np.float32)[
        ..., None
    ]
    image[window] += share * (rgb.astype(np.float32) - image[window])
    return replace(item, mask=mask)
