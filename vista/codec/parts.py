"""Several rings in one sequence: share the points among them, draw each, then join them by bridges of no width.

A bridge runs from a vertex u of the sequence to a vertex v of another ring and back: `..., u, v, ..., v, u, ...`. It
costs two points and, walked twice, encloses nothing. Parts and holes are joined alike.
"""

import numpy as np

from vista.codec.polygon_fill import even_odd_fill
from vista.codec.quantize import Scale, quantize_polygon
from vista.codec.refine import SWEEPS, refine
from vista.codec.rings import Ring
from vista.codec.sampling import SAMPLERS
from vista.codec.vertices import SIMPLIFIERS
from vista.data import Mask

MAX_JOINED = 8  # rings that one sequence may hold
REFINED = 0.5  # the share of a ring's error that about remains after refinement


def draw_parts(
    rings: list[Ring],
    mask: Mask,
    num_points: int,
    method: str,
    num_bins: int,
    scale: Scale,
) -> np.ndarray:
    """One sequence through the rings that are worth their points.

    Args:
        rings: largest first, at least two.
        mask: bool (H, W), what they were found in.
        num_points: N.
        method: how points are chosen, see `vista.codec.contour`.
        num_bins: number of bins per axis.
        scale: see `vista.codec.quantize`.

    Returns:
        int64 (N, 2), x and y in bins.
    """
    height, width = mask.shape
    drawn, points, counts = _choose_points(rings, num_points, method)
    bridges = 2 * (len(drawn) - 1)
    counts[0] = num_points - bridges - sum(counts[1:])  # the largest takes what nobody needs
    polygons = []
    for ring, own, count in zip(drawn, points, counts, strict=True):
        clockwise = own[::-1] if ring.hole else own
        polygons.append(quantize_polygon(clockwise, count, (width, height), num_bins, scale))
    if method in SWEEPS:
        for k, target in enumerate(_targets(mask, drawn)):
            polygons[k] = refine(polygons[k], target, SWEEPS[method], num_bins, scale)
    return join_rings(polygons)


def _choose_points(
    rings: list[Ring],
    num_points: int,
    method: str,
) -> tuple[list[Ring], list[np.ndarray], list[int]]:
    """The rings to draw, the points of each in pixels, and how many it may have; bridges are counted."""
    if method in SIMPLIFIERS:
        choices = [SIMPLIFIERS[method](ring.points, num_points) for ring in rings]
        counts = share_points([choice.error for choice in choices], rings, num_points)
        pairs = zip(choices, counts, strict=True)
        points = [choice.pick(n) for choice, n in pairs if n]
    else:
        sample = SAMPLERS[method.removesuffix("+refine")]
        counts = share_by_length(rings, num_points)
        points = [sample(ring.points, n) for ring, n in zip(rings, counts, strict=True) if n]
    drawn = [ring for ring, n in zip(rings, counts, strict=True) if n]
    return drawn, points, [n for n in counts if n]


def _targets(mask: Mask, drawn: list[Ring]) -> list[Mask]:
    """For each ring the mask that it should fill, bool (H, W): what the others leave of the whole."""
    if len(drawn) == 1:
        return [mask]
    fills = [even_odd_fill(ring.points, mask.shape) for ring in drawn]
    everything = np.logical_xor.reduce([mask, *fills])
    return [everything ^ fill for fill in fills]


