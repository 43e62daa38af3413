"""Readers whose samples are groups of images: co-segmentation folders, and group-wise RES pickles."""

import pickle

import numpy as np
import pytest
from PIL import Image

from datamodules.readers import READERS
from vista.geometry import decode_segmentation
from vista.rle import encode_mask


def mask(number):
    full = np.zeros((20, 30), dtype=bool)
    full[2 : 5 + number, 3:10] = True
    return full


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def coseg(tmp_path):
    for number in range(5):
        grey = np.full((20, 30, 3), 90, dtype=np.uint8)
        truth = mask(number)
        save(tmp_path / f"coseg/PASCAL/Cow/img_{number}.jpg", grey)
        save(
            tmp_path / f"coseg/PASCAL/Cow/GroundTruth/img_{number}.png",
            truth.astype(np.uint8) * 255,
        )
        save(tmp_path / f"coseg/MSRC/a cow/{number}.bmp", grey)
        save(
            tmp_path / f"coseg/MSRC/ground_truth/a cow/{number}_GT.bmp",
            np.stack([truth * np.uint8(255)] * 3, axis=2),
        )
        save(tmp_path / f"coseg/iCoSeg/images/7 x/{number}.png", grey)
        save(tmp_path / f"coseg/iCoSeg/ground_truth/7 x/{number}.png", truth.astype(np.uint8))
    return tmp_path


@pytest.mark.parametrize("split", ["pascal", "msrc", "icoseg"])
def test_coseg_groups(coseg, split):
    reader = READERS["coseg"](coseg, split)
    first, second = reader
    assert reader.problems == []
    assert first.extra["count"] == [True] * 4
    assert second.extra["count"] == [True, False, False, False]
    assert second.images[1:] == first.images[:3], "filled from the start of the class"
    assert second.photos[1:] == first.photos[:3] and len(set(first.photos)) == 4
    assert [f"coseg/{name.removeprefix('coseg ')}" for (name,) in first.photos] == [*first.images]
    assert all((coseg / path).is_file() for path in first.images)
    for number, segmentation in enumerate(first.segmentations):
        assert (decode_segmentation(segmentation, first.sizes[number]) == mask(number)).all()


def test_coseg_group_size(coseg):
    (all_,) = READERS["coseg"](coseg, "msrc", group_size=9)
    assert len(all_.images) == 5 and all(all_.extra["count"])
    assert len(list(READERS["coseg"](coseg, "msrc", group_size=2))) == 3


def test_coseg_problems(coseg):
    save(coseg / "coseg/PASCAL/Cow/GroundTruth/img_0.png", np.zeros((20, 31), dtype=np.uint8))
    (coseg / "coseg/PASCAL/Cow/GroundTruth/img_1.png").unlink()
    reader = READERS["coseg"](coseg, "pascal")
    (group,) = reader
    assert len(group.images) == 3
    assert [record for record, _ in reader.problems] == [
        f"coseg/PASCAL/Cow/img_{k}.jpg" for k in (0, 1)
    ]


def rle(number):
    found = encode_mask(mask(number))
    return found | {"counts": found["counts"].encode()}


@pytest.fixture(params=[2, pickle.HIGHEST_PROTOCOL])
def groups(tmp_path, request):
    """Two groups; sentence 5 holds in images 0, 1 and 3 of group 0 and in two places of image 1; 6 in none."""
    images = {
        k: {
            "id": k,
            "file_name": f"g/{k}.jpg",
            "height": 20,
            "width": 30,
            "anno_id": [],
            "group_id": k // 5,
        }
        for k in range(8)
    }
    bare = {
        "sent_id": [5],
        "area": 1,
        "iscrowd": 0,
        "group_id": 0,
        "bbox": np.array([[3, 2, 7, 3]]),
    }
    annotations = {
        10: bare | {"id": 10, "image_id": 0, "segmentation": rle(0)},
        11: bare | {"id": 11, "image_id": 1, "segmentation": [rle(1), rle(3)]},
        12: bare | {"id": 12, "image_id": 1, "segmentation": rle(9)},
        13: bare
        | {"id": 13, "image_id": 3, "segmentation": {"size": [20, 30], "counts": [0, 600]}},
        14: bare
        | {"id": 14, "image_id": 4, "segmentation": {"size": [30, 20], "counts": [0, 600]}},
    }
    sentence = {"group_id": [0], "is_negative": False, "raw_sent_zh": "\u7ea2"}
    sentences = {
        5: sentence | {"id": 5, "anno_id": list(annotations), "raw_sent": "a red cup"},
        6: sentence | {"id": 6, "anno_id": [], "raw_sent": "a blue cup"},
        7: sentence | {"id": 7, "anno_id": [], "raw_sent": " "},
    }
    tables = {
        "images": images,
        "annotations": annotations,
        "sentences": sentences,
        "groups": {
            0: {
                "id": 0,
                "inner_sent_id": [5, 6, 7],
                "img_id": [0, 1, 2, 3, 4, 7],
                "group_name": "cups",
            },
            1: {"id": 1, "inner_sent_id": [], "img_id": [5, 6], "group_name": "dogs"},
        },
    }
    for folder in ("groupwise_res", "groupwise_res/train"):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, table in tables.items():
            (tmp_path / folder / f"{name}.pkl").write_bytes(pickle.dumps(table, request.param))
    return tmp_path


def test_groupwise_res(groups):
    reader = READERS["groupwise_res"](groups, "all")
    red, blue = reader
    assert [record for record, _ in reader.problems] == ["14", "7_0"]
    assert (red.id, red.expression, len(red.images)) == ("5_0", "a red cup", 5)
    assert red.images[3] == "groupwise_res/images/g/3.jpg"
    assert red.photos[3] == ("groupwise_res g/3.jpg",) and len(red.photos) == 5
    assert red.extra["present"] == [True, True, False, True, False]
    assert "groupwise_res/images/g/4.jpg" not in red.images, "nobody knows whether it shows a cup"
    assert blue.extra["present"] == [False] * 6 and blue.segmentations == ([],) * 6
    drawn = [decode_segmentation(s, hw) for s, hw in zip(red.segmentations, red.sizes, strict=True)]
    assert (
        (drawn[0] == mask(0)).all()
        and (drawn[1] == mask(9)).all()
        and drawn[3].all()
        and not drawn[2].any()
    )


def test_attcoseg(groups):
    samples = list(READERS["attcoseg"](groups, "train"))
    assert [a.id for a in samples] == ["5_0_0_1", "5_0_0_3", "5_0_1_3"]
    for a in samples:
        assert len(a.images) == len(set(a.images)) == 4
        assert [f"groupwise_res/images/{name.split()[1]}" for (name,) in a.photos] == [*a.images]
        i, j = a.extra["pair"]
        assert 1 <= i < j <= 4
        numbers = {int(a.images[k - 1].split("/")[-1][0]) for k in (i, j)}
        assert numbers == {int(n) for n in a.id.split("_")[2:]}
        assert (
            [bool(s) for s in a.segmentations]
            == [k + 1 in (i, j) for k in range(4)]
            == a.extra["present"]
        )
    assert samples == list(READERS["attcoseg"](groups, "train")), "the same at every reading"
    assert {len(a.images) for a in READERS["attcoseg"](groups, "train", num_images=3)} == {3}
