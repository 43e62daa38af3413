"""Masks <-> point sequences (Sec. 3.2): `encode` keeps N points of the contour, `decode` fills the polygon.

    encode(mask, num_points=4)      -> [array([[100, 50], [900, 50], [900, 700], [100, 700]])]   x, y in bins 0..999
    decode(points, size=(480, 640)) -> bool (480, 640)

Coordinates are in edge convention: pixel (column c, row r) covers [c, c + 1] x [r, r + 1]. A sequence has exactly N
points, runs clockwise on screen and starts at the point with the least x + y, ties to the least y.

| method | points |
| --- | --- |
| `uniform` | at equal distances |
| `literal` | Alg. 1 as printed; gets worse the more candidates there are |
| `adaptive` | Alg. 1 with a minimum gap between kept points; the default |
| `uniform+refine`, `adaptive+refine` | the same, then moved on the bin grid to lower the count of wrong pixels |
| `fast` | Visvalingam's vertices, then moved in the same way |
| `optimal` | the best vertices by dynamic programming, then moved for longer |
"""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from vista.codec.parts import MAX_JOINED, join_rings, share_by_length, share_points
from vista.codec.polygon_fill import even_odd_fill
from vista.codec.quantize import Scale, bin_of_extent, dequantize, quantize
from vista.codec.refine import refine
from vista.codec.rings import Ring, canonical_start, find_rings, signed_area
from vista.codec.sampling import sample_by_angle, sample_uniform
from vista.codec.vertices import Choices, by_dynamic_programming, by_removal
from vista.data import InputError

Method: TypeAlias = Literal[
    "uniform", "literal", "adaptive", "uniform+refine", "adaptive+refine", "fast", "optimal"
]
Multipart: TypeAlias = Literal["largest", "separate", "bridge"]

OVERSAMPLE = 8  # M = 8N candidates where points are chosen by angle

_SAMPLERS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "uniform": sample_uniform,
    "literal": lambda ring, n: sample_by_angle(
        ring, n, OVERSAMPLE * n, smooth=0.0, baseline=1, min_gap=0
    ),
    "adaptive": lambda ring, n: sample_by_angle(ring, n, OVERSAMPLE * n),
}
_SIMPLIFIERS: dict[str, Callable[[np.ndarray, int], Choices]] = {
    "fast": by_removal,
    "optimal": by_dynamic_programming,
}
_SWEEPS = {"fast": 2, "optimal": 4, "uniform+refine": 4, "adaptive+refine": 4}


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
    outer = [ring for ring in rings if not ring.hole]
    groups = {
        "largest": [outer[:1]],
        "separate": [[ring] for ring in outer],
        "bridge": [rings[:MAX_JOINED]],
    }[multipart]
    sequences = []
    for group in groups if rings else []:
        drawn, points, counts = _choose_points(group, num_points, method)
        bins = [
            _to_bins(p, n, mask.shape[::-1], num_bins, scale)
            for p, n in zip(points, counts, strict=True)
        ]
        if method in _SWEEPS:
            targets = _targets(mask, drawn, alone=multipart == "separate" and len(outer) > 1)
            bins = [
                refine(b, t, _SWEEPS[method], num_bins, scale)
                for b, t in zip(bins, targets, strict=True)
            ]
        sequences.append(_canonical(join_rings(bins)))
    return sorted(sequences, key=lambda s: (s[0].sum(), s[0, 1]))


def decode(
    points: Any, size: tuple[int, int], num_bins: int = 1000, scale: Scale = "bins-1"
) -> np.ndarray:
    """Mask of points. Lenient: whatever the numbers are, the result is a mask.

    Args:
        points: one sequence (N, 2) of x, y in bins, or a list of sequences, which are united. Flat sequences
            x0, y0, x1, y1, ... are understood, the last number is dropped when their count is odd.
        size: (H, W) of the image.
        num_bins: number of bins per axis; values out of range are clamped.
        scale: see `vista.codec.quantize`.

    Returns:
        bool (H, W).
    """
    height, width = size
    masks = [
        even_odd_fill(dequantize(s, (width, height), num_bins, scale), size)
        for s in _sequences(points)
    ]
    if len(masks) == 1:
        return masks[0]
    return np.logical_or.reduce(masks) if masks else np.zeros(size, dtype=bool)


