"""Which convention the coordinates of boxes are in: what their form says, held against the sizes of the images.

    pixels      of the image            norm1       0 to 1 of its width and height
    norm1000    0 to 1000 of them       norm999     0 to 999
    padded      0 to 1 of the square that the image is padded to (LLaVA 1.5)

A convention is refuted where boxes lie outside of their images, or have no area in it. Several may remain: pixels of an
image of 640 x 480 are numbers below 1000, too. Then another convention is the likelier one where its boxes reach to the
borders of the images, as objects do in some of them, and those of the first stop short. Nothing is taken for granted
that the numbers leave open: a sentence asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vista.data import InputError, Size

RANGES = {"norm1": 1.0, "norm1000": 1000.0, "norm999": 999.0}
CONVENTIONS = ("pixels", *RANGES, "padded")
GUESSED = ("pixels", "norm1", "norm1000", "padded")  # 999 differs from 1000 by less than rounding
TOLERATED = 0.02  # share of the boxes that may be outside
OVERHANG = 0.012  # of a side, or a pixel: what rounding makes
ENOUGH = 20  # boxes that say how far boxes reach
FAR, SHORT = 0.85, 0.9  # of a side: how far boxes reach, and how much less is short of it


def to_pixels(boxes: np.ndarray, sizes: np.ndarray, convention: str) -> np.ndarray:
    """Boxes in pixels of their images.

    Args:
        boxes: float (N, 4), two corners x, y.
        sizes: int (N, 2), (H, W).
        convention: one of `CONVENTIONS`.

    Returns:
        float (N, 4), xyxy.
    """
    sides = np.tile(sizes[:, ::-1], 2).astype(float)  # W, H, W, H
    if convention == "pixels":
        return boxes
    if convention == "padded":
        square = sides.max(axis=1, keepdims=True)
        pixels: np.ndarray = boxes * square - (square - sides) / 2
        return pixels
    return boxes * sides / RANGES[convention]


@dataclass
class Evidence:
    """What a convention makes of boxes.

    Attributes:
        outside: share of the boxes that lie outside of their images, or have no area.
        low: the least x and y of all boxes, as shares of the width and the height.
        high: the largest.
    """

    outside: float
    low: np.ndarray
    high: np.ndarray

    @property
    def fits(self) -> bool:
        """Whether nearly all boxes lie inside."""
        return self.outside <= TOLERATED

    @property
    def fills(self) -> bool:
        """Whether boxes reach to all borders."""
        return bool((self.high >= FAR).all() and (self.low <= 1 - FAR).all())

    @property
    def stops(self) -> bool:
        """Whether no box comes near some border."""
        return bool((self.high < SHORT * FAR).any() or (self.low > 1 - SHORT * FAR).any())


def evidence(boxes: np.ndarray, sizes: np.ndarray, convention: str) -> Evidence:
    """What a convention makes of boxes, float (N, 4), in images of (H, W), int (N, 2)."""
    sides = np.tile(sizes[:, ::-1], 2).astype(float)
    pixels = to_pixels(boxes, sizes, convention)
    over = np.maximum(1.0, OVERHANG * sides)
    # A number of two decimals is rounded by half a hundredth, one in 0 to 1000 has a width of 1.
    least = 1.0 if convention in ("pixels", "norm1000", "norm999") else 0.0
    sound = (pixels >= -over) & (pixels <= sides + over)
    has_area = (boxes[:, 2:] - boxes[:, :2] >= least) & (boxes[:, 2:] > boxes[:, :2])
    inside = sound.all(axis=1) & has_area.all(axis=1)
    shares = (pixels / sides)[inside] if inside.any() else np.full((1, 4), 0.5)
    return Evidence(1 - float(inside.mean()), shares[:, :2].min(axis=0), shares[:, 2:].max(axis=0))


def likelier(boxes: np.ndarray, sizes: np.ndarray, name: str, other: str) -> bool:
    """Whether another convention explains boxes, float (N, 4), in images of (H, W), int (N, 2), better than one.

    Its boxes reach to the borders of the images, and those of the first stop short.
    """
    theirs, ours = evidence(boxes, sizes, other), evidence(boxes, sizes, name)
    if len(boxes) < ENOUGH or not theirs.fits:
        return False
    if not ours.fits:
        return True
    if {name, other} == {"norm1", "padded"}:
        return other == "padded" and fills_padding(boxes, sizes)
    return theirs.fills and ours.stops


def fills_padding(boxes: np.ndarray, sizes: np.ndarray) -> bool:
    """Whether boxes, all within the unpadded part of a square, reach to both of its borders."""
    short, long = sizes.min(axis=1), sizes.max(axis=1)
    narrow = short / long <= SHORT
    if narrow.sum() < ENOUGH:
        return False
    across = np.where((sizes[:, 0] < sizes[:, 1])[:, None], boxes[:, 1::2], boxes[:, ::2])  # (N, 2)
    padding = (long - short) / 2
    shares = (across * long[:, None] - padding[:, None])[narrow] / short[narrow, None]
    return bool(shares.min() <= 1 - FAR and shares.max() >= FAR)


def find(where: str, boxes: np.ndarray, sizes: np.ndarray) -> str:
    """The convention of boxes, float (N, 4), of which nothing else is known, in images of (H, W), int (N, 2).

    Raises:
        InputError: none fits, or several do.
    """
    found = {name: evidence(boxes, sizes, name) for name in GUESSED}
    fitting = [name for name in GUESSED if found[name].fits]
    # Square images need no padding.
    if "padded" in fitting and "norm1" in fitting and (sizes[:, 0] == sizes[:, 1]).all():
        fitting.remove("padded")
    for name in fitting:
        others = [other for other in fitting if other != name]
        if all(likelier(boxes, sizes, other, name) for other in others):
            return name
    if not fitting:
        raise InputError(f"{where}: {_none_fits(boxes, sizes)}")
    first, second = fitting[:2]
    raise InputError(
        f"{where}: its {len(boxes)} boxes may be {first} or {second}, both lie inside their images; set "
        f"own.coordinates to one of them. {_decides(first, second)} would decide"
    )


def _decides(first: str, second: str) -> str:
    if {first, second} == {"norm1", "padded"}:
        return "A box near the longer borders of an image that is no square"
    return f"{ENOUGH} boxes or more at all borders of images whose sides are far from 1000 pixels"


def _none_fits(boxes: np.ndarray, sizes: np.ndarray) -> str:
    low, high = boxes.min(), boxes.max()
    return (
        f"the coordinates of its {len(boxes)} boxes, between {low:g} and {high:g}, are neither pixels nor parts of "
        f"1 or 1000 in images of up to {sizes[:, 1].max()} x {sizes[:, 0].max()}; boxes must be x1, y1, x2, y2"
    )


def verify(where: str, boxes: np.ndarray, sizes: np.ndarray, stated: str, by: str) -> str:
    """Hold a convention that is stated against the boxes.

    Args:
        where: the file, for messages.
        boxes: float (N, 4).
        sizes: (H, W) of their images, int (N, 2).
        stated: the convention.
        by: who states it: "own.coordinates", or the form.

    Returns:
        a doubt: where the setting states it, and another one is likelier; else nothing.

    Raises:
        InputError: boxes lie outside of their images; or the form states it, and another one is likelier.
    """
    held = evidence(boxes, sizes, stated)
    others = [
        name for name in GUESSED if name != stated and {name, stated} != {"norm1000", "norm999"}
    ]
    better = [name for name in others if likelier(boxes, sizes, stated, name)]
    seems = f"; they look like {better[0]}" if better else ""
    if not held.fits:
        fitting = [name for name in others if evidence(boxes, sizes, name).fits]
        seems = f"; they look like {fitting[0]}" if len(fitting) == 1 else seems
        advice = "set own.coordinates to what they are"
        raise InputError(
            f"{where}: by {by} its coordinates are {stated}, but {held.outside:.0%} of its {len(boxes)} boxes lie "
            f"outside of their images or have no area{seems}; {advice}"
        )
    if not better:
        return ""
    reach = " and ".join(f"{share:.0%}" for share in held.high)
    doubt = (
        f"as {stated} none of {len(boxes)} boxes reaches beyond {reach} of width and height{seems}"
    )
    if by == "own.coordinates":
        return doubt
    raise InputError(
        f"{where}: by {by} its coordinates are {stated}, but {doubt}; set own.coordinates to {better[0]} or {stated}"
    )


def in_pixels(box: Sequence[float], size: Size, convention: str) -> list[float]:
    """One box in pixels of its image of (H, W), xyxy."""
    pixels: list[float] = to_pixels(np.array([box], float), np.array([size]), convention)[
        0
    ].tolist()
    return pixels
