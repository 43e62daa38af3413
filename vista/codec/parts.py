"""Several rings in one sequence: share the points among them, then join them by bridges of no width.

A bridge runs from a vertex u of the sequence to a vertex v of another ring and back: `..., u, v, ..., v, u, ...`. It
costs two points and, walked twice, encloses nothing. Parts and holes are joined alike.
"""

import numpy as np

from vista.codec.rings import Ring

MAX_JOINED = 8  # rings that one sequence may hold
REFINED = 0.5  # the share of a ring's error that about remains after refinement


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
    while True:
        counts = dict(
            zip(
                kept,
                _knapsack([errors[i] for i in kept], [rings[i].area for i in kept], num_points),
                strict=True,
            )
        )
        orphans = [
            i
            for i in kept
            if counts[i] and rings[i].parent >= 0 and not counts.get(rings[i].parent)
        ]
        if not orphans:
            return [counts.get(i, 0) for i in range(len(rings))]
        kept = [i for i in kept if i not in orphans]


def _knapsack(errors: list[np.ndarray], areas: list[float], num_points: int) -> list[int]:
    """The least sum of errors; the first ring is always drawn."""
    total = REFINED * errors[0]  # by number of points used
    choices = []
    points = np.arange(num_points + 1)
    for error, area in zip(errors[1:], areas[1:], strict=True):
        left = points[:, None] - np.where(points > 0, points + 2, 0)  # [used, k]
        cost = np.where(points > 0, REFINED * error, area) + np.where(
            left >= 0, total[left.clip(0)], np.inf
        )
        choices.append(cost.argmin(axis=1))
        total = cost.min(axis=1)
    used = int(total.argmin())
    counts = []
    for choice in reversed(choices):
        counts.append(int(choice[used]))
        used -= counts[-1] + 2 if counts[-1] else 0
    return [used, *reversed(counts)]


def join_rings(rings: list[np.ndarray]) -> np.ndarray:
    """One closed sequence through all rings.

    Args:
        rings: int (n_r, 2) each, at least one.

    Returns:
        int (sum of n_r + 2 for each ring but the first, 2).
    """
    joined, remaining = rings[0], list(rings[1:])
    while remaining:
        nearest = [_nearest_pair(joined, ring) for ring in remaining]
        r = min(range(len(nearest)), key=lambda k: nearest[k][0])
        _, u, v = nearest[r]
        ring = remaining.pop(r)
        joined = np.concatenate((joined[: u + 1], ring[v:], ring[: v + 1], joined[u:]))
    return joined


def _nearest_pair(one: np.ndarray, other: np.ndarray) -> tuple[int, int, int]:
    """Squared distance and indices of the nearest vertices of two rings, ties to the first."""
    distance = ((one[:, None] - other[None]) ** 2).sum(axis=2)
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
        if ring.area >= min_area * rings[0].area and (ring.parent < 0 or ring.parent in kept):
            kept.append(i)
    kept = kept[: max(1, (num_points + 2) // 5)]  # 3 points for each, 2 for each bridge
    spare = num_points - 2 * (len(kept) - 1) - 3 * len(kept)
    length = np.cumsum([len(rings[i].points) for i in kept])
    bounds = np.rint(spare * length / length[-1]).astype(int)
    share = dict(zip(kept, (3 + np.diff(bounds, prepend=0)).tolist(), strict=True))
    return [share.get(i, 0) for i in range(len(rings))]
