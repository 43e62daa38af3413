"""Mask -> rings: the closed boundaries between object and background, in edge convention.

A ring is the polyline through the midpoints of the unit edges between an object pixel and a background pixel. It cuts
the corner of every pixel, which makes turning angles smoother than those of the stairs, and it fills back to exactly
the same mask. Foreground is 8-connected. Outer rings run clockwise on screen, hole rings the other way.
"""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(slots=True)
class Ring:
    """One closed boundary.

    Attributes:
        points: float (K, 2), x and y in pixels, K >= 4; the last point joins the first.
        area: enclosed area in square pixels, positive for holes too.
        hole: whether background lies inside.
    """

    points: np.ndarray
    area: float
    hole: bool


def find_rings(mask: np.ndarray) -> list[Ring]:
    """All rings of a mask, largest first; ties in the order of `canonical_start`.

    Args:
        mask: bool or integer (H, W), non-zero on the object.

    Returns:
        one ring per outer boundary and per hole; none for an empty mask.
    """
    binary = np.ascontiguousarray(mask != 0).view(np.uint8)
    x, y, width, height = cv2.boundingRect(binary)
    if width == 0:
        return []
    # On a lattice of half pixels the midpoints of all unit edges are lattice points with one odd coordinate.
    lattice = np.zeros((2 * height + 1, 2 * width + 1), dtype=np.uint8)
    lattice[1::2, 1::2] = binary[y : y + height, x : x + width]
    lattice = cv2.dilate(lattice, np.ones((3, 3), dtype=np.uint8))
    chains, hierarchy = cv2.findContours(lattice, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parents = hierarchy[0, :, 3]
    rings = [_ring(c[:, 0], p >= 0, (x, y)) for c, p in zip(chains, parents, strict=True)]
    return sorted(rings, key=lambda ring: -ring.area)


def signed_area(points: np.ndarray) -> float:
    """Area of a closed polygon (K, 2), positive when it runs clockwise on screen (y points down)."""
    x, y = points[:, 0], points[:, 1]
    return 0.5 * float(x @ np.roll(y, -1) - np.roll(x, -1) @ y)


def canonical_start(points: np.ndarray) -> int:
    """Index of the point with the least x + y, ties to the least y, then to the first."""
    total = points[:, 0] + points[:, 1]
    return int(np.lexsort((points[:, 1], total))[0])


def _ring(chain: np.ndarray, hole: bool, corner: tuple[int, int]) -> Ring:
    points = chain[(chain[:, 0] + chain[:, 1]) % 2 == 1] * 0.5 + np.array(corner, dtype=np.float64)
    area = signed_area(points)
    if (area < 0) != hole:
        points = points[::-1]
    start = canonical_start(points)
    return Ring(np.concatenate((points[start:], points[:start])), abs(area), bool(hole))
