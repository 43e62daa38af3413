"""Masks of official files: those that draw no pixel are left out with a note; images of masks in any values."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datamodules.readers import READERS
from datamodules.readers.mask_images import object_of, read_mask
from tasks import Task
from vista.codec.codec import Codec
from vista.data import Segmentation
from vista.geometry import decode_segmentation, mask_problem
from vista.rle import encode_mask

SIZE = (60, 60)
SQUARE = [[10, 10, 40, 10, 40, 40, 10, 40]]
# Each encloses something, or has points of its own, and covers the centre of no pixel.
EMPTY: dict[str, Any] = {
    "thinner than between two centres": [[10.05, 5, 10.45, 5, 10.45, 55, 10.05, 55]],
    "lower than between two centres": [[5, 10.05, 55, 10.05, 55, 10.4, 5, 10.4]],
    "on one line": [[5, 5, 20, 20, 40, 40]],
    "one point": [[5, 5, 5, 5, 5, 5]],
    "outside": [[70, 5, 90, 5, 90, 20]],
    "there and back": [[10, 10, 40, 10, 40, 40, 10, 40] * 2],
    "no run of ones": {"size": [60, 60], "counts": [3600]},
    "no run of ones, compressed": encode_mask(np.zeros(SIZE, dtype=bool)),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_a_mask_that_draws_no_pixel_is_a_problem(kind: str) -> None:
    assert not decode_segmentation(EMPTY[kind], SIZE).any()
    assert mask_problem(EMPTY[kind], SIZE) == "its mask draws no pixel"
    assert mask_problem(SQUARE, SIZE) == ""


@given(
    st.lists(st.floats(-20, 90, width=32), min_size=6, max_size=12).filter(
        lambda p: len(p) % 2 == 0
    )
)
def test_a_problem_is_what_draws_nothing(polygon: list[float]) -> None:
    """Seen without drawing, it agrees with the drawing."""
    assert bool(mask_problem([polygon], SIZE)) is not decode_segmentation([polygon], SIZE).any()


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        pickle.dumps(content) if path.suffix != ".json" else json.dumps(content).encode()
    )


def instances(root: Path, path: str, empty: Segmentation) -> None:
    """Two objects of one image, the second without a pixel."""
    objects = [
        {
            "id": 7,
            "image_id": 1,
            "category_id": 3,
            "bbox": [10, 10, 30, 30],
            "segmentation": SQUARE,
        },
        {"id": 8, "image_id": 1, "category_id": 3, "bbox": [5, 5, 40, 50], "segmentation": empty},
    ]
    images = [{"id": 1, "file_name": "000000000001.jpg", "height": 60, "width": 60}]
    categories = [{"id": 3, "name": "cup"}]
    write(root / path, {"images": images, "annotations": objects, "categories": categories})


def ref(ref_id: int, ann_id: Any) -> dict[str, Any]:
    sentence = {"sent_id": ref_id, "sent": f"cup {ref_id}", "raw": f"cup {ref_id}"}
    return {
        "ref_id": ref_id, "ann_id": ann_id, "image_id": 1, "category_id": 3, "split": "val", "sentences": [sentence],
    }  # fmt: skip


@pytest.mark.parametrize("kind", EMPTY)
def test_it_is_left_out_of_every_data_set(tmp_path: Path, kind: str) -> None:
    empty = EMPTY[kind]
    instances(tmp_path, "refer/refcoco/instances.json", empty)
    write(tmp_path / "refer/refcoco/refs(unc).p", [ref(1, 7), ref(2, 8)])
    instances(tmp_path, "grefcoco/instances.json", empty)
    # Whoever refers to two cups does not refer to one.
    write(
        tmp_path / "grefcoco/grefs(unc).json",
        [ref(1, [7]), ref(2, [8]), ref(3, [7, 8]), ref(4, [-1])],
    )
    instances(tmp_path, "coco/annotations/instances_val2017.json", empty)
    note = "its mask draws no pixel, in instances.json"
    for name, kept, notes in (
        ("refcoco", ["1_1"], [("8", note)]),
        ("grefcoco", ["1_1", "4_4"], [
            ("8", note), ("2", "not all of its objects [8] can be used"),
            ("8", note), ("3", "not all of its objects [7, 8] can be used"),
        ]),
        ("coco_instances", ["1"], [("8", "its mask draws no pixel, in instances_val2017.json")]),
    ):  # fmt: skip
        reader = READERS[name](tmp_path, "val2017" if name == "coco_instances" else "val")
        annotations = list(reader)
        assert [a.id for a in annotations] == kept and reader.problems == notes, name
        assert all(decode_segmentation(s, SIZE).any() for a in annotations for s in a.segmentations)
    (image,) = READERS["coco_instances"](tmp_path, "val2017")
    assert image.extra["ann_ids"] == [7]


def test_no_task_is_asked_about_it(tmp_path: Path) -> None:
    """The target of every sample that is left is one that the task's own grammar takes."""
    instances(tmp_path, "refer/refcoco/instances.json", EMPTY["outside"])
    write(tmp_path / "refer/refcoco/refs(unc).p", [ref(1, 7), ref(2, 8)])
    rng = np.random.default_rng(0)
    for name in ("rec", "res"):
        task = Task.known[name](Codec(num_points=4))
        targets = [task.turns(a, rng)[-1][1] for a in READERS["refcoco"](tmp_path, "val")]
        assert len(targets) == 1 and targets[0].startswith("[")


