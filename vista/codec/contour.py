"""Masks -> point sequences (Sec. 3.2): N points of the contour; `polygon_fill.decode` is the way back.

    encode(mask, num_points=4)      -> [array([[100, 50], [900, 50], [900, 700], [100, 700]])]   x, y in bins 0..999

Coordinates are in edge convention: pixel (column c, row r) covers [c, c + 1] x [r, r + 1]. A sequence has exactly N
points, runs clockwise on screen and starts at the point with the least x + y, ties to the least y.

| method | points |
| --- | --- |
| `uniform` | at equal distances |
| `literal` | Alg. 1 as printed; gets worse the more candidates there are |
| `adaptive` | Alg. 1 with a minimum gap between kept points; the default |
| `uniform+refine`, `adaptive+refine` | the same, then moved on the bin grid to lower the count of wrong pixels |
| `fast` | Visvalingam's vertices, then moved in the same way |
| `optimal` | the best vertices by dynamic programming, moved for longer, or `fast` where that holds more |
"""

from typing import Literal, TypeAlias, get_args

import numpy as np

from vista.codec.better import better
from vista.codec.parts import MAX_JOINED, draw_parts
from vista.codec.polygon_fill import even_odd_fill
from vista.codec.quantize import Scale, quantize_polygon
from vista.codec.refine import SWEEPS, refine
from vista.codec.rings import Ring, canonical_start, find_rings, signed_area
from vista.codec.sampling import SAMPLERS
from vista.codec.vertices import SIMPLIFIERS
from vista.data import InputError, Mask

Method: TypeAlias = Literal[
    "uniform", "literal", "adaptive", "uniform+refine", "adaptive+refine", "fast", "optimal"
]
Multipart: TypeAlias = Literal["largest", "separate", "bridge"]


def encode(
    mask: Mask,
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
        method: see the table above.
        multipart: `largest` draws the outer ring of the largest part; `separate` that of every part, one sequence
            each; `bridge` parts and holes in one sequence, joined by bridges of no width.
        num_bins: number of bins per axis.
        scale: see `vista.codec.quantize`.

    Returns:
        int64 (N, 2) arrays, x and y in bins, one per sequence, in the order of their first points; none for an empty
        mask.

    Raises:
        InputError: a setting is unknown, or `num_points` is less than 3.
    """
    _check(num_points, method, multipart)
    rings = find_rings(mask)
    if not rings:
        return []
    outer = [ring for ring in rings if not ring.hole]
    if multipart == "bridge" and len(rings) > 1:
        parts = rings[:MAX_JOINED]
        sequences = [draw_parts(parts, mask, num_points, method, num_bins, scale)]
    elif multipart == "separate" and len(outer) > 1:
        sequences = []
        for ring in outer:
            # A part is drawn as if the others were not there, so that it does not grow into them.
            part = even_odd_fill(ring.points, mask.shape) & mask if method in SWEEPS else mask
            sequences.append(_draw_ring(ring, part, num_points, method, num_bins, scale))
    else:
        sequences = [_draw_ring(outer[0], mask, num_points, method, num_bins, scale)]
    # By the first point, as regions are ordered everywhere.
    drawn = sorted(map(_canonical, sequences), key=lambda bins: (bins[0].sum(), bins[0, 1]))
    if method != "optimal":
        return drawn
    fast = encode(mask, num_points, "fast", multipart, num_bins, scale)
    return better([drawn, fast], mask, num_bins, scale)


def _check(num_points: int, method: str, multipart: str) -> None:
    if num_points < 3:
        raise InputError(f"num_points is {num_points}, a polygon needs at least 3")
    for name, value, allowed in (("method", method, Method), ("multipart", multipart, Multipart)):
        if value not in get_args(allowed):
            raise InputError(f"unknown {name} {value!r}: one of {', '.join(get_args(allowed))}")


def _draw_ring(
    ring: Ring, target: Mask, num_points: int, method: Method, num_bins: int, scale: Scale
) -> np.ndarray:
    """One ring in exactly N points, int64 (N, 2) in bins; some methods move them towards the target."""
    if method in SIMPLIFIERS:
        points = SIMPLIFIERS[method](ring.points, num_points).pick(num_points)
    else:
        points = SAMPLERS[method.removesuffix("+refine")](ring.points, num_points)
    height, width = target.shape
    bins = quantize_polygon(points, num_points, (width, height), num_bins, scale)
    if method in SWEEPS:
        return refine(bins, target, SWEEPS[method], num_bins, scale)
    return bins


def _canonical(bins: np.ndarray) -> np.ndarray:
    """Clockwise on screen, from the point with the least x + y, ties to the least y."""
    # Rounding to bins may turn a thin ring the other way round.
    if signed_area(bins) < 0:
        bins = bins[::-1]
    start = canonical_start(bins)
    return np.concatenate((bins[start:], bins[:start]))
