"""Every reader on small real slices of the official files, as they are, with counts taken on those files."""

import collections
import json
import os
import shutil
from pathlib import Path

import pytest

from datamodules.readers import READERS
from vista.geometry import decode_segmentation

REALDATA = os.environ.get("VISTA_REALDATA")
pytestmark = pytest.mark.skipif(
    not REALDATA, reason="VISTA_REALDATA names no folder of real samples"
)
ROOT = Path(REALDATA or "")

# (dataset, split): annotations in the slice
COUNTS = {
    ("coseg", "msrc"): 2,
    ("coseg", "pascal"): 15,
    ("iconqa", "choose_img_test"): 20,
    ("iconqa", "fill_in_blank_test"): 20,
    ("iconqa", "test"): 24,
    ("llava_instruct", "bench"): 45,
    ("llava_instruct", "train"): 1,
    ("pope", "adversarial"): 480,
    ("pope", "popular"): 480,
    ("pope", "random"): 480,
    ("textvqa", "test"): 3,
    ("textvqa", "train"): 3,
    ("textvqa", "val"): 4,
    ("vcr", "val"): 1,
    ("visual_genome", "all"): 773,
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


@pytest.mark.parametrize(
    ("name", "split"), [key for key in COUNTS if key[0].startswith(("coco", "ref"))]
)
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
            assert all(abs(a - b) < 12 for a, b in zip(box, drawn, strict=True)), (
                annotation.id,
                box,
                drawn,
            )


def test_coco_holds_what_was_counted():
    captions = [a for split in ("train2017", "val2017") for a in read("coco", split)]
    assert sum(len(a.captions) for a in captions) == 150
    objects = [a for split in ("train2017", "val2017") for a in read("coco_instances", split)]
    assert sum(len(a.boxes) for a in objects) == 344
    assert all(
        len(a.boxes) == len(a.extra["categories"]) == len(a.extra["iscrowd"]) for a in objects
    )


def test_a_thousand_official_captions(tmp_path):
    (tmp_path / "coco/annotations").mkdir(parents=True)
    shutil.copy(
        ROOT / "coco/captions_only/captions_val2017.json",
        tmp_path / "coco/annotations/captions_val2017.json",
    )
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
    assert all(
        (tmp_path / a.images[0]).is_file() for a in read("coco_instances", "val2014", tmp_path)
    )


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
    assert collections.Counter(a.extra["answer_type"] for a in annotations).keys() == {
        "yes/no",
        "number",
        "other",
    }
    assert sum((ROOT / a.images[0]).is_file() for a in annotations) == 26


def test_nlvr2_training_records(tmp_path):
    (tmp_path / "nlvr2").mkdir()
    shutil.copy(ROOT / "nlvr2/data/train_from_notebook.json", tmp_path / "nlvr2/train.json")
    first, second = read("nlvr2", "train", tmp_path)
    assert first.images == (
        "nlvr2/images/train/train-9952-0-img0.png",
        "nlvr2/images/train/train-9952-0-img1.png",
    )
    assert (first.label, second.label) == ("True", "False")


def test_coseg_masks_fit_their_images():
    for split, images in (("pascal", 45), ("msrc", 8)):
        seen = set()
        for a in read("coseg", split):
            assert (
                len(a.images) == len(a.sizes) == len(a.segmentations) == len(a.extra["count"]) == 4
            )
            assert all(
                decode_segmentation(s, hw).any()
                for s, hw in zip(a.segmentations, a.sizes, strict=True)
            )
            counted = [path for path, new in zip(a.images, a.extra["count"], strict=True) if new]
            assert not seen & set(counted)
            seen |= set(counted)
            assert all((ROOT / path).is_file() for path in a.images)
        assert len(seen) == images


def test_icoseg_folders(tmp_path):
    reader = READERS["coseg"](ROOT, "icoseg")
    assert list(reader) == [] and len(reader.problems) == 8, "the slice has no ground truth"
    (tmp_path / "coseg/iCoSeg").mkdir(parents=True)
    (tmp_path / "coseg/iCoSeg/images").symlink_to(ROOT / "coseg/iCoSeg/images")
    results = ROOT / "coseg/iCoSeg/published_result_not_ground_truth"
    (tmp_path / "coseg/iCoSeg/ground_truth").symlink_to(results)
    reader = READERS["coseg"](tmp_path, "icoseg")
    (annotation,) = reader
    assert (annotation.extra["class"], len(annotation.images), len(reader.problems)) == (
        "helicopter",
        3,
        5,
    )


def test_visual_genome_in_its_first_spelling(tmp_path):
    (tmp_path / "visual_genome").mkdir()
    (tmp_path / "visual_genome/1.0").symlink_to(ROOT / "visual_genome/1.0")
    old, new = read("visual_genome", "all", tmp_path), read("visual_genome", "all")
    assert len(old) == 265 + 256 + 259
    assert {a.images[0] for a in old} == {a.images[0] for a in new}
    assert {a.images[0] for a in old} == {
        f"visual_genome/VG_100K{s}.jpg" for s in ("_2/1", "/2", "/3")
    }


def test_flickr30k_entities(tmp_path):
    (tmp_path / "flickr30k_entities").mkdir()
    for folder in ("Sentences", "Annotations"):
        (tmp_path / "flickr30k_entities" / folder).symlink_to(ROOT / "flickr30k_entities" / folder)
    (tmp_path / "flickr30k_entities/train.txt").write_text("1000092795\n")
    annotations = read("flickr30k_entities", "train", tmp_path)
    assert len(annotations) == 5
    assert annotations[1].captions == ("Two young , White males are outside near many bushes .",)
    assert [len(p["boxes"]) for p in annotations[1].extra["phrases"]] == [2, 2]
    for a in annotations:
        for phrase in a.extra["phrases"]:
            assert a.captions[0][phrase["start"] : phrase["end"]] == phrase["phrase"]
    for split in ("train", "val", "test"):
        reader = READERS["flickr30k_entities"](ROOT, split)
        with pytest.raises(FileNotFoundError, match="Sentences"):
            next(iter(reader))


def test_vcr_text():
    (annotation,) = read("vcr", "val")
    assert annotation.question == "Does person live in this house?"
    assert annotation.extra["answer_choices"][int(annotation.label)] == "No, person is a visitor."
    assert annotation.extra["marked"]["answer_choices"][3] == "No <1> does not belong here."
    assert len(annotation.boxes) == len(annotation.extra["objects"]) == 6
    assert annotation.extra["rationale_label"] == 3


def test_llava_records_of_the_same_form(tmp_path):
    (tmp_path / "llava_instruct").mkdir()
    slice_ = ROOT / "llava_instruct/blip_laion_cc_sbu_slice.json"
    shutil.copy(slice_, tmp_path / "llava_instruct/llava_instruct_150k.json")
    annotations = read("llava_instruct", "train", tmp_path)
    assert len(annotations) == 700
    assert {a.extra["turns"][0][0].startswith("<image>") for a in annotations} == {True, False}
    (real,) = read("llava_instruct", "train")
    assert len(real.answers) == len(real.extra["turns"]) == 3


def test_five_hundred_iconqa_problems(tmp_path):
    problems = json.loads((ROOT / "iconqa/choose_text_val_minigpt4.json").read_text())
    (tmp_path / "iconqa/iconqa_data").mkdir(parents=True)
    full = {p["image_id"]: p | {"ques_type": "choose_txt"} for p in problems}
    (tmp_path / "iconqa/iconqa_data/problems.json").write_text(json.dumps(full))
    (tmp_path / "iconqa/iconqa_data/pid_splits.json").write_text(
        json.dumps({"choose_txt_val": list(full)})
    )
    annotations = read("iconqa", "val", tmp_path)
    assert len(annotations) == 500
    assert all(a.extra["choices"][int(a.label)] for a in annotations)


@pytest.mark.parametrize("split", ["test", "choose_img_test", "fill_in_blank_test"])
def test_iconqa_images_exist(split):
    annotations = read("iconqa", split)
    assert all((ROOT / path).is_file() for a in annotations for path in a.images)
    assert all(
        len(a.images) == (1 + len(a.extra["choices"]) if "img" in split else 1) for a in annotations
    )


def test_textvqa_images_have_the_size_in_the_file():
    from PIL import Image

    found = 0
    for split in ("train", "val", "test"):
        for a in read("textvqa", split):
            if (ROOT / a.images[0]).is_file():
                with Image.open(ROOT / a.images[0]) as image:
                    assert (image.height, image.width) == a.sizes[0]
                found += 1
    assert found >= 6


def test_pope_is_half_yes():
    for split in ("random", "popular", "adversarial"):
        assert collections.Counter(a.label for a in read("pope", split)) == {"yes": 240, "no": 240}


def test_grefcoco_with_real_expressions(tmp_path):
    (tmp_path / "grefcoco").mkdir()
    shutil.copy(ROOT / "refer/refcoco/instances.json", tmp_path / "grefcoco/instances.json")
    objects = json.loads((tmp_path / "grefcoco/instances.json").read_text())["annotations"]
    ids = [o["id"] for o in objects if o["image_id"] == 154]
    examples = json.loads((ROOT / "grefcoco/expression_examples.json").read_text())
    refs = [
        e
        | {"ann_id": ids[: e["num_targets"]] or [-1], "no_target": e["num_targets"] == 0}
        | {
            "sentences": [
                {"sent_id": e["sent_id"], "raw": e["expression"], "sent": e["expression"]}
            ]
        }
        for e in examples
    ]
    (tmp_path / "grefcoco/grefs(unc).json").write_text(json.dumps(refs))
    annotations = read("grefcoco", "testB", tmp_path)
    assert (
        [len(a.boxes) for a in annotations]
        == [e["num_targets"] for e in examples]
        == [3, 1, 1, 2, 0, 0]
    )