def _check(num_points: int, method: str, multipart: str) -> None:
    if num_points < 3:
        raise InputError(f"num_points is {num_points}, a polygon needs at least 3")
    for name, value, allowed in (("method", method, Method), ("multipart", multipart, Multipart)):
        if value not in get_args(allowed):
            raise InputError(f"unknown {name} {value!r}: one of {', '.join(get_args(allowed))}")


def _choose_points(
    rings: list[Ring], num_points: int, method: str
) -> tuple[list[Ring], list[np.ndarray], list[int]]:
    """The rings to draw in one sequence, the points of each in pixels, and how many it may have; bridges counted."""
    alone = len(rings) == 1
    if simplify := _SIMPLIFIERS.get(method):
        choices = [simplify(ring.points, num_points) for ring in rings]
        counts = (
            [num_points] if alone else share_points([c.error for c in choices], rings, num_points)
        )
        points = [c.pick(n) for c, n in zip(choices, counts, strict=True) if n]
    else:
        sample = _SAMPLERS[method.removesuffix("+refine")]
        counts = [num_points] if alone else share_by_length(rings, num_points)
        points = [sample(ring.points, n) for ring, n in zip(rings, counts, strict=True) if n]
    drawn = [ring for ring, n in zip(rings, counts, strict=True) if n]
    points = [
        p[::-1] if ring.hole else p for ring, p in zip(drawn, points, strict=True)
    ]  # all clockwise
    counts = [n for n in counts if n]
    counts[0] = (
        num_points - sum(counts[1:]) - 2 * (len(counts) - 1)
    )  # what nobody needs goes to the largest
    return drawn, points, counts


def _targets(mask: np.ndarray, drawn: list[Ring], alone: bool) -> list[np.ndarray]:
    """For each ring the mask it should fill: what the others leave, or the ring's own part where it stands alone."""
    if not alone and len(drawn) == 1:
        return [mask]
    fills = [even_odd_fill(ring.points, mask.shape) for ring in drawn]
    if alone:
        return [fill & mask for fill in fills]
    everything = np.logical_xor.reduce([mask, *fills])
    return [everything ^ fill for fill in fills]


def _to_bins(
    points: np.ndarray, num_points: int, extent: tuple[int, ...], num_bins: int, scale: Scale
) -> np.ndarray:
    """Quantize at most N points; then split the longest sides until there are N.

    Repeated neighbours are dropped, and what is thinner than a bin is drawn as a box one bin wide.
    """
    bins = quantize(points, extent, num_bins, scale)
    kept = bins.tolist()
    if any(min(axis) == max(axis) for axis in zip(*kept, strict=True)):
        kept = _thin_box(bins, points, extent, num_bins, scale)[:num_points]
    kept = [p for p, before in zip(kept, kept[-1:] + kept[:-1], strict=True) if p != before]
    while len(kept) < num_points:
        ahead = kept[1:] + kept[:1]
        sides = [abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in zip(kept, ahead, strict=True)]
        i = sides.index(max(sides))
        kept.insert(i + 1, [(kept[i][0] + ahead[i][0]) // 2, (kept[i][1] + ahead[i][1]) // 2])
    return np.array(kept, dtype=np.int64)


def _thin_box(
    bins: np.ndarray, points: np.ndarray, extent: tuple[int, ...], num_bins: int, scale: Scale
) -> list[list[int]]:
    """Four corners of a box around bins (N, 2), one bin wide where all of them are the same."""
    low, high = bins.min(axis=0), bins.max(axis=0)
    middle = (
        (points.min(axis=0) + points.max(axis=0))
        / 2
        * (bin_of_extent(num_bins, scale) / np.array(extent))
    )
    start = np.where(low == high, middle.astype(np.int64).clip(0, num_bins - 2), low)
    (x0, y0), (x1, y1) = start.tolist(), np.where(low == high, start + 1, high).tolist()
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


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
    depth = points.ndim if isinstance(points, np.ndarray) else 1 + max(np.ndim(p) for p in points)
    if depth == 1 or (depth == 2 and all(len(p) == 2 for p in points)):
        points = [points]
    flat = [np.asarray(p, dtype=np.float64).reshape(-1) for p in points]
    return [p[: len(p) // 2 * 2].reshape(-1, 2) for p in flat]
