"""`codec-bench`: files of masks in, a table, a CSV file and a figure out."""

import csv
import json
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.tiny import run
from vista.codec.bench.boundary import boundary_f
from vista.codec.bench.command import codec_bench
from vista.codec.bench.mask_files import read_masks
from vista.codec.bench.plot import height, limits, percent, plot_curves, readable

SQUARE = [[20.0, 10.0, 60.0, 10.0, 60.0, 50.0, 20.0, 50.0]]


def square() -> np.ndarray:
    mask = np.zeros((80, 100), dtype=bool)
    mask[10:50, 20:60] = True
    return mask


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """Two masks, a crowd, and a mask too small to be measured."""
    image = {"id": 7, "height": 80, "width": 100}
    crowd = {"size": [80, 100], "counts": [0, 8000]}
    small = [[1.0, 1.0, 9.0, 1.0, 9.0, 9.0]]
    records = [
        {"image_id": 7, "segmentation": SQUARE, "bbox": [20, 10, 40, 40], "iscrowd": 0},
        {
            "image_id": 7,
            "segmentation": [*SQUARE, [70.0, 50.0, 95.0, 50.0, 82.0, 75.0]],
            "iscrowd": 0,
        },
        {"image_id": 7, "segmentation": crowd, "bbox": [0, 0, 100, 80], "iscrowd": 1},
        {"image_id": 7, "segmentation": small, "bbox": [1, 1, 8, 8], "iscrowd": 0},
    ]
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({"images": [image], "annotations": records}))
    return path


def test_coco_annotations(annotations: Path) -> None:
    assert len(list(read_masks([annotations]))) == 3
    one, two = read_masks([annotations], min_box=0.05)
    assert np.array_equal(one, square())
    assert np.count_nonzero(two & ~one) > 200


def test_coco_results(tmp_path: Path) -> None:
    rle = coco_mask.encode(np.asfortranarray(square().astype(np.uint8)))
    records = [
        {
            "image_id": 1,
            "score": 0.5,
            "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
        }
    ]
    (tmp_path / "results.json").write_text(json.dumps(records))
    (mask,) = read_masks([tmp_path / "results.json"])
    assert np.array_equal(mask, square())


def test_png_files_and_folders(tmp_path: Path) -> None:
    image = square().astype(np.uint8) * 5
    cv2.imwrite(str(tmp_path / "a.png"), image)
    cv2.imwrite(str(tmp_path / "b.png"), np.dstack([image, image * 0, image * 0, image * 0 + 255]))
    cv2.imwrite(str(tmp_path / "empty.png"), image * 0)
    masks = list(read_masks([tmp_path, tmp_path / "a.png"]))
    assert len(masks) == 3
    assert all(np.array_equal(mask, square()) for mask in masks)


def test_files_that_hold_no_masks(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "a.json").write_text('{"images": []}')
    (tmp_path / "b.json").write_text(json.dumps([{"image_id": 1, "segmentation": SQUARE}]))
    (tmp_path / "a.png").write_text("")
    for name, reason in [
        ("a.txt", "not from"),
        ("a.json", "neither"),
        ("b.json", "size of image 1"),
        ("a.png", "image"),
    ]:
        with pytest.raises(ValueError, match=reason):
            list(read_masks([tmp_path / name]))
    with pytest.raises(FileNotFoundError, match="there is no file"):
        list(read_masks([tmp_path / "none.json"]))


def test_bench(annotations: Path, tmp_path: Path) -> None:
    words = [
        "--points",
        "8",
        "12",
        "--methods",
        "uniform",
        "optimal",
        "--multipart",
        "largest",
        "separate",
        "bridge",
    ]
    words += ["--masks", str(annotations), "--min_box", "0.05", "--out", str(tmp_path / "out")]
    outcome = run("codec-bench", *words)
    assert outcome.code == 0, outcome.err
    assert "2 masks, 1 of one part" in outcome.out
    with (tmp_path / "out" / "codec_bench.csv").open() as file:
        rows = {(r["method"], r["multipart"], int(r["points"])): r for r in csv.DictReader(file)}
    assert len(rows) == 12
    best, largest = rows["optimal", "bridge", 12], rows["optimal", "largest", 12]
    assert float(best["iou_single"]) == 100
    assert float(best["iou_multi"]) > 97
    assert float(largest["iou_multi"]) < 90
    assert (largest["tokens_paper"], largest["tokens_compact"]) == ("72", "26")
    # One and two sequences, with one <msep>: (72 + 145) / 2 tokens.
    assert float(rows["optimal", "separate", 12]["tokens_paper"]) == pytest.approx(108.5, abs=0.6)
    assert all(float(r["encode_us"]) > 0 and float(r["decode_us"]) > 0 for r in rows.values())


