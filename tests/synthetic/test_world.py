"""The generated world's folder: written once, the same for any number of workers, COCO's files, separate splits."""

import json
import pickle
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from datamodules.synthetic.files import save_image, write_once
from datamodules.synthetic.world import write_pretraining, write_world
from vista.geometry import decode_segmentation
from vista.leftovers import remove_unused

SMALL = {"seed": 5, "num_train": 300, "num_val": 40, "num_test": 120}
COLORS = ("red", "green", "blue", "yellow", "purple", "orange")
SHAPES = ("circle", "square", "triangle", "ring")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "world"
    write_world(root, **SMALL, num_workers=1)
    return root


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def test_bytes_do_not_depend_on_the_number_of_workers(world: Path, tmp_path: Path) -> None:
    write_world(tmp_path / "again", **SMALL, num_workers=2)
    names = sorted(path.relative_to(world) for path in world.rglob("*") if path.is_file())
    assert names == sorted(
        p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file()
    )
    for name in names:
        assert (world / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_a_world_is_held_while_it_is_written(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        remove_unused(tmp_path.iterdir())
        (folder / "a").touch()

    write_once(tmp_path / "world", {"seed": 1}, write)
    assert {path.name for path in (tmp_path / "world").iterdir()} == {"a", "world.json"}
    remove_unused(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_an_image_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(IsADirectoryError):
        save_image(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint8))


def test_writes_once_and_refuses_another_world(world: Path, tmp_path: Path) -> None:
    before = (world / "world.json").stat().st_mtime_ns
    write_world(world, **SMALL, num_workers=1)
    assert (world / "world.json").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="other settings"):
        write_world(world, **{**SMALL, "num_val": 41})
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"not empty and holds no world\.json"):
        write_world(tmp_path, **SMALL)
    with pytest.raises(ValueError, match="num_val 0"):
        write_world(tmp_path / "none", num_val=0)


@pytest.mark.parametrize(("folder", "number"), [("train2017", 300), ("val2017", 120)])
def test_coco_files(world: Path, folder: str, number: int) -> None:
    instances = load(world / f"coco/annotations/instances_{folder}.json")
    captions = load(world / f"coco/annotations/captions_{folder}.json")
    assert list(instances) == ["info", "licenses", "images", "annotations", "categories"]
    assert list(captions) == ["info", "licenses", "images", "annotations"]
    assert captions["images"] == instances["images"] and len(instances["images"]) == number
    names = {(record["name"], record["supercategory"]) for record in instances["categories"]}
    assert names == {(f"{color} {shape}", shape) for color in COLORS for shape in SHAPES}
    assert sorted(record["id"] for record in instances["categories"]) == list(range(1, 25))
    for record in instances["images"]:
        keys = {
            "license",
            "file_name",
            "coco_url",
            "height",
            "width",
            "date_captured",
            "flickr_url",
            "id",
        }
        assert set(record) == keys
        assert record["file_name"] == f"{record['id']:012d}.jpg"
    for record in instances["annotations"]:
        assert set(record) == {
            "segmentation",
            "area",
            "iscrowd",
            "image_id",
            "bbox",
            "category_id",
            "id",
        }
        mask = decode_segmentation(record["segmentation"], (96, 96))
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        x, y, w, h = record["bbox"]
        assert (x, y, x + w, y + h) == (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        assert record["area"] == mask.sum() and record["iscrowd"] == 0
    assert len({record["id"] for record in instances["annotations"]}) == len(
        instances["annotations"]
    )
    image = cv2.imread(str(world / "coco" / folder / instances["images"][0]["file_name"]))
    assert image.shape == (96, 96, 3)


def test_splits_share_no_image(world: Path) -> None:
    annotations = world / "coco" / "annotations"
    ids = [
        {record["id"] for record in load(annotations / f"captions_{f}.json")["images"]}
        for f in ("train2017", "val2017")
    ]
    refs = pickle.loads((world / "refer/refcoco/refs(unc).p").read_bytes())
    by_split: dict[str, set[int]] = defaultdict(set)
    for ref in refs:
        by_split[ref["split"]].add(ref["image_id"])
    assert by_split["train"] <= ids[0]
    parts = [*ids, by_split["val"], by_split["testA"], by_split["testB"]]
    assert len(set.union(*parts)) == sum(map(len, parts))
    on_disk = {
        folder: {int(p.stem) for p in (world / "coco" / folder).iterdir()}
        for folder in ("train2017", "val2017")
    }
    assert on_disk["val2017"] == ids[1]
    assert on_disk["train2017"] >= ids[0] | by_split["val"] | by_split["testA"] | by_split["testB"]
    assert len(on_disk["train2017"]) == 300 + 40 + 120
    contents = [
        path.read_bytes() for suffix in ("jpg", "png") for path in world.rglob(f"*.{suffix}")
    ]
    assert len(set(contents)) == len(contents)


def test_pretraining(tmp_path: Path) -> None:
    write_pretraining(tmp_path / "pretrain", num_scenes=20, num_workers=1)
    document = load(tmp_path / "pretrain/coco/annotations/instances_train2017.json")
    assert (
        len(document["images"]) == 20 == len(list((tmp_path / "pretrain/coco/train2017").iterdir()))
    )
    assert all(record["id"] >= 5_000_000 for record in document["images"])
    write_pretraining(tmp_path / "pretrain", num_scenes=20, num_workers=1)
    with pytest.raises(ValueError, match="other settings"):
        write_pretraining(tmp_path / "pretrain", num_scenes=21, num_workers=1)


def test_command_line(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "datamodules.synthetic.world",
        "--root",
        str(tmp_path / "w"),
        "--num-workers",
        "1",
    ]
    subprocess.run([*command, "--num-train", "8", "--num-val", "4", "--num-test", "4"], check=True)
    assert load(tmp_path / "w/world.json")["num_train"] == 8
    code = "import sys, datamodules.synthetic.world as w; sys.exit(any(m in sys.modules for m in ('torch', 'vista')))"
    subprocess.run([sys.executable, "-c", code], check=True)