def share_points(errors: list[np.ndarray], rings: list[Ring], num_points: int) -> list[int]:
    """How many of N points each ring gets for the least error in all; 0 for a ring that is left out.

    A ring other than the largest costs two points more, and its whole area when it is left out. A hole, or a part
    inside a hole, is kept only together with the ring around it.

    Args:
        errors: for each ring float (N + 1,), wrong pixels with k vertices, infinite below 3.
        rings: largest first.
        num_points: N.

    Returns:
        one count per ring, the first at least 3; with two more for each further ring they sum to at most N.
    """
    kept = list(range(len(rings)))
    # A ring that is dropped sets points free: they are shared anew until no ring lacks the one around it.
    while True:
        areas = [rings[i].area for i in kept]
        kept_errors = [errors[i] for i in kept]
        shares = _knapsack(kept_errors, areas, num_points)
        counts = dict(zip(kept, shares, strict=True))
        orphans = set()
        for i in kept:
            parent = rings[i].parent
            lacks_parent = parent >= 0 and not counts.get(parent)
            if counts[i] and lacks_parent:
                orphans.add(i)
        if not orphans:
            return [counts.get(i, 0) for i in range(len(rings))]
        kept = [i for i in kept if i not in orphans]


def _knapsack(errors: list[np.ndarray], areas: list[float], num_points: int) -> list[int]:
    """The least sum of errors; the first ring is always drawn."""
    points = np.arange(num_points + 1)
    spent = np.where(points > 0, points + 2, 0)  # with the two of the bridge
    total = REFINED * errors[0]  # by number of points used
    choices = []
    for error, area in zip(errors[1:], areas[1:], strict=True):
        own = np.where(points > 0, REFINED * error, area)  # by number of points k of this ring
        left = points[:, None] - spent  # (used, k)
        total_left = total[left.clip(0)]
        others = np.where(left >= 0, total_left, np.inf)
        cost = own + others
        choices.append(cost.argmin(axis=1))
        total = cost.min(axis=1)
    used = int(total.argmin())
    # Back from the last ring to the first, which has what is left.
    counts = []
    for choice in reversed(choices):
        count = int(choice[used])
        used -= int(spent[count])
        counts.append(count)
    counts.append(used)
    return counts[::-1]


def join_rings(rings: list[np.ndarray]) -> np.ndarray:
    """One closed sequence through all rings.

    Args:
        rings: int (n_r, 2) each, at least one.

    Returns:
        int (sum of n_r + 2 for each ring but the first, 2).
    """
    joined = rings[0]
    remaining = list(rings[1:])
    while remaining:
        nearest = [_nearest_pair(joined, ring) for ring in remaining]
        distances = [distance for distance, _, _ in nearest]
        k = distances.index(min(distances))
        _, u, v = nearest[k]
        ring = remaining.pop(k)
        way = (joined[: u + 1], ring[v:], ring[: v + 1], joined[u:])
        joined = np.concatenate(way)
    return joined


def _nearest_pair(one: np.ndarray, other: np.ndarray) -> tuple[int, int, int]:
    """Squared distance and indices of the nearest vertices of two rings, ties to the first."""
    step = one[:, None] - other[None]  # (n, m, 2)
    distance = (step**2).sum(axis=2)
    u, v = divmod(int(distance.argmin()), len(other))
    return int(distance[u, v]), u, v


def share_by_length(rings: list[Ring], num_points: int, min_area: float = 0.02) -> list[int]:
    """How many of N points each ring gets when points are sampled along it: in proportion to its length.

    Args:
        rings: largest first.
        num_points: N.
        min_area: rings below this share of the largest one's area are left out.

    Returns:
        as `share_points`.
    """
    kept = [0]
    for i, ring in enumerate(rings[1:], start=1):
        large = ring.area >= min_area * rings[0].area
        if large and (ring.parent < 0 or ring.parent in kept):
            kept.append(i)
    most = max(1, (num_points + 2) // 5)  # 3 points for each, 2 for each bridge
    kept = kept[:most]
    # Three points make each a polygon, the rest goes by length.
    spare = num_points - 2 * (len(kept) - 1) - 3 * len(kept)
    length = np.cumsum([len(rings[i].points) for i in kept])
    # Differences of rounded sums, so that the shares sum to all there is.
    bounds = np.rint(spare * length / length[-1]).astype(int)
    counts = 3 + np.diff(bounds, prepend=0)
    share = dict(zip(kept, counts.tolist(), strict=True))
    return [share.get(i, 0) for i in range(len(rings))]
