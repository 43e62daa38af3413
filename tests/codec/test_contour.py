"""The mask codec as a pair: shape, order and range of the points, round trips, edge cases."""

from itertools import product
from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vista.codec.contour import Method, Multipart, encode
from vista.codec.polygon_fill import decode

METHODS = get_args(Method)
MULTIPARTS = get_args(Multipart)
SHARP = ("adaptive", "uniform+refine", "adaptive+refine", "fast", "optimal")


def iou(one: np.ndarray, other: np.ndarray) -> float:
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 1.0


def disc(size: int = 120, radius: float = 40.0) -> np.ndarray:
    y, x = np.mgrid[:size, :size] + 0.5
    return np.hypot(y - size / 2, x - size / 2) < radius


def star(size: int = 200, spikes: int = 5) -> np.ndarray:
    y, x = np.mgrid[:size, :size] + 0.5 - size / 2
    return np.hypot(x, y) < size / 4 * (1 + 0.8 * np.cos(spikes * np.arctan2(y, x)))


def annulus() -> np.ndarray:
    return disc(200, 80) & ~disc(200, 40)


def two_boxes() -> np.ndarray:
    mask = np.zeros((90, 140), dtype=bool)
    mask[10:80, 10:60] = mask[20:60, 80:130] = True
    return mask


def border_frame() -> np.ndarray:
    mask = np.ones((100, 150), dtype=bool)
    mask[4:-4, 4:-4] = False
    return mask


def pixel(height: int, width: int, row: int, column: int) -> np.ndarray:
    mask = np.zeros((height, width), dtype=bool)
    mask[row, column] = True
    return mask


EDGE_CASES = {
    "empty": np.zeros((40, 60), dtype=bool),
    "pixel": pixel(40, 60, 20, 30),
    "first pixel": pixel(40, 60, 0, 0),
    "last pixel": pixel(40, 60, 39, 59),
    "horizontal line": np.pad(np.ones((1, 50), dtype=bool), 5),
    "vertical line": np.pad(np.ones((50, 1), dtype=bool), 5),
    "diagonal line": np.eye(40, dtype=bool),
    "1x1 image": np.ones((1, 1), dtype=bool),
    "1xW image": np.ones((1, 30), dtype=bool),
    "Hx1 image": np.ones((30, 1), dtype=bool),
    "full": np.ones((40, 60), dtype=bool),
    "2x2": np.pad(np.ones((2, 2), dtype=bool), 9),
    "annulus": annulus(),
    "border frame": border_frame(),
    "two boxes": two_boxes(),
    "checkerboard": np.indices((20, 24)).sum(axis=0) % 2 == 0,
    "noise": np.random.default_rng(0).random((48, 64)) > 0.5,
    "dots": np.tile(np.pad(np.ones((1, 1), dtype=bool), 4), (5, 10)),
    "large": np.kron(disc(60, 25), np.ones((18, 24), dtype=bool)).astype(bool),
}
EXACT = ("empty", "pixel", "first pixel", "last pixel", "1x1 image", "2x2")
EXACT_WHEN_REFINED = (*EXACT, "horizontal line", "vertical line", "1xW image", "Hx1 image", "full")


