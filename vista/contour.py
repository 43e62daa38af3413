"""Masks <-> point sequences (Sec. 3.2): `encode` keeps N points of the contour, `decode` fills the polygon.

    encode(mask, num_points=4)     -> [array([[100, 50], [900, 50], [900, 700], [100, 700]])]   x, y in bins 0..999
    decode(points, size=(480, 640)) -> bool (480, 640)

Coordinates are in edge convention: pixel (column c, row r) covers [c, c + 1] x [r, r + 1]. A sequence has exactly N
points, runs clockwise on screen and starts at the point with the least x + y, ties to the least y.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from vista.contour_rings import canonical_start, find_rings, signed_area
from vista.contour_sampling import sample_by_angle, sample_uniform
from vista.polygon_fill import even_odd_fill
from vista.quantize import Scale, dequantize, quantize

Method: TypeAlias = Literal["uniform", "literal", "adaptive"]
Multipart: TypeAlias = Literal["largest", "separate"]

OVERSAMPLE = 8  # M = 8N candidates for the angle methods


def encode(
    mask: np.ndarray,
    num_points: int,
    method: Method = "adaptive",
    multipart: Multipart = "largest",
    num_bins: int = 1000,
    scale: Scale = "bins-1",
) -> list[np.ndarray]:
    """Points of a mask.

    Args:
        mask: bool (H, W).
        num_points: N, the length of every sequence, at least 3.
        method: `uniform`, `literal` (Alg. 1 as printed, documented as worse), `adaptive`.
        multipart: `largest` draws the largest part only, `separate` one sequence per outer part.
        num_bins: number of bins per axis.
        scale: see `vista.quantize`.

    Returns:
        int64 (N, 2) arrays, x and y in bins, one per sequence; none for an empty mask.

    Raises:
        ValueError: a setting is unknown, or `num_points` is less than 3.
    """
    _check(num_points, method, multipart)
    height, width = mask.shape
    rings = [ring for ring in find_rings(mask) if not ring.hole]
    if multipart == "largest":
        rings = rings[:1]
    sequences = []
    for ring in rings:
        bins = quantize(_SAMPLERS[method](ring.points, num_points), (width, height), num_bins, scale)
        sequences.append(_canonical(_fill_up(bins, num_points, num_bins)))
    return sorted(sequences, key=lambda s: (s[0].sum(), s[0, 1]))


def decode(points: Any, size: tuple[int, int], num_bins: int = 1000, scale: Scale = "bins-1") -> np.ndarray:
    """Mask of points. Lenient: whatever the numbers are, the result is a mask.

    Args:
        points: one sequence (N, 2) of x, y in bins, or a list of sequences, which are united. Flat sequences
            x0, y0, x1, y1, ... are understood, the last number is dropped when their count is odd.
        size: (H, W) of the image.
        num_bins: number of bins per axis; values out of range are clamped.
        scale: see `vista.quantize`.

    Returns:
        bool (H, W).
    """
    height, width = size
    mask = np.zeros(size, dtype=bool)
    for sequence in _sequences(points):
        mask |= even_odd_fill(dequantize(sequence, (width, height), num_bins, scale), size)
    return mask


_SAMPLERS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "uniform": sample_uniform,
    "literal": lambda ring, n: sample_by_angle(ring, n, OVERSAMPLE * n, smooth=0.0, baseline=1, min_gap=0),
    "adaptive": lambda ring, n: sample_by_angle(ring, n, OVERSAMPLE * n),
}


def _check(num_points: int, method: str, multipart: str) -> None:
    if num_points < 3:
        raise ValueError(f"num_points is {num_points}, a polygon needs at least 3")
    for name, value, allowed in (("method", method, Method), ("multipart", multipart, Multipart)):
        if value not in get_args(allowed):
            raise ValueError(f"unknown {name} {value!r}: one of {', '.join(get_args(allowed))}")


def _fill_up(bins: np.ndarray, num_points: int, num_bins: int) -> np.ndarray:
    """Drop repeated neighbours, widen what is thinner than a bin, split the longest sides until there are N points."""
    keep = np.any(bins != np.roll(bins, 1, axis=0), axis=1)
    low, high = bins.min(axis=0), bins.max(axis=0)
    if np.any(low == high):
        low = np.where(low == high, np.minimum(low, num_bins - 2), low)
        high = np.maximum(high, low + 1)
        points = [[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]][:num_points]
    else:
        points = bins[keep].tolist()
    while len(points) < num_points:
        ahead = points[1:] + points[:1]
        sides = [abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in zip(points, ahead, strict=True)]
        i = sides.index(max(sides))
        points.insert(i + 1, [(points[i][0] + ahead[i][0]) // 2, (points[i][1] + ahead[i][1]) // 2])
    return np.array(points, dtype=np.int64)


def _canonical(bins: np.ndarray) -> np.ndarray:
    """Clockwise on screen, from the point with the least x + y, ties to the least y."""
    if signed_area(bins) < 0:
        bins = bins[::-1]
    start = canonical_start(bins)
    return np.concatenate((bins[start:], bins[:start]))


def _sequences(points: Any) -> list[np.ndarray]:
    """One or several sequences, nested or flat, as float (N, 2) arrays."""
    if len(points) == 0:
        return []
    if np.ndim(points[0]) == 0 or all(np.ndim(p) == 1 and len(p) == 2 for p in points):
        points = [points]
    flat = [np.asarray(p, dtype=np.float64).reshape(-1) for p in points]
    return [p[: len(p) // 2 * 2].reshape(-1, 2) for p in flat]
