"""Which points of a ring to keep: `uniform`, and the paper's gradient-aware adaptive sampling (Sec. 3.2, Alg. 1).

Alg. 1: (1) sample M >> N points at equal distances, (2) measure the turning angle at each, (3) keep the N sharpest.
Taken literally it gets worse as M grows, since the sharpest neighbours all sit on the same few corners. `adaptive`
therefore keeps a minimum gap along the contour between kept points and measures angles on a lightly smoothed copy.
Both return points in contour order (in order of angle, as Alg. 1 lists them, they would be no polygon).
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

OVERSAMPLE = 8  # M = 8N candidates where points are chosen by angle


def sample_uniform(ring: np.ndarray, num_points: int) -> np.ndarray:
    """Points at equal distances along a ring, starting at its first point.

    Args:
        ring: float (K, 2), closed polyline in pixels.
        num_points: how many.

    Returns:
        float (num_points, 2), in contour order.
    """
    line = np.ascontiguousarray(ring).view(np.complex128)[:, 0]  # (K,), x + iy
    closed = np.concatenate((line, line[:1]))
    length = np.zeros(len(closed))  # along the line, from the first point to each
    np.abs(closed[1:] - closed[:-1]).cumsum(out=length[1:])
    at = np.arange(num_points) * (length[-1] / num_points)
    return np.interp(at, length, closed).view(np.float64).reshape(-1, 2)


def sample_adaptive(ring: np.ndarray, num_points: int) -> np.ndarray:
    """`sample_by_angle` with its defaults; as `sample_uniform`."""
    return sample_by_angle(ring, num_points, OVERSAMPLE * num_points)


def sample_literal(ring: np.ndarray, num_points: int) -> np.ndarray:
    """Alg. 1 as printed; as `sample_uniform`."""
    count = OVERSAMPLE * num_points
    return sample_by_angle(ring, num_points, count, smooth=0.0, baseline=1, min_gap=0)


SAMPLERS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "uniform": sample_uniform,
    "literal": sample_literal,
    "adaptive": sample_adaptive,
}


def sample_by_angle(
    ring: np.ndarray,
    num_points: int,
    num_samples: int,
    smooth: float = 2.0,
    baseline: int = 2,
    min_gap: int = 4,
) -> np.ndarray:
    """The points of a ring where it turns most (Alg. 1), no two closer than a minimum gap.

    Args:
        ring: float (K, 2), closed polyline in pixels.
        num_points: N, how many points to keep.
        num_samples: M, how many equidistant candidates; raised to N where it is less.
        smooth: sigma, in samples, of the circular Gaussian applied before angles are measured; 0 for none.
        baseline: samples to either side between which the angle is measured.
        min_gap: a candidate within this many samples of a kept one is skipped; halved until N points are found.

    Returns:
        float (num_points, 2), in contour order.
    """
    samples = sample_uniform(ring, max(num_points, num_samples))
    angle = _turning_angle(samples, smooth, baseline)
    # Rounded, so that equal corners tie in the same way on every machine.
    order = np.argsort(-np.round(angle, 9), kind="stable").tolist()
    return samples[_pick_apart(order, num_points, min_gap)]


def _turning_angle(samples: np.ndarray, smooth: float, baseline: int) -> np.ndarray:
    """Absolute turn in radians at each of the (M, 2) samples, shape (M,)."""
    count = len(samples)
    line = samples.view(np.complex128)[:, 0]  # (M,), x + iy
    if smooth > 0:
        reach = min(int(3 * smooth + 0.5), count - 1)
        line = np.convolve(_wrapped(line, reach), _gaussian(smooth, reach), mode="valid")
    around = _wrapped(line, min(baseline, count - 1))
    before, behind = around[:count], around[-count:]
    # The angle of a product with a conjugate is the difference of the two angles.
    turn = (behind - line) * np.conj(line - before)
    return np.abs(np.arctan2(turn.imag, turn.real))


@lru_cache(maxsize=16)
def _gaussian(sigma: float, reach: int) -> np.ndarray:
    """Weights that sum to 1, shape (2 * reach + 1,)."""
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return weights / weights.sum()


def _wrapped(line: np.ndarray, reach: int) -> np.ndarray:
    """A closed line with its last points repeated before it and its first ones behind it."""
    return np.concatenate((line[len(line) - reach :], line, line[:reach]))


def _pick_apart(order: list[int], num_points: int, min_gap: int) -> list[int]:
    """The first indices of `order` that keep the gap (circular), sorted; while there are fewer than N, half the gap."""
    taken: list[int] = []
    gap = min_gap
    while len(taken) < num_points:
        blocked = bytearray(len(order))
        for i in taken:
            _block(blocked, i, gap)
        for i in order:
            if blocked[i]:
                continue
            taken.append(i)
            if len(taken) == num_points:
                break
            _block(blocked, i, gap)
        gap //= 2
    return sorted(taken)


def _block(blocked: bytearray, centre: int, gap: int) -> None:
    """Mark the indices within `gap` of the centre, around the end."""
    if gap <= centre < len(blocked) - gap:
        blocked[centre - gap : centre + gap + 1] = b"\x01" * (2 * gap + 1)
    else:
        for i in range(centre - gap, centre + gap + 1):
            blocked[i % len(blocked)] = 1
