"""Every reader on small real slices of the official files, as they are, with counts taken on those files."""

import collections
import json
import os
import shutil
from pathlib import Path

import pytest

from datamodules.readers import READERS
from vista.data import decode_segmentation

REALDATA = os.environ.get("VISTA_REALDATA")
pytestmark = pytest.mark.skipif(not REALDATA, reason="VISTA_REALDATA names no folder of real samples")
ROOT = Path(REALDATA or "")

# (dataset, split): annotations in the slice
COUNTS = {
    ("coco", "train2017"): 19,
    ("coco", "val2017"): 11,
    ("coco_instances", "train2017"): 28,
    ("coco_instances", "val2017"): 11,
    ("nlvr2", "dev"): 598,
    ("nlvr2", "test1"): 616,
    ("nlvr2", "test2"): 606,
    ("refcoco", "val"): 30,
    ("refcoco", "testB"): 26,
    ("refcocop", "val"): 33,
    ("refcocop", "testB"): 24,
    ("refcocog", "val"): 4,
    ("refcocog", "test"): 7,
    ("vqav2", "train"): 1304,
}


def read(name, split, root=ROOT):
    reader = READERS[name](root, split)
    annotations = list(reader)
    assert reader.problems == []
    return annotations


@pytest.mark.parametrize(("name", "split"), COUNTS)
def test_slice_is_read_whole(name, split):
    annotations = read(name, split)
    assert len(annotations) == COUNTS[name, split]
    assert len({annotation.id for annotation in annotations}) == len(annotations)
    for annotation in annotations:
        for field in READERS[name](ROOT, split).fields - {"boxes", "segmentations"}:
            assert getattr(annotation, field), (annotation.id, field)


@pytest.mark.parametrize(("name", "split"), [key for key in COUNTS if key[0].startswith(("coco", "ref"))])
def test_images_and_masks_agree(name, split):
    from PIL import Image

    for annotation in read(name, split):
        (path,), ((height, width),) = annotation.images, annotation.sizes
        with Image.open(ROOT / path) as image:
            assert image.size == (width, height)
        for box, segmentation in zip(annotation.boxes, annotation.segmentations, strict=True):
            rows, columns = decode_segmentation(segmentation, (height, width)).nonzero()
            assert len(rows)
            drawn = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            # Thin spikes of a polygon draw no pixel, so the mask's own box may be a little smaller.
            assert all(abs(a - b) < 12 for a, b in zip(box, drawn, strict=True)), (annotation.id, box, drawn)


def test_coco_holds_what_was_counted():
    captions = [a for split in ("train2017", "val2017") for a in read("coco", split)]
    assert sum(len(a.captions) for a in captions) == 150
    objects = [a for split in ("train2017", "val2017") for a in read("coco_instances", split)]
    assert sum(len(a.boxes) for a in objects) == 344
    assert all(len(a.boxes) == len(a.extra["categories"]) == len(a.extra["iscrowd"]) for a in objects)


def test_a_thousand_official_captions(tmp_path):
    (tmp_path / "coco/annotations").mkdir(parents=True)
    shutil.copy(ROOT / "coco/captions_only/captions_val2017.json", tmp_path / "coco/annotations/captions_val2017.json")
    annotations = read("coco", "val2017", tmp_path)
    assert len(annotations) == 1000
    assert sum(len(a.captions) for a in annotations) == 5003


def test_2014_names_lead_to_2017_images(tmp_path):
    annotations = tmp_path / "coco/annotations"
    annotations.mkdir(parents=True)
    data = json.loads((ROOT / "coco/annotations/instances_val2017.json").read_text())
    for image in data["images"]:
        image["file_name"] = f"COCO_val2014_{image['id']:012d}.jpg"
    (annotations / "instances_val2014.json").write_text(json.dumps(data))
    (tmp_path / "coco/val2017").symlink_to(ROOT / "coco/val2017")
    assert all((tmp_path / a.images[0]).is_file() for a in read("coco_instances", "val2014", tmp_path))


@pytest.mark.parametrize(
    ("name", "folder"), [("refcoco", "refcoco"), ("refcocop", "refcoco+"), ("refcocog", "refcocog")]
)
def test_pickled_refs_equal_their_json_copy(name, folder):
    refs = json.loads(next((ROOT / "refer" / folder).glob("refs*.json")).read_text())
    expected = {f"{r['ref_id']}_{s['sent_id']}": s["sent"] for r in refs for s in r["sentences"]}
    found = {a.id: a.expression for split in READERS[name].splits for a in read(name, split)}
    assert found == expected


def test_vqav2_answers():
    annotations = read("vqav2", "train")
    assert all(len(a.answers) == 10 and a.label in a.answers for a in annotations)
    assert collections.Counter(a.extra["answer_type"] for a in annotations).keys() == {"yes/no", "number", "other"}
    assert sum((ROOT / a.images[0]).is_file() for a in annotations) == 26


def test_nlvr2_training_records(tmp_path):
    (tmp_path / "nlvr2").mkdir()
    shutil.copy(ROOT / "nlvr2/data/train_from_notebook.json", tmp_path / "nlvr2/train.json")
    first, second = read("nlvr2", "train", tmp_path)
    assert first.images == ("nlvr2/images/train/train-9952-0-img0.png", "nlvr2/images/train/train-9952-0-img1.png")
    assert (first.label, second.label) == ("True", "False")