def test_a_figure_of_all_curves(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    curves = {
        ("fast", "largest"): [(96.0, 97.0), (48.0, 90.0)],
        ("fast", "bridge"): [(48.0, 100.0)],
    }
    plot_curves(curves, "tokens", "IoU", tmp_path / "a.png")
    plot_curves({("fast", "largest"): [(48.0, 97.0)]}, "tokens", "IoU", tmp_path / "one_point.png")
    for name in ("a.png", "one_point.png"):
        figure = cv2.imread(str(tmp_path / name))
        assert figure.shape == (920, 1800, 3)
        assert len(np.unique(figure.reshape(-1, 3), axis=0)) > 50


def test_without_matplotlib_the_table_is_there_and_the_extra_is_named(
    annotations: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    codec_bench([annotations], [8], ["uniform"], out=tmp_path)
    assert "a figure needs matplotlib: pip install 'vistallm[plot]'" in capsys.readouterr().out
    assert [path.name for path in tmp_path.glob("codec_bench.*")] == ["codec_bench.csv"]


def test_the_upright_axis_shows_what_is_missing() -> None:
    scores = np.array([80.0, 90.0, 98.0, 99.0])
    assert percent(height(scores)) == pytest.approx(scores)
    assert height(90.0) - height(80.0) == pytest.approx(height(99.0) - height(98.0))
    low, high = limits([90.0, 100.0])
    assert 84 < low < 90 and 99.99 < high < 100


def test_numbers_at_an_axis_can_be_read_apart() -> None:
    assert readable([1, 48, 49, 96, 192, 300], math.log, 48, 192) == [48, 96, 192]


def test_bench_without_masks(annotations: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no mask with a box of at least 90%"):
        codec_bench([str(annotations)], [8], ["uniform"], min_box=0.9, out=tmp_path)
    with pytest.raises(ValueError, match="unknown method"):
        codec_bench([str(annotations)], [8], ["best"], out=tmp_path)


def test_a_file_without_masks_is_told_from_one_of_small_masks(
    annotations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = {"id": 7, "height": 80, "width": 100}
    crowd = {"image_id": 7, "segmentation": {"size": [80, 100], "counts": [0, 8000]}, "iscrowd": 1}
    boxes = {"image_id": 7, "bbox": [0, 0, 9, 9]}
    none = tmp_path / "none.json"
    none.write_text(json.dumps({"images": [image], "annotations": [crowd, boxes]}))
    for min_box in (0.0, 0.05):
        with pytest.raises(ValueError) as error:
            codec_bench([str(none)], [8], ["uniform"], min_box=min_box, out=tmp_path)
        assert str(error.value) == f"{none} holds no mask; crowds and empty ones are left out"
    with pytest.raises(
        ValueError, match=r"a box of at least 99\.95% of its image in .*inst.*--min_box"
    ):
        codec_bench([str(annotations)], [8], ["uniform"], min_box=0.9995, out=tmp_path)
    codec_bench([str(none), str(annotations)], [8], ["uniform"], out=tmp_path)
    printed = capsys.readouterr().out
    assert f"{none} holds no mask" in printed and "2 masks, 1 of one part" in printed
    with pytest.raises(ValueError, match="--limit is 0; one mask at least is measured"):
        codec_bench([str(annotations)], [8], ["uniform"], limit=0, out=tmp_path)


def test_boundary_f() -> None:
    mask, shifted, far = square(), np.roll(square(), 2, axis=1), np.roll(square(), 6, axis=(0, 1))
    assert boundary_f(mask, mask) == 1
    assert boundary_f(shifted, mask) == 1
    assert boundary_f(far, mask) < 0.2
    assert boundary_f(mask & False, mask) == 0
    assert boundary_f(mask & False, mask & False) == 1
