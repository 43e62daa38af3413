"""Official files hold 100,000 images and more: each is as much work as the one before it, and no look at the disk."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from datamodules.readers import READERS

COMPARED = Counter[str]()
SQUARE = [[1, 1, 5, 1, 5, 5, 1, 5]]


class Id(int):
    """An id of a file. How often it, or its name, is compared with another one is counted."""

    __hash__ = int.__hash__

    def __eq__(self, other: object) -> bool:
        COMPARED["ids"] += 1
        return int.__eq__(self, other)

    def __str__(self) -> str:
        return Name(int(self))


class Name(str):
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        COMPARED["ids"] += 1
        return str.__eq__(self, other)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Count lines of ours that run, ids that are compared, and looks at the disk."""
    counts, look, tracer = Counter(ids=-COMPARED["ids"]), os.stat, sys.gettrace()

    def line(frame: Any, event: str, _: Any) -> Any:
        counts["lines"] += event == "line"
        return line

    def enter(frame: Any, *_: Any) -> Any:
        return line if {"datamodules", "vista"} & {*Path(frame.f_code.co_filename).parts} else None

    def stat(*arguments: Any, **settings: Any) -> os.stat_result:
        counts["looks"] += 1
        return look(*arguments, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat)
        sys.settrace(enter)
        try:
            yield counts
        finally:
            sys.settrace(tracer)
    counts["ids"] += COMPARED["ids"]


def instances(images: int) -> dict[str, Any]:
    """COCO's file of images with five objects each."""
    names = [{"id": Id(number), "file_name": f"{number:012d}.jpg"} for number in range(images)]
    cup = {"bbox": [2, 2, 4, 4], "segmentation": SQUARE, "category_id": 3}
    return {
        "images": [name | {"height": 20, "width": 40} for name in names],
        "annotations": [
            cup | {"id": Id(number), "image_id": Id(number // 5)} for number in range(5 * images)
        ],
        "categories": [{"id": 3, "name": "cup"}],
    }


def test_an_image_costs_no_more_among_many(tmp_path, monkeypatch):
    file = tmp_path / "coco/annotations/instances_train2017.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    costs = []
    for images in (20, 40, 60):
        data = instances(images)
        monkeypatch.setattr("datamodules.readers.official.load", lambda *_, data=data: data)
        with counted(monkeypatch) as counts:
            read = [len(each.boxes) for each in READERS["coco_instances"](tmp_path, "train2017")]
        assert read == [5] * images
        costs.append(counts)
    few, more, most = costs
    for what in ("lines", "ids"):
        assert 0 < more[what] - few[what] == most[what] - more[what], what
    assert 0 < few["looks"] == more["looks"] == most["looks"]
