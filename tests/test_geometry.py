"""The guard before drawing libraries: what it lets through, what it says of the rest, and that nothing else is drawn.

Every value here is harmless, to the libraries too, and yet they are replaced by one that refuses to be called.
"""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from datamodules.readers.mask_images import union
from datamodules.readers.official import Official
from vista import geometry, unsound
from vista.codec.bench.mask_files import read_masks
from vista.data import InputError
from vista.geometry import clip_box, clip_xywh, decode_segmentation, mask_problem
from vista.unsound import (
    all_finite,
    is_box,
    is_number,
    joined,
    malformed,
    run_lengths,
    segmentation_problem,
    size_problem,
)

SIZE = (60, 80)
SQUARE = [10, 10, 50, 10, 50, 40, 10, 40]
FAR = 80 * 12
# segmentation -> words that say what is wrong with it
UNSOUND: list[tuple[Any, str]] = [
    ([["10", "10", "50", "10", "50", "40"]], "a coordinate '10', which is no number"),
    ([[10, 10, 50, 10, 50, "40"]], "a coordinate '40'"),
    ([[True, 10, 50, 10, 50, 40]], "a coordinate True"),
    ([[10, 10, 50, 10, 50, None]], "a coordinate None"),
    ([[10, 10, FAR, 10, 50, 40]], "far outside its image of [60, 80]"),
    ([[10, 10, 50, -FAR, 50, 40]], "far outside"),
    ([[10, 10, 50, 10, 50, 40, 10]], "which is not pairs of numbers"),
    ([[[10, 10], [50, 10], [50, 40]]], "[50, 40]], which is not pairs of numbers"),
    ([SQUARE, 7], "a polygon 7, which is not pairs"),
    ([SQUARE, {"x": 1}], "a polygon {'x': 1}"),
    (["10 10 50 10"], "a polygon '10 10 50 10'"),
    ("10 10 50 10", "'10 10 50 10', which has no polygon"),
    (7, "has no polygon"),
    (None, "has no polygon"),
    ({"size": [60, 80]}, "the run lengths None"),
    ({"counts": [4800]}, "its mask has size None, its image [60, 80]"),
    ({"size": [80, 60], "counts": [4800]}, "its mask has size [80, 60], its image [60, 80]"),
    ({"size": ["60", "80"], "counts": [4800]}, "its mask has size ['60', '80']"),
    ({"size": [60, 80], "counts": [4799]}, "run lengths of 4799 pixels, its image 4800"),
    ({"size": [60, 80], "counts": []}, "run lengths of 0 pixels"),
    ({"size": [60, 80], "counts": [-1]}, "the run length -1"),
    ({"size": [60, 80], "counts": ["4800"]}, "the run length '4800'"),
    ({"size": [60, 80], "counts": [True, 4799]}, "the run length True"),
    ({"size": [60, 80], "counts": [4800.0]}, "the run length 4800.0"),
    ({"size": [60, 80], "counts": {"0": 4800}}, "the run lengths {'0': 4800}"),
    ({"size": [60, 80], "counts": ""}, "the run lengths b''"),
    ({"size": [60, 80], "counts": "~~"}, "which are none"),
    ({"size": [60, 80], "counts": "PPPPPPPPP0"}, "too long"),
]


class Forbidden:
    """Stands for pycocotools where it must not be called."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was called with what had not been checked")


@pytest.fixture
def forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geometry, "coco_mask", Forbidden())


@pytest.mark.parametrize(("segmentation", "words"), UNSOUND)
def test_what_is_unsound_is_named_and_never_drawn(
    forbidden: None, segmentation: Any, words: str
) -> None:
    assert words in malformed(segmentation, SIZE)
    assert words in segmentation_problem(segmentation, SIZE)
    assert words in mask_problem(segmentation, SIZE)
    with pytest.raises(InputError) as error:
        decode_segmentation(segmentation, SIZE)
    assert words in str(error.value) and len(str(error.value)) < 300


def test_run_lengths_must_add_up_and_outlines_end(
    forbidden: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen in numbers that never were a mask."""
    rle = {"size": list(SIZE), "counts": "harmless"}
    for runs, words in (([4801], "4801 pixels, its image 4800"), ([4000, 900], "4900 pixels")):
        monkeypatch.setattr(unsound, "run_lengths", lambda _, runs=runs: np.array(runs))
        assert words in malformed(rle, SIZE)
    monkeypatch.setattr(unsound, "LONGEST_OUTLINE", 139)
    assert "an outline of more than 139 pixels" in malformed([SQUARE], SIZE)
    monkeypatch.setattr(unsound, "LONGEST_OUTLINE", 140)
    assert malformed([SQUARE], SIZE) == ""


