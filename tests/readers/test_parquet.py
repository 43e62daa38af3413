"""Data sets in Parquet files: Ref-L4 and RefCOCO-M, read row by row."""

import re
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from datamodules.readers import READERS
from datamodules.readers.parquet import parquet_records
from tests.readers.test_formats import ROOT
from vista.data import InputError, MissingFileError
from vista.geometry import decode_segmentation


def write(path: Path, rows: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def test_a_row_of_ref_l4():
    first, second = READERS["ref_l4"](ROOT, "val")
    assert (first.id, first.sizes, first.images) == (
        "1",
        ((60, 80),),
        ("ref_l4/images/objects365_v2_00000001.jpg",),
    )
    assert first.boxes == ((10, 20, 25.5, 40),) and first.expression.startswith("the small red cup")
    assert first.photos == (("objects365 objects365_v2_00000001.jpg",),) and second.photos == (
        ("coco 9",),
    )
    assert [a.id for a in READERS["ref_l4"](ROOT, "test")] == ["3"]


def test_the_expressions_of_a_row_of_refcoco_m():
    annotations = list(READERS["refcoco_m"](ROOT, "val"))
    assert [(a.id, a.expression) for a in annotations] == [
        ("11_0", "left cup"), ("11_1", "the cup on the left"), ("12_0", "right cup"),
    ]  # fmt: skip
    first = annotations[0]
    assert first.boxes == ((5, 10, 25, 40),) and first.photos == (("coco 9",),)
    assert first.images == ("refer/images/mscoco/images/train2014/COCO_train2014_000000000009.jpg",)
    mask = decode_segmentation(first.segmentations[0], (60, 80))
    assert mask[10:40, 5:25].all() and mask.sum() == 600


ROW = {
    "id": 1, "caption": "a cup", "bbox": [1.0, 2.0, 3.0, 4.0], "height": 20, "width": 30, "file_name": "a.jpg",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"bbox": [40.0, 2.0, 3.0, 4.0]}, "its box .* has no area inside"),
        ({"height": 0}, "its image has the size"),
        ({"caption": " "}, "the expression is empty"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_out(tmp_path, change, why):
    good, bad = {**ROW, "id": 2}, {**ROW, **change}
    write(tmp_path / "ref_l4/ref-l4-val.parquet", [bad, good])
    reader = READERS["ref_l4"](tmp_path, "val")
    assert [a.id for a in reader] == ["2"]
    ((name, problem),) = reader.problems
    assert name == "1" and re.search(why, problem)


def test_a_file_of_other_rows_is_another_file(tmp_path):
    write(tmp_path / "ref_l4/ref-l4-val.parquet", [{**ROW, "file_name": 3}])
    with pytest.raises(InputError, match="its first row has 3 as its 'file_name'"):
        list(READERS["ref_l4"](tmp_path, "val"))


def test_a_picture_outside_the_root_is_refused(tmp_path):
    write(tmp_path / "ref_l4/ref-l4-val.parquet", [{**ROW, "file_name": "../../../x.jpg"}])
    with pytest.raises(InputError, match="out of the data root"):
        list(READERS["ref_l4"](tmp_path, "val"))


def test_only_the_columns_asked_for_are_read(tmp_path):
    write(tmp_path / "a.parquet", [{"a": 1, "b": 2}])
    assert list(parquet_records(tmp_path / "a.parquet", ["a", "c"])) == [{"a": 1}]


def test_no_file_of_refcoco_m_is_one_sentence(tmp_path):
    with pytest.raises(MissingFileError, match=r"refcoco_m \(val\) needs .*validation-\*\.parquet"):
        list(READERS["refcoco_m"](tmp_path, "val"))