def test_groups_leave_out_the_images_of_which_nothing_is_known(tmp_path: Path) -> None:
    images = {k: {"id": k, "file_name": f"{k}.jpg", "height": 60, "width": 60} for k in range(4)}
    box = {"size": [60, 60], "counts": [0, 60, 3540]}
    masks = {10: box, 11: {"size": [60, 60], "counts": [3600]}, 12: [box, EMPTY["no run of ones"]]}
    annotations = {
        k: {"id": k, "image_id": k - 10, "segmentation": mask} for k, mask in masks.items()
    }
    tables = {
        "images": images,
        "annotations": annotations,
        "sentences": {5: {"id": 5, "anno_id": list(masks), "raw_sent": "a cup"}},
        "groups": {0: {"id": 0, "inner_sent_id": [5], "img_id": [0, 1, 2, 3]}},
    }
    for name, table in tables.items():
        write(tmp_path / f"groupwise_res/{name}.pkl", table)
    reader = READERS["groupwise_res"](tmp_path, "all")
    (group,) = reader
    assert group.images == ("groupwise_res/images/0.jpg", "groupwise_res/images/3.jpg")
    assert group.extra["present"] == [True, False]
    note = "its mask draws no pixel, in annotations.pkl"
    assert reader.problems == [("11", note), ("12", note)]


def save(path: Path, values: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path, **options)
    return path


def test_a_black_mask_of_coseg_is_left_out_with_a_note(tmp_path: Path) -> None:
    white = np.zeros((20, 30), dtype=np.uint8)
    white[2:9, 3:20] = 255
    for k, mask in enumerate((white, white * 0, white)):
        save(tmp_path / f"coseg/PASCAL/Cow/{k}.png", np.zeros((20, 30, 3), dtype=np.uint8))
        save(tmp_path / f"coseg/PASCAL/Cow/GroundTruth/{k}.png", mask)
    reader = READERS["coseg"](tmp_path, "pascal")
    (group,) = reader
    assert group.images == ("coseg/PASCAL/Cow/0.png", "coseg/PASCAL/Cow/2.png")
    assert reader.problems == [("coseg/PASCAL/Cow/1.png", "its mask 1.png draws no pixel")]


def shape() -> np.ndarray:
    """An object, bool (H, W)."""
    rows, columns = np.mgrid[:40, :50]
    return np.asarray((rows - 20) ** 2 + (columns - 25) ** 2 < 150)


@pytest.mark.parametrize("value", [1, 2, 38, 75, 100, 127, 128, 200, 254, 255])
def test_any_grey_value_is_the_object(tmp_path: Path, value: int) -> None:
    path = save(tmp_path / "x.png", shape() * np.uint8(value))
    assert np.array_equal(read_mask(path), shape())


@pytest.mark.parametrize(
    "color", [(128, 0, 0), (0, 0, 64), (1, 1, 1), (224, 224, 192), (255, 255, 255), (0, 128, 0)]
)
@pytest.mark.parametrize("index", [1, 15, 255])
def test_any_colour_of_a_palette_is_the_object(
    tmp_path: Path, color: tuple[int, int, int], index: int
) -> None:
    palette = Image.fromarray(shape() * np.uint8(index), "P")
    colors = [0] * 768
    colors[3 * index : 3 * index + 3] = color
    palette.putpalette(colors)
    palette.save(tmp_path / "p.png")
    assert np.array_equal(read_mask(tmp_path / "p.png"), shape())
    palette.convert("RGB").save(tmp_path / "rgb.png")
    assert np.array_equal(read_mask(tmp_path / "rgb.png"), shape())


def test_several_objects_of_a_mask_are_all_of_it(tmp_path: Path) -> None:
    labels = shape().astype(np.uint8)
    labels[:, 25:] *= 2
    for values in (labels, labels * 60, np.where(labels == 2, 255, labels)):
        assert np.array_equal(read_mask(save(tmp_path / "x.png", values)), shape())
    sixteen = labels.astype(np.uint16) * 20000
    assert np.array_equal(read_mask(save(tmp_path / "x.png", sixteen)), shape())


def test_grey_at_the_border_still_belongs_to_the_nearer_side(tmp_path: Path) -> None:
    """White masks that were smoothed, in few shades and in many, or were JPEGs once, are read as they always were."""
    white = shape() * np.uint8(255)
    image = Image.fromarray(white)
    many = np.asarray(image.resize((200, 160), Image.Resampling.BICUBIC).resize((67, 53)))
    few = white.copy()
    few[19:22, 12], few[10, 20:30] = 120, 75
    assert len(np.unique(few)) < 5 < 20 < len(np.unique(many))
    image.save(tmp_path / "x.jpg", quality=60)
    once = np.asarray(Image.open(tmp_path / "x.jpg"))
    for values in (white, many, few, once):
        assert np.array_equal(object_of(values), values > 127)