class Taker:
    """Stands for a reader that takes notes."""

    name, source = "mine", "https://example.org"

    def __init__(self) -> None:
        self.problems: list[tuple[object, str]] = []

    def leave_out(self, name: object, why: str) -> None:
        self.problems.append((name, why))


@pytest.mark.parametrize(("segmentation", "words"), UNSOUND)
def test_an_unsound_object_is_left_out_with_file_and_id(
    forbidden: None, segmentation: Any, words: str, tmp_path: Any
) -> None:
    taker, record = Taker(), {"id": 7, "bbox": [1, 1, 9, 9], "segmentation": segmentation}
    (tmp_path / "instances.json").write_text('{"images": []}')
    official = Official(taker, tmp_path / "instances.json")  # type: ignore[arg-type]
    assert official.box(record, SIZE) is None
    ((name, why),) = taker.problems
    assert name == 7 and words in why and why.endswith(", in instances.json")


@pytest.mark.parametrize("size", [(0, 5), (-3, 5), (5, 1 << 17), (1 << 14, 1 << 14), ("5", "5"), (5.0, 5.0), (True, 5),
                                  (5,), (5, 5, 5), None, "55", [None, None]])  # fmt: skip
def test_sizes_that_no_image_has(forbidden: None, size: Any) -> None:
    assert "size" in size_problem(size)
    assert "size" in malformed([SQUARE], size)
    with pytest.raises(InputError, match="size"):
        decode_segmentation([SQUARE], size)
    assert not size_problem((1, 1)) and not size_problem([480, 640])