def assert_well_formed(sequences: list[np.ndarray], num_points: int, num_bins: int = 1000) -> None:
    for points in sequences:
        assert points.shape == (num_points, 2)
        assert points.dtype == np.int64
        assert points.min() >= 0
        assert points.max() < num_bins
        keys = [(x + y, y) for x, y in points.tolist()]
        assert keys[0] == min(keys)
        x, y = points.T
        assert (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() >= 0  # clockwise on screen
    firsts = [(p[0].sum(), p[0, 1]) for p in sequences]
    assert firsts == sorted(firsts)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", EDGE_CASES)
def test_edge_cases(case: str, method: str) -> None:
    mask = EDGE_CASES[case]
    for multipart in MULTIPARTS:
        for num_points in (3, 32):
            before = mask.copy()
            sequences = encode(mask, num_points, method, multipart)
            assert np.array_equal(mask, before)
            assert_well_formed(sequences, num_points)
            assert bool(sequences) == bool(mask.any())
            decoded = decode(sequences, mask.shape)
            assert decoded.shape == mask.shape
            assert decoded.dtype == bool
            if num_points > 3 and case in (
                EXACT_WHEN_REFINED if method in ("fast", "optimal") else EXACT
            ):
                assert np.array_equal(decoded, mask)


@pytest.mark.parametrize("method", SHARP)
@pytest.mark.parametrize("mask", [star(), two_boxes()], ids=["star", "boxes"])
def test_better_than_uniform(mask: np.ndarray, method: str) -> None:
    for multipart in MULTIPARTS:
        ours, uniform = (
            iou(decode(encode(mask, 24, m, multipart), mask.shape), mask)
            for m in (method, "uniform")
        )
        assert ours >= uniform - 0.005


@pytest.mark.parametrize(
    ("method", "bound"), [("uniform", 0.86), ("adaptive", 0.87), ("fast", 0.95), ("optimal", 0.95)]
)
def test_star(method: str, bound: float) -> None:
    assert iou(decode(encode(star(), 32, method), (200, 200)), star()) > bound


def test_multipart() -> None:
    boxes = two_boxes()
    largest, separate, bridge = (
        encode(boxes, 16, "optimal", multipart) for multipart in MULTIPARTS
    )
    assert [len(s) for s in (largest, separate, bridge)] == [1, 2, 1]
    assert not decode(largest, boxes.shape)[20:60, 80:130].any()
    assert iou(decode(separate, boxes.shape), boxes) == 1.0
    assert iou(decode(bridge, boxes.shape), boxes) == 1.0


@pytest.mark.parametrize("method", ["adaptive", "fast", "optimal"])
def test_holes_are_cut_out_by_bridges(method: str) -> None:
    mask = annulus()
    assert iou(decode(encode(mask, 32, method, "largest"), mask.shape), mask) < 0.8
    assert iou(decode(encode(mask, 32, method, "bridge"), mask.shape), mask) > 0.9


def test_part_inside_a_hole() -> None:
    mask = annulus()
    mask[90:110, 90:110] = True
    assert iou(decode(encode(mask, 40, "optimal", "bridge"), mask.shape), mask) > 0.97


def test_memory_layout_and_type_do_not_matter() -> None:
    mask = star()
    expected = encode(mask, 32)[0]
    for same in (
        np.asfortranarray(mask),
        mask.astype(np.uint8),
        mask.astype(np.uint8) * 255,
        mask.astype(float),
    ):
        assert np.array_equal(encode(same, 32)[0], expected)


@pytest.mark.parametrize("method", METHODS)
def test_deterministic(method: str) -> None:
    first, second = (encode(star(), 17, method, "bridge")[0] for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", ["bins", "bins-1"])
@pytest.mark.parametrize("num_bins", [2, 50, 4000])
def test_other_bins(num_bins: int, scale: str, method: str) -> None:
    mask = star()
    sequences = encode(mask, 20, method, "bridge", num_bins, scale)
    assert_well_formed(sequences, 20, num_bins)
    assert decode(sequences, mask.shape, num_bins, scale).shape == mask.shape


def test_eq1_loses_the_last_column() -> None:
    mask = np.ones((1000, 1000), dtype=bool)
    exact, clipped = (
        decode(encode(mask, 8, "fast", scale=s), mask.shape, scale=s) for s in ("bins-1", "bins")
    )
    assert exact.all()
    assert clipped[:999, :999].all()
    assert not clipped[999].any()
    assert not clipped[:, 999].any()


def test_a_mask_thinner_than_a_bin_is_widened() -> None:
    mask = np.zeros((3000, 4000), dtype=bool)
    mask[-1, 100:2000] = True
    decoded = decode(encode(mask, 8), mask.shape)
    assert decoded.any()
    assert np.flatnonzero(decoded.any(axis=1)).min() >= 3000 - 4


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        encode(star(), 2)
    with pytest.raises(ValueError, match=r"unknown method 'best': one of uniform, literal"):
        encode(star(), 8, "best")
    with pytest.raises(ValueError, match="unknown multipart"):
        encode(star(), 8, multipart="all")
    with pytest.raises(ValueError, match="unknown scale"):
        encode(star(), 8, scale="pixels")


@settings(max_examples=60)
@given(
    mask=arrays(bool, st.tuples(st.integers(1, 24), st.integers(1, 24))),
    num_points=st.integers(3, 40),
    method=st.sampled_from(METHODS),
    multipart=st.sampled_from(MULTIPARTS),
)
def test_any_small_mask(mask: np.ndarray, num_points: int, method: str, multipart: str) -> None:
    sequences = encode(mask, num_points, method, multipart)
    assert_well_formed(sequences, num_points)
    assert bool(sequences) == bool(mask.any())
    assert decode(sequences, mask.shape).shape == mask.shape


@settings(max_examples=40)
@given(
    corners=st.lists(st.tuples(st.floats(0, 300), st.floats(0, 200)), min_size=3, max_size=12),
    method=st.sampled_from(METHODS),
    multipart=st.sampled_from(MULTIPARTS),
)
def test_any_polygon(corners: list[tuple[float, float]], method: str, multipart: str) -> None:
    mask = decode(np.array(corners) / (300, 200) * 999, (200, 300))
    sequences = encode(mask, 24, method, multipart)
    assert_well_formed(sequences, 24)
    if method in ("fast", "optimal") and multipart == "bridge" and mask.sum() > 4000:
        assert iou(decode(sequences, mask.shape), mask) > 0.85


@settings(max_examples=40)
@given(
    box=st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(1, 60), st.integers(1, 60)),
    method=st.sampled_from(("fast", "optimal")),
    num_points=st.integers(4, 12),
)
def test_boxes(box: tuple[int, int, int, int], method: str, num_points: int) -> None:
    mask = np.zeros((160, 160), dtype=bool)
    mask[box[1] : box[1] + box[3], box[0] : box[0] + box[2]] = True
    assert iou(decode(encode(mask, num_points, method), mask.shape), mask) > 0.95


@settings(max_examples=100)
@given(
    points=st.one_of(
        st.lists(st.integers(-2000, 2000), max_size=9),
        st.lists(
            st.tuples(st.integers(-2000, 2000), st.floats(allow_nan=True, allow_infinity=True)),
            max_size=9,
        ),
        st.lists(st.lists(st.integers(-2000, 2000), max_size=9), max_size=4),
    ),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_decode_never_fails(points: list, size: tuple[int, int]) -> None:
    mask = decode(points, size)
    assert mask.shape == size
    assert mask.dtype == bool


def test_decode_forms() -> None:
    points = encode(two_boxes(), 8, multipart="separate")
    united = decode(points, (90, 140))
    assert np.array_equal(united, decode(points[0], (90, 140)) | decode(points[1], (90, 140)))
    assert np.array_equal(united, decode([p.reshape(-1).tolist() for p in points], (90, 140)))
    assert np.array_equal(
        decode(points[0], (90, 140)), decode([*points[0].reshape(-1).tolist(), 5], (90, 140))
    )
    assert np.array_equal(
        decode([points[0], points[0]], (90, 140)), decode(points[0], (90, 140))
    )  # OR, not XOR
    assert not decode([], (90, 140)).any()
    assert not decode([[1, 1], [900, 900]], (90, 140)).any()


def speckles(seed: int) -> np.ndarray:
    """Hundreds of rings: parts, holes, and parts in holes."""
    noise = np.random.default_rng(seed).normal(size=(300, 400))
    return cv2.GaussianBlur(noise, (0, 0), 6) > 0.01


@pytest.mark.parametrize("multipart", MULTIPARTS)
def test_optimal_is_never_worse_than_fast(multipart):
    """Its estimates, summed over many rings, may be further off than those of `fast`."""
    masks = [*map(speckles, range(4)), star(), annulus(), two_boxes(), border_frame()]
    for num_points, mask in product((12, 16), masks):
        held = {
            method: iou(decode(encode(mask, num_points, method, multipart), mask.shape), mask)
            for method in ("fast", "optimal")
        }
        assert held["optimal"] >= held["fast"]
