"""Drawing scenes: what is in them, where it lies, and the pixels.

    rng = generator(seed=0, stream="train", index=7)
    scene = draw_scene(rng, draw_kinds(rng), image_size=96)

The order of the draws from `rng` is part of the world: each change of it gives other files for the same seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from datamodules.synthetic.scene import (
    COLORS,
    MAX_OBJECTS,
    RADII,
    REFERENCE_SIZE,
    SHAPES,
    Gap,
    Kind,
    Scene,
    SceneObject,
)

GAP_SHARE = 0.04  # objects that are cut in two, so that masks of two parts exist
MARGIN = 1  # free pixels at the image's border
DISTANCE = 2  # free pixels between the squares around two objects
NUM_STARTS = 200
NUM_TRIES = 20
SUBPIXELS = 3  # odd: the middle sample is the pixel's centre


def draw_kinds(rng: np.random.Generator, number: int = 0) -> list[Kind]:
    """So many kinds, 0: one to four; a later one often repeats a colour or a shape, so that one seldom identifies."""
    kinds: list[Kind] = []
    sizes = tuple(RADII)
    colors = tuple(COLORS)
    if number == 0:
        number = 1 + int(rng.integers(MAX_OBJECTS))
    for _ in range(number):
        u = rng.random(5)  # of size, colour, shape, repeating a colour, repeating a shape
        size = sizes[int(2 * u[0])]
        color = colors[int(6 * u[1])]
        shape = SHAPES[int(4 * u[2])]
        if kinds and u[3] < 0.3:
            color = kinds[-1].color
        if kinds and u[4] < 0.3:
            shape = kinds[0].shape
        kinds.append(Kind(size, color, shape))
    return kinds


def draw_scene(
    rng: np.random.Generator,
    kinds: Sequence[Kind],
    image_size: int = REFERENCE_SIZE,
) -> Scene:
    """Places the kinds without overlap, wholly inside the image, and draws them.

    Raises:
        ValueError: no room was found for so many objects.
    """
    items = _place_all(rng, kinds, image_size)
    image = np.empty((image_size, image_size, 3), np.float32)
    grey = rng.uniform(70, 215)
    tint = rng.uniform(-6, 6, 3)
    image[:] = grey + tint
    objects = []
    for item in items:
        color = np.array(COLORS[item.kind.color])
        rgb = color + rng.uniform(-12, 12, 3)
        objects.append(paint(image, item, rgb))
    image += rng.integers(-3, 4, (image_size, image_size, 1), np.int8)
    objects.sort(key=lambda item: item.x)
    pixels = np.clip(image, 0, 255).astype(np.uint8)
    return Scene(pixels, tuple(objects))


def _place_all(
    rng: np.random.Generator,
    kinds: Sequence[Kind],
    image_size: int,
) -> list[SceneObject]:
    """Positions by rejection; a start after which no room is left for a later object is thrown away."""
    for _ in range(NUM_STARTS):
        objects: list[SceneObject] = []
        for kind in kinds:
            item = _place(rng, kind, objects, image_size)
            if item is not None:
                objects.append(item)
        if len(objects) == len(kinds):
            return objects
    size = f"{image_size} x {image_size}"
    raise ValueError(f"{len(kinds)} objects do not fit into an image of {size} pixels")


def _place(
    rng: np.random.Generator,
    kind: Kind,
    others: Sequence[SceneObject],
    image_size: int,
) -> SceneObject | None:
    """One object beside the others; None where no try found room."""
    scale = image_size / REFERENCE_SIZE
    # All tries are drawn at once, so that the next object's numbers do not depend on how many were needed.
    smallest, largest = RADII[kind.size]
    for u in rng.random((NUM_TRIES, 3)).tolist():  # of the radius, x and y
        radius = scale * (smallest + (largest - smallest) * u[0])
        first = MARGIN + radius
        room = image_size - 2 * MARGIN - 2 * radius
        x = first + room * u[1]
        y = first + room * u[2]
        if _is_free(x, y, radius, others):
            gap = _draw_gap(rng, radius)
            no_mask = np.zeros((0, 0), bool)  # until it is painted
            return SceneObject(kind, x, y, radius, gap, no_mask)
    return None


def _is_free(
    x: float,
    y: float,
    radius: float,
    others: Sequence[SceneObject],
) -> bool:
    for other in others:
        dx = abs(x - other.x)
        dy = abs(y - other.y)
        distance = max(dx, dy)
        if distance <= radius + other.radius + DISTANCE:
            return False
    return True


def _draw_gap(rng: np.random.Generator, radius: float) -> Gap | None:
    """A cut of 2-3 pixels that leaves about 35 % on one side, for a few of the objects."""
    u = rng.random(4)  # of having one, side, axis and width
    if u[0] >= GAP_SHARE:
        return None
    side = 1 if u[1] < 0.5 else -1
    axis = "x" if u[2] < 0.5 else "y"
    offset = side * 0.3 * radius
    width = 2.0 + u[3]
    return Gap(axis, offset, width)


# Whether points (offsets from the centre in units of the radius) lie in a shape.
_INSIDE: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": lambda x, y: x**2 + y**2 <= 1,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) <= 0.9,
    "triangle": lambda x, y: (y <= 0.85) & (abs(x) * 1.85 <= y + 1),
    "ring": lambda x, y: abs(x**2 + y**2 - 0.625) <= 0.375,  # radii 0.5 and 1
}


def paint(image: np.ndarray, item: SceneObject, rgb: np.ndarray) -> SceneObject:
    """Blends an object into the image, float (H, W, 3), by its share of each pixel, and gives it its mask."""
    rows = _window(item.y, item.radius)
    columns = _window(item.x, item.radius)
    y = _samples(rows, item.y)[:, None]  # (h * SUBPIXELS, 1)
    x = _samples(columns, item.x)[None, :]  # (1, w * SUBPIXELS)
    inside = _INSIDE[item.kind.shape](x / item.radius, y / item.radius)
    if item.gap is not None:
        along = x if item.gap.axis == "x" else y
        inside &= abs(along - item.gap.offset) > item.gap.width / 2

    # The mask asks for the pixel's centre, the colour for the share of the pixel that is covered.
    mask = np.zeros(image.shape[:2], bool)
    middle = SUBPIXELS // 2
    mask[rows, columns] = inside[middle::SUBPIXELS, middle::SUBPIXELS]
    # Strided sums take a fifth of the time of a mean over two axes of a view (h, SUBPIXELS, w, SUBPIXELS).
    hits = inside.view(np.uint8)
    by_row = reduce(np.add, [hits[k::SUBPIXELS] for k in range(SUBPIXELS)])
    by_pixel = reduce(np.add, [by_row[:, k::SUBPIXELS] for k in range(SUBPIXELS)])  # (h, w)
    share = (by_pixel / np.float32(SUBPIXELS**2))[..., None]  # (h, w, 1)
    change = rgb.astype(np.float32) - image[rows, columns]  # (h, w, 3)
    image[rows, columns] += share * change
    return replace(item, mask=mask)


def _window(middle: float, radius: float) -> slice:
    """The pixels that an object may touch along one axis."""
    first = int(middle - radius)
    last = int(middle + radius) + 1
    return slice(first, last + 1)


def _samples(window: slice, middle: float) -> np.ndarray:
    """Where the samples of a window's pixels lie, in pixels from the object's middle: float (pixels * SUBPIXELS,)."""
    number = (window.stop - window.start) * SUBPIXELS
    from_start = (np.arange(number) + 0.5) / SUBPIXELS
    return window.start + from_start - middle
