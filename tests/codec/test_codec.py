"""Regions as text and back: what is written is read again, and what a model may write is judged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vista.codec.codec import Codec
from vista.data import neutralise

CODEC = Codec()
SIZE = (480, 640)

sizes = st.tuples(st.integers(1, 3000), st.integers(1, 3000))
unit = st.floats(0, 1)
bins = st.integers(0, 999)
box_bins = st.tuples(bins, bins, bins, bins).filter(lambda b: b[0] < b[2] and b[1] < b[3])


def ellipse(size: tuple[int, int], x: float, y: float, a: float, b: float) -> np.ndarray:
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    return ((columns - x) / a) ** 2 + ((rows - y) / b) ** 2 <= 1


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / max(1, (a | b).sum())


@given(numbers=box_bins, size=sizes, scale=st.sampled_from(["bins-1", "bins"]))
def test_box_text_is_written_again_as_read(numbers, size, scale) -> None:
    codec = Codec(scale=scale)
    text = str(list(numbers))
    boxes, malformed = codec.parse_boxes(text, size)
    assert not malformed
    assert codec.box_to_text(boxes[0], size) == text


@given(corners=st.tuples(unit, unit, unit, unit), size=sizes)
def test_box_comes_back_within_half_a_bin_and_a_bin_where_widened(corners, size) -> None:
    height, width = size
    (x0, x1), (y0, y1) = sorted(corners[:2]), sorted(corners[2:])
    box = (x0 * width, y0 * height, x1 * width, y1 * height)
    boxes, malformed = CODEC.parse_boxes(CODEC.box_to_text(box, size), size)
    assert not malformed  # even without width or height
    assert np.abs(np.subtract(boxes[0], box) / (width, height, width, height)).max() <= 1.501 / 999


@given(point=st.tuples(unit, unit), size=sizes)
def test_point_comes_back_within_half_a_bin(point, size) -> None:
    x, y = point[0] * size[1], point[1] * size[0]
    points, malformed = CODEC.parse_points(CODEC.point_to_text((x, y), size), size)
    assert not malformed
    assert (
        abs(points[0][0] - x) / size[1] <= 0.501 / 999
        and abs(points[0][1] - y) / size[0] <= 0.501 / 999
    )


def test_borders_are_exact() -> None:
    assert CODEC.box_to_text((0, 0, 640, 480), SIZE) == "[0, 0, 999, 999]"
    assert CODEC.parse_boxes("[0, 0, 999, 999]", SIZE) == ([(0, 0, 640, 480)], False)


@pytest.mark.parametrize(
    ("box", "text"),
    [
        ((128, 96, 128, 96), "[200, 200, 201, 201]"),
        ((640, 480, 640, 480), "[998, 998, 999, 999]"),
        ((0, 0, 0, 480), "[0, 0, 1, 999]"),
    ],
)
def test_thin_box_is_a_bin_wide(box, text) -> None:
    assert CODEC.box_to_text(box, SIZE) == text


def test_box_with_swapped_corners_is_refused() -> None:
    with pytest.raises(ValueError, match="not xyxy"):
        CODEC.box_to_text((300, 0, 100, 50), SIZE)


def test_boxes_are_ordered_by_their_first_corner() -> None:
    boxes = [(320.5, 240.5, 600, 400), (64, 48, 100, 100), (0, 120, 600, 480), (160, 0, 200, 100)]
    first = [[500, 501], [100, 100], [0, 250], [250, 0]]
    written = [
        text[1:-1].split(", ")[:2] for text in CODEC.boxes_to_text(boxes, SIZE).split(" <bsep> ")
    ]
    assert [[int(n) for n in corner] for corner in written] == [
        first[1],
        first[3],
        first[2],
        first[0],
    ]
    assert CODEC.boxes_to_text(boxes, SIZE, sort=False).startswith("[500, 501")
    assert CODEC.boxes_to_text([], SIZE) == ""


def test_separator_between_boxes_is_optional() -> None:
    joined, apart = (
        CODEC.parse_boxes(f"[1, 2, 3, 4]{s}[5, 6, 7, 8]", SIZE) for s in (" <bsep> ", "")
    )
    assert joined == apart and len(joined[0]) == 2


@pytest.mark.parametrize("text", ["", "none", "no number here", "It is 3.", "in 2014"])
def test_text_without_regions_is_none_and_well_formed(text) -> None:
    assert (
        CODEC.parse_boxes(text, SIZE)
        == CODEC.parse_masks(text, SIZE)
        == CODEC.parse_points(text, SIZE)
        == ([], False)
    )


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2, 3]",
        "[1, 2, 3, 4, 5]",
        "[]",
        "[5, 6, 5, 7]",  # no width
        "[5, 6, 4, 7]",  # swapped
        "[0, 0, 10, 1000]",
        "[0, 0, 10, 99999999999999999999]",
        "[-1, 0, 10, 10]",
        "[0.5, 0, 10, 10]",
        "[1 2 3 4]",
        "[1, 2, 3, 4,]",
        "[a, b, c, d]",
        "[1, 2, 3, 4",  # the answer was cut off
        "1, 2, 3, 4]",
        "[[1, 2, 3, 4]]",
        "[1, 2, 3, 4] <bsep> [5, 6",
        "[1, 2, 3, 4] <bsep> [5, 6, 5, 6]",
        "1, 2, 3, 4",
        "<bsep>",
        "<msep>",
        "[\u0661, \u0662, \u0663, \u0664]",  # digits of another script
    ],
)
def test_malformed_boxes(text) -> None:
    assert CODEC.parse_boxes(text, SIZE) == ([], True)


@pytest.mark.parametrize(
    "text", ["[1, 2, 3, 4]", "[1, 2, 3, 4, 5, 6, 7]", "[1, 2, 3, 4, 5, 1000]", "[[]]", "1, 2", "["]
)
def test_malformed_masks(text) -> None:
    assert CODEC.parse_masks(text, SIZE) == ([], True)


@given(text=st.text(alphabet="[]0123456789, <>bsepm", max_size=40))
def test_no_text_raises(text) -> None:
    for parse in (CODEC.parse_boxes, CODEC.parse_masks, CODEC.parse_points):
        regions, malformed = parse(text, (20, 30))
        assert not (regions and malformed)


@pytest.mark.parametrize("method", ["uniform", "adaptive"])
def test_mask_comes_back(method) -> None:
    mask = ellipse(SIZE, 300, 200, 130, 80)
    codec = Codec(method=method)
    text = codec.mask_to_text(mask)
    assert len(text.split(", ")) == 64
    masks, malformed = codec.parse_masks(text, SIZE)
    assert not malformed and len(masks) == 1
    assert masks[0].dtype == bool and masks[0].shape == SIZE
    assert iou(masks[0], mask) > 0.97


def test_mask_is_read_at_the_size_that_is_given() -> None:
    text = CODEC.mask_to_text(ellipse((120, 160), 80, 60, 40, 30))
    assert iou(CODEC.parse_masks(text, SIZE)[0][0], ellipse(SIZE, 320, 240, 160, 120)) > 0.96


def test_empty_masks() -> None:
    empty, full = np.zeros((40, 50), dtype=bool), np.ones((40, 50), dtype=bool)
    assert CODEC.mask_to_text(empty) == CODEC.masks_to_text([]) == ""
    assert CODEC.mask_to_text(empty, keep_empty=True) == "[]"
    text = CODEC.masks_to_text([empty, full, empty], keep_empty=True)
    masks, malformed = CODEC.parse_masks(text, (40, 50))
    assert not malformed and [m.sum() for m in masks] == [0, 2000, 0]
    assert CODEC.masks_to_text([empty, full]) == CODEC.mask_to_text(full)


def test_masks_are_sorted_only_where_asked() -> None:
    near, far = ellipse(SIZE, 100, 100, 30, 30), ellipse(SIZE, 500, 300, 30, 30)
    empty = np.zeros(SIZE, dtype=bool)
    assert CODEC.masks_to_text([far, near]) == " <msep> ".join(map(CODEC.mask_to_text, (far, near)))
    ordered = CODEC.masks_to_text([far, empty, near], keep_empty=True, sort=True)
    assert ordered == " <msep> ".join([CODEC.mask_to_text(near), CODEC.mask_to_text(far), "[]"])


def test_parts_written_apart_unite_to_the_mask() -> None:
    mask = ellipse(SIZE, 150, 200, 60, 60) | ellipse(SIZE, 450, 250, 60, 60)
    largest, separate = (Codec(multipart=m).mask_to_text(mask) for m in ("largest", "separate"))
    assert (largest.count("<msep>"), separate.count("<msep>")) == (0, 1)
    assert iou(np.any(CODEC.parse_masks(separate, SIZE)[0], axis=0), mask) > 0.95


def test_fewer_bins_and_points() -> None:
    codec = Codec(num_bins=100, num_points=8)
    assert codec.box_to_text((0, 0, 640, 480), SIZE) == "[0, 0, 99, 99]"
    assert codec.parse_boxes("[0, 0, 99, 100]", SIZE) == ([], True)
    assert len(codec.mask_to_text(np.ones(SIZE, dtype=bool)).split(", ")) == 16


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"num_bins": 1001}, "num_bins is 1001"),
        ({"num_points": 2}, "num_points is 2"),
        ({"method": "magic"}, "unknown method 'magic'"),
        ({"multipart": "some"}, "unknown multipart 'some'"),
        ({"scale": "metres"}, "unknown scale 'metres'"),
    ],
)
def test_wrong_settings_are_refused_at_once(setting, sentence) -> None:
    with pytest.raises(ValueError, match=sentence):
        Codec(**setting)


def test_neutralise() -> None:
    assert neutralise("a <image>, <bsep><msep> </s> <|12|> a<b [1, 2]") == (
        "a < image>, < bsep>< msep> < /s> < |12|> a<b [1, 2]"
    )
    assert neutralise("<<image>image>") == "<< image>image>"
