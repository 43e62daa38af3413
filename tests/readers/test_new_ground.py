"""GroundingME (descriptions that fit nothing, images inside Parquet) and ReasonSeg (regions that are ignored)."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from datamodules.readers import READERS
from tasks import Task
from tests.readers.test_formats import ROOT, read
from vista.codec.codec import Codec
from vista.data import Prediction
from vista.geometry import decode_segmentation
from vista.images import ImageError, load_image
from vista.shards import is_file, names_in


def test_groundingme():
    cup, broken, plate = read("groundingme", "test")
    assert (cup.id, cup.expression) == ("0", "the small cup behind the jug")
    assert cup.boxes == ((2.0, 3.0, 12.0, 14.0),) and cup.sizes == ((16, 24),)
    assert broken.boxes == () and broken.extra["subtask"] == "Rejection"
    assert all(a.extra["may_be_none"] for a in (cup, broken, plate))
    reader = READERS["groundingme"](ROOT, "test")
    assert plate.id == "3" and not list(reader.problems)
    list(reader)
    assert [key for key, _ in reader.problems] == ["2"]


def test_images_in_parquet_are_read():
    cup, broken, plate = read("groundingme", "test")
    for k, a in ((0, cup), (1, broken), (3, plate)):
        assert is_file(ROOT / a.images[0])
        assert np.array_equal(load_image(ROOT / a.images[0])[0, 0], (40 * k, 90, 200 - 40 * k))
    file = (ROOT / cup.images[0]).parent
    assert names_in(file) == ["0", "1", "2", "3"] and not is_file(file / "4")
    assert not is_file(file / "x") and names_in(file / "0") == []
    for name in ("4", "-1", "x", "9" * 30):
        with pytest.raises(ImageError, match=f"there is no row {name} in"):
            load_image(file / name)


def test_damaged_parquet_is_named(tmp_path):
    file = tmp_path / "a.parquet"
    file.write_bytes(b"PAR1 and no more")
    with pytest.raises(ImageError, match=r"a\.parquet is no parquet file"):
        load_image(file / "0")
    shutil.copy(ROOT / "ref_l4/ref-l4-val.parquet", file)
    with pytest.raises(ImageError, match=r"has no images in a column 'image\.bytes'"):
        load_image(file / "0")


def test_refusal_is_scored_where_it_is_an_answer():
    task = Task.known["rec"](Codec())
    annotations = read("groundingme", "test")
    truth = [task.target(a) for a in annotations]
    assert truth[1] == ""
    score = {}
    for name, texts in {
        "right": truth,
        "a box each": [truth[0]] * 3,
        "refuses": ["There is no such object."] * 3,
        "garbage": ["[1, 2"] * 3,
    }.items():
        evaluator = task.evaluator()
        preds = [task.parse(text, a) for text, a in zip(texts, annotations, strict=True)]
        evaluator.update(preds, list(map(task.reference, annotations)))
        score[name] = {key: round(float(value), 1) for key, value in evaluator.compute().items()}
    assert score["right"]["pr50"] == score["right"]["n_acc"] == 100
    assert score["right"]["mean_iou"] > 99
    assert (score["a box each"]["pr50"], score["a box each"]["n_acc"]) == (33.3, 0)
    assert (score["refuses"]["pr50"], score["refuses"]["n_acc"]) == (33.3, 100)
    assert {score["garbage"][key] for key in ("pr50", "mean_iou", "n_acc")} == {0}
    assert all(
        a.boxes or not p.boxes for a, p in zip(annotations, task.baseline(annotations), strict=True)
    )


def test_elsewhere_no_box_is_no_answer():
    task = Task.known["rec"](Codec())
    (first, *_) = read("refcoco", "val")
    assert task.parse("", first).malformed and task.parse("None.", first).malformed
    evaluator = task.evaluator()
    evaluator.update([Prediction(malformed=True)], [task.reference(first)])
    assert "n_acc" not in evaluator.compute()


def official_mask(record: dict, size: tuple[int, int]) -> np.ndarray:
    """Independent of the reader: a pixel belongs to the smallest region whose filled outline covers it."""
    values, smallest = np.zeros(size, int), np.full(size, np.inf)
    for shape in record["shapes"]:
        if shape["label"] == "flag":
            continue
        drawn = np.zeros(size, np.uint8)
        points = np.trunc(np.array(shape["points"])).astype(np.int32)
        cv2.drawContours(drawn, [points], -1, 1, cv2.FILLED)
        cv2.drawContours(drawn, [points], -1, 1, 1)
        covers = (drawn > 0) & (drawn.sum() < smallest)
        values[covers] = 255 if "ignore" in shape["label"] else 1
        smallest[covers] = drawn.sum()
    return values


def test_reasonseg():
    sentences = read("reasonseg", "train")
    assert [a.expression for a in sentences] == [
        "What keeps the rain off?",
        "the thing that keeps one dry",
    ]
    (only,) = read("reasonseg", "val")
    assert only.id == "1_a_0" and only.images == ("reason_seg/ReasonSeg/val/1_a.jpg",)
    record = json.loads((ROOT / "reason_seg/ReasonSeg/val/1_a.json").read_text())
    values = official_mask(record, (30, 40))
    mask = decode_segmentation(only.segmentations[0], (30, 40))
    assert np.array_equal(mask, values == 1) and mask[5:13, 5:13].sum() == 0
    assert np.array_equal(decode_segmentation(only.extra["ignored"], (30, 40)), values == 255)
    assert only.boxes == ((2, 3, 31, 21),)


def test_ignored_pixels_count_for_nothing():
    task = Task.known["res"](Codec())
    (only,) = read("reasonseg", "val")
    reference = task.reference(only)
    whole = reference["mask"] | reference["ignored"]
    evaluator = task.evaluator()
    evaluator.update([Prediction(masks=[whole])], [reference])
    assert float(evaluator.compute()["mIoU"]) == 100
    without = evaluator.sample(Prediction(masks=[whole]), reference | {"ignored": None})
    assert without["iou"] < 0.9


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[1]", "is not there, or no JSON"),
        ("{", "is not there, or no JSON"),
        ('{"shapes": [], "text": ["a"]}', "draws no pixel"),
        ('{"shapes": [{"label": "a", "points": []}], "text": ["a"]}', "cannot be drawn"),
        ('{"shapes": [{"label": "a", "points": [[1, 2, 3]]}], "text": ["a"]}', "cannot be drawn"),
        ('{"shapes": [{"label": "a", "points": [[1e99, 2]]}], "text": ["a"]}', "cannot be drawn"),
        ('{"shapes": [{"label": "a", "points": [[1, 2]]}], "text": []}', "has no question"),
        ('{"text": ["a"]}', "has no 'shapes'"),
    ],
)
def test_what_cannot_be_used_of_reasonseg_is_said(tmp_path, content, why):
    folder = Path("reason_seg/ReasonSeg/val")
    shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / folder / "1_a.jpg", tmp_path / folder / "2.jpg")
    (tmp_path / folder / "2.json").write_text(content)
    shutil.copy(ROOT / folder / "1_a.jpg", tmp_path / folder / "3.jpg")
    text = (ROOT / folder / "1_a.json").read_text().replace("What keeps", "Où")
    (tmp_path / folder / "3.json").write_bytes(text.encode("cp1252"))
    reader = READERS["reasonseg"](tmp_path, "val")
    assert [a.expression for a in reader] == ["What keeps the rain off?", "Où the rain off?"]
    assert [(key, why in said) for key, said in reader.problems] == [("2.jpg", True)]