def test_bench_leaves_out_what_is_unsound_and_names_it(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file with sound and unsound masks the sound ones are drawn, and no other."""
    records: list[Any] = [
        {"id": k, "image_id": 1, "segmentation": segmentation}
        for k, (segmentation, _) in enumerate(UNSOUND, start=100)
        if segmentation
    ]
    sound = {"id": 1, "image_id": 1, "segmentation": [SQUARE], "bbox": ["1", 2, 3, 4]}
    file = tmp_path / "masks.json"
    images = [{"id": 1, "height": 60, "width": 80}, {"id": 2, "height": "60", "width": 80}]
    elsewhere = sound | {"id": 2, "image_id": 2}
    content = {"images": images, "annotations": [sound, elsewhere, *records, 5]}
    file.write_text(json.dumps(content))
    drawn: list[Any] = []
    real = geometry.coco_mask.frPyObjects

    def spy(polygons: Any, height: int, width: int) -> Any:
        drawn.append(polygons)
        return real([SQUARE], height, width)

    monkeypatch.setattr(geometry.coco_mask, "frPyObjects", spy)
    with pytest.warns(UserWarning, match=rf"masks\.json: {len(records) + 2} of") as caught:
        (mask,) = read_masks([file])
    assert drawn == [[SQUARE]] and mask.any()
    (message,) = (str(each.message) for each in caught if "left out" in str(each.message))
    assert "annotation 2: its image has the size ('60', 80)" in message
    assert "annotation 100: its mask has a coordinate '10'" in message


def test_numbers_are_numbers() -> None:
    for good in (0, -3, 2.5, 10**15, np.float64(3)):
        assert is_number(good)
    for bad in (True, False, "3", None, math.nan, math.inf, -math.inf, 10**400, 1e300, [3], 3j):
        assert not is_number(bad)
    assert all_finite([1, 2.5]) and all_finite([])
    for bad in ([1, math.nan], [math.inf], [1.0, 10**400], [1, True], [1, "2"], [np.float64(1)]):
        assert not all_finite(bad)


def test_boxes_of_texts_are_none() -> None:
    """Added as texts, 10 and 50 would be 1050."""
    for bad in (
        ["10", "10", "50", "40"],
        [10, 10, 50, "40"],
        [True, 1, 5, 5],
        [0, 0, math.inf, 5],
        [0, 0, 10**400, 5],
        [-FAR, 0, 5, 5],
        {"x": 1},
        "1234",
    ):
        assert clip_xywh(bad, SIZE) is None and clip_box(bad, SIZE) is None  # type: ignore[arg-type]
    assert is_box([10, 10, 50, 40], SIZE) and clip_xywh([10, 10, 50, 40], SIZE) == (10, 10, 60, 50)


def test_a_flat_list_of_numbers_is_one_polygon(tmp_path: Any) -> None:
    drawn = decode_segmentation(SQUARE, SIZE)  # type: ignore[arg-type]
    assert np.array_equal(drawn, decode_segmentation([SQUARE], SIZE)) and drawn.sum() == 40 * 30
    record = {"id": 1, "bbox": [10, 10, 40, 30], "segmentation": SQUARE}
    (tmp_path / "x.json").write_text('{"images": []}')
    official = Official(Taker(), tmp_path / "x.json")  # type: ignore[arg-type]
    assert official.box(record, SIZE) and record["segmentation"] == [SQUARE]
    assert segmentation_problem([SQUARE, [1, 2, 3, 4], []], SIZE) == ""


def test_no_polygon_is_an_empty_mask_and_no_problem_to_draw() -> None:
    for empty in ([], [[1, 2, 3, 4]], [[]]):
        assert malformed(empty, SIZE) == "" and not decode_segmentation(empty, SIZE).any()
        assert "three points" in segmentation_problem(empty, SIZE)


@given(arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_run_lengths_agree_with_pycocotools(mask: np.ndarray) -> None:
    """Our own decoding of compressed run lengths, on masks that pycocotools has compressed."""
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    runs, size = run_lengths(rle["counts"]), (mask.shape[0], mask.shape[1])
    by_hand = np.diff(np.flatnonzero(np.diff(np.concatenate(([2], mask.T.ravel(), [2])))))
    expected = by_hand if not mask[0, 0] else np.insert(by_hand, 0, 0)
    assert runs.tolist() == expected.tolist() and joined(runs).tolist() == expected.tolist()
    text = {"size": list(size), "counts": rle["counts"].decode()}
    for segmentation in (text, text | {"counts": rle["counts"]}, text | {"counts": runs.tolist()}):
        assert malformed(segmentation, size) == ""
        assert np.array_equal(decode_segmentation(segmentation, size), mask)
        assert bool(mask_problem(segmentation, size)) is not mask.any()
    assert union([text], size) == text


def test_long_run_lengths_agree_with_pycocotools() -> None:
    mask = np.zeros((3000, 4000), dtype=np.uint8)
    mask[:, 1:3999], mask[5:2000, 2000] = 1, 0
    rle = coco_mask.encode(np.asfortranarray(mask))
    assert len(run_lengths(rle["counts"])) == 5
    text = {"size": [3000, 4000], "counts": rle["counts"].decode()}
    assert np.array_equal(decode_segmentation(text, mask.shape), mask.astype(bool))


def test_run_lengths_of_nothing_are_joined() -> None:
    """Runs of 0 inside are legal, but more of them than pixels would be more than a library makes room for."""
    assert joined(np.array([3, 0, 2, 4, 0, 0, 1])).tolist() == [5, 4, 1]
    assert joined(np.array([0, 0, 0, 6, 4])).tolist() == [0, 6, 4]
    zeros = {"size": [2, 5], "counts": [3, 0, 2, 4, *[0] * 100, 1]}
    assert decode_segmentation(zeros, (2, 5)).T.ravel().tolist() == [False] * 5 + [True] * 4 + [
        False
    ]
    assert union([zeros], (2, 5)) == union([{"size": [2, 5], "counts": [5, 4, 1]}], (2, 5))


def test_union_is_that_of_the_masks() -> None:
    other = {"size": list(SIZE), "counts": [0, 60, 4740]}
    both = decode_segmentation(union([[SQUARE], other], SIZE), SIZE)
    expected = decode_segmentation([SQUARE], SIZE) | decode_segmentation(other, SIZE)
    assert np.array_equal(both, expected)
