"""The numbers of an answer as shapes with their places in the text, and as COCO JSON."""

import json

import numpy as np
import pytest
from pycocotools.coco import COCO

import tasks  # noqa: F401
from vista.codec.codec import Codec
from vista.data import Annotation
from vista.page.coco import coco_of
from vista.page.shapes import images_of, shapes_of
from vista.task import Task

CODEC = Codec(num_points=4)
MASK = "[100, 100, 900, 100, 900, 900, 100, 900]"


def test_each_bracket_is_a_shape_and_each_number_has_its_place():
    text = "two [999, 0] at [0, 0, 999, 500] and " + MASK + "; none []."
    shapes = shapes_of(text, [], CODEC)
    assert [shape["kind"] for shape in shapes] == ["point", "box", "mask", "empty"]
    assert shapes[0]["points"] == [[1.0, 0.0]]
    assert shapes[1]["points"][1] == pytest.approx([1.0, 500 / 999])
    for shape in shapes:
        written = text[shape["start"] : shape["end"]]
        numbers = [text[start:end] for start, end in shape["numbers"]]
        assert written == f"[{', '.join(numbers)}]"
        assert len(numbers) == 2 * len(shape["points"])


@pytest.mark.parametrize("end", range(1, len(MASK)))
def test_a_bracket_that_is_being_written_is_open(end):
    (shape,) = shapes_of(MASK[:end], [], CODEC)
    assert (shape["kind"], shape["end"]) == ("open", end)
    assert len(shape["points"]) == len(shape["numbers"]) // 2


@pytest.mark.parametrize(
    "text", ["", "a dog", "12, 13", "[1, 2, 3]", "[9, 9, 1, 1]", "[1000, 2]", "[a]"]
)
def test_what_is_no_shape_is_left_to_the_text(text):
    assert shapes_of(text, [], CODEC) == []


@pytest.mark.parametrize(
    ("task", "count", "text", "images"),
    [
        ("coseg", 3, f"The masks are {MASK} <msep> [] <msep> {MASK}.", [0, 1, 2]),
        ("attcoseg", 3, f"The images are 3 and 1. The masks are {MASK} <msep> {MASK}.", [2, 0]),
        ("attcoseg", 3, "The images are 7 and 1.", [0, 0]),
        ("res", 2, MASK, []),
        ("res", 1, MASK, []),
    ],
)
def test_each_region_lies_in_its_own_picture(task, count, text, images):
    found = Task.known[task](CODEC)
    annotation = Annotation("0", tuple("abc"[:count]), ((9, 9),) * count)
    assert images_of(found, annotation, found.parse(text, annotation)) == images


def test_coco_json_is_read_by_pycocotools(tmp_path):
    text = f"{MASK} <msep> [0, 0, 500, 999] [500, 999] [] [1"
    sizes = [(40, 60), (30, 20)]
    shapes = shapes_of(text, [0, 1, 1], CODEC)
    file = tmp_path / "answer.json"
    file.write_text(json.dumps(coco_of(text, shapes, ["a.png", "b.png"], sizes, CODEC)))
    coco = COCO(file)
    mask, box, point = coco.loadAnns([1, 2, 3])
    assert np.array_equal(
        coco.annToMask(mask).astype(bool), CODEC.parse_masks(MASK, (40, 60))[0][0]
    )
    assert box["bbox"] == pytest.approx([0, 0, 500 / 999 * 20, 30])
    assert point["keypoints"] == pytest.approx([500 / 999 * 20, 30, 2])
    assert [each["image_id"] for each in (mask, box, point)] == [1, 2, 2]
    assert coco.loadImgs([2])[0]["file_name"] == "b.png"
