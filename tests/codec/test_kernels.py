"""The loops that numba compiles against their numpy twins, and both against a brute-force fill."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from vista.codec import kernels
from vista.codec.contour import encode
from vista.codec.polygon_fill import decode, even_odd_fill
from vista.codec.refine import _row_sums, _side_sums, refine
from vista.codec.removal import removal_order
from vista.codec.rings import find_rings, signed_area
from vista.codec.vertices import by_dynamic_programming, by_removal

POLYGONS = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 30), st.integers(0, 30)),
        st.one_of(st.floats(0, 20), st.integers(0, 20)),
    ),
    min_size=3,
    max_size=10,
).map(lambda points: np.array(points, dtype=np.float64))


def blob(seed: int, size: int = 120) -> np.ndarray:
    """A wavy shape with a few hundred edges."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] + 0.5 - size / 2
    angle = np.arctan2(y, x)
    waves = sum(rng.normal() / k * np.cos(k * angle + rng.uniform(0, 6)) for k in range(1, 9))
    return np.hypot(x, y) < size * 0.28 * np.exp(0.25 * waves)


def brute_force_fill(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixel by pixel: is an odd number of crossings to the left of its centre?"""
    mask = np.zeros(size, dtype=bool)
    for row, column in np.ndindex(size):
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
            if (y0 <= row + 0.5) != (y1 <= row + 0.5):
                (xl, yl), (xh, yh) = ((x0, y0), (x1, y1)) if y0 <= y1 else ((x1, y1), (x0, y0))
                crossing = xl + (row + 0.5 - yl) * ((xh - xl) / max(yh - yl, 1e-12))
                mask[row, column] ^= crossing <= column + 0.5
    return mask


@settings(max_examples=60)
@given(points=POLYGONS)
def test_fill(points: np.ndarray) -> None:
    expected = brute_force_fill(points, (20, 30))
    by_loops = np.zeros((20, 30), dtype=bool)
    kernels.fill(points, by_loops)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "COMPILED", False)
        by_numpy = even_odd_fill(points, (20, 30))
    # A centre that lies on an edge to the last bit may fall either way in ceil(x - 0.5) and x <= c + 0.5.
    assert np.count_nonzero(by_numpy ^ expected) <= 1
    assert np.array_equal(by_loops, by_numpy)


def test_fill_agrees_with_pycocotools() -> None:
    for seed in range(5):
        points = find_rings(blob(seed))[0].points[::7]
        theirs = coco_mask.decode(
            coco_mask.frPyObjects([points.reshape(-1).tolist()], 120, 120)[0]
        ).astype(bool)
        ours = even_odd_fill(points, (120, 120))
        assert (
            np.count_nonzero(ours & theirs) / np.count_nonzero(ours | theirs) > 0.98
        )  # theirs rounds on a 5x grid


@settings(max_examples=60)
@given(points=POLYGONS, u=st.integers(0, 9), bridge=st.tuples(st.floats(0, 30), st.floats(0, 20)))
def test_a_bridge_encloses_nothing(points: np.ndarray, u: int, bridge: tuple[float, float]) -> None:
    u %= len(points)
    bridged = np.concatenate((points[: u + 1], [bridge], points[u:]))
    assert np.array_equal(even_odd_fill(bridged, (20, 30)), even_odd_fill(points, (20, 30)))


@settings(max_examples=100)
@given(data=st.data(), height=st.integers(1, 16), width=st.integers(1, 16))
def test_rings_fill_back_to_the_mask(data: st.DataObject, height: int, width: int) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    mask = rng.random((height, width)) < data.draw(st.floats(0, 1))
    rings = find_rings(mask)
    filled = np.zeros_like(mask)
    for i, ring in enumerate(rings):
        filled ^= even_odd_fill(ring.points, mask.shape)
        assert ring.parent < i
        assert (signed_area(ring.points) < 0) == ring.hole
        assert ring.hole == (ring.parent >= 0 and not rings[ring.parent].hole)
    assert np.array_equal(filled, mask)
    assert [r.area for r in rings] == sorted((r.area for r in rings), reverse=True)


@pytest.mark.parametrize("num_points", [3, 4, 7, 16])
@pytest.mark.parametrize("method", ["fast", "optimal", "uniform+refine"])
def test_loops_and_numpy_give_the_same_points(
    method: str, num_points: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(2):
        mask = blob(seed, 60)
        mask[28:32, 28:32] = False
        points = {}
        for compiled in (False, True):
            monkeypatch.setattr(kernels, "COMPILED", compiled)
            points[compiled] = encode(mask, num_points, method, "bridge")[0]
        assert np.array_equal(points[False], points[True])


def error(bins: np.ndarray, mask: np.ndarray) -> int:
    return int(np.count_nonzero(decode(bins, mask.shape) ^ mask))


@settings(max_examples=30)
@given(
    points=st.lists(st.tuples(st.integers(0, 999), st.integers(0, 999)), min_size=3, max_size=9),
    seed=st.integers(0, 9),
)
def test_refinement_is_never_worse(points: list[tuple[int, int]], seed: int) -> None:
    mask, bins = blob(seed, 60), np.array(points)
    before = bins.copy()
    refined = refine(bins, mask, sweeps=2)
    assert np.array_equal(bins, before)
    assert refined.shape == bins.shape
    assert refined.min() >= 0
    assert refined.max() <= 999
    assert error(refined, mask) <= error(bins, mask)


def test_refinement_keeps_what_is_smaller_than_a_bin() -> None:
    mask = np.zeros((480, 640), dtype=bool)
    mask[203:205, 311:313] = True
    for method in ("fast", "optimal", "uniform+refine"):
        assert (decode(encode(mask, 8, method, num_bins=50), mask.shape, num_bins=50) & mask).any()


def test_the_sum_over_sides_is_the_count_of_wrong_pixels() -> None:
    mask = blob(3)
    bins = encode(mask, 12, "fast")[0]
    pixels = np.array([120, 120]) / 999
    points = bins * pixels
    sums = _row_sums(mask)
    ends = np.roll(points, -1, axis=0)[:, None]
    sides = _side_sums(sums, np.zeros(2, dtype=np.int64), points, ends)
    assert mask.sum() + sides.sum() == error(bins, mask)


def test_removal_takes_the_least_triangle_first() -> None:
    points = np.array([[0, 0], [5, 0.1], [10, 0], [10, 10], [5, 12], [0, 10]], dtype=np.float64)
    order, cost = removal_order(points)
    assert order[:2].tolist() == [1, 4]
    assert cost[:2] == pytest.approx([0.5, 10.0])


def test_dynamic_programming_beats_removal() -> None:
    def area_lost(points: np.ndarray, mask: np.ndarray) -> int:
        return np.count_nonzero(even_odd_fill(points, mask.shape) ^ mask)

    lost = {"removal": 0, "dynamic": 0}
    for seed in range(6):
        mask = blob(seed)
        ring = find_rings(mask)[0].points
        for num_points in (6, 9, 14):
            lost["removal"] += area_lost(by_removal(ring, num_points).pick(num_points), mask)
            lost["dynamic"] += area_lost(
                by_dynamic_programming(ring, num_points).pick(num_points), mask
            )
    assert lost["dynamic"] < lost["removal"]


@pytest.mark.parametrize("choose", [by_removal, by_dynamic_programming])
def test_errors_fall_with_the_number_of_vertices(choose) -> None:
    choices = choose(find_rings(blob(1))[0].points, 24)
    assert choices.error.shape == (25,)
    assert np.isinf(choices.error[:3]).all()
    assert (np.diff(choices.error[3:]) <= 1e-9).all()
    for count in (3, 10, 24):
        assert choices.pick(count).shape == (count, 2)
