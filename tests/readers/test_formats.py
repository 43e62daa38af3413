"""Every reader on hand-written records in the official layout (`tests/formats` is a small data root)."""

import json
import pickle
import shutil
from dataclasses import fields
from pathlib import Path

import pytest

from datamodules.readers import READERS
from datamodules.readers.files import json_items
from vista.data import Annotation, InputError

ROOT = Path(__file__).parents[1] / "formats"
# Binary files, made by test_readers_groups.py, groups of other readers' annotations, see test_coseg_groups.py, and own
# data, see test_own.py.
ELSEWHERE = ("attcoseg", "attcoseg_coco", "coseg", "coseg_groups", "groupwise_res")
ELSEWHERE += ("coco_file", "folder", "jsonl")
SOURCES = [
    (n, s)
    for n, r in READERS.items()
    if n not in ELSEWHERE
    for s in r.splits
    if not s.endswith("2014")
]


def read(name, split="train", root=ROOT):
    return list(READERS[name](root, split))


@pytest.mark.parametrize(("name", "split"), SOURCES)
def test_promise(name, split):
    reader = READERS[name](ROOT, split)
    annotations = list(reader)
    assert annotations
    assert reader.fields <= {field.name for field in fields(Annotation)}
    assert len({a.id for a in annotations}) == len(annotations)
    for a in annotations:
        assert a.images and not any(path.startswith("/") or ".." in path for path in a.images)
        json.dumps(a.extra)
        may_be_empty = ("grefcoco", "groundingme", "flickr30k_entities")
        empty = {"boxes", "segmentations"} if name in may_be_empty else set()
        for field in reader.fields - empty:
            assert getattr(a, field), (a.id, field)
        for box in a.boxes:
            (height, width) = a.sizes[0]
            assert 0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height
    assert [a.id for a in reader] == [a.id for a in annotations], "a second pass reads the same"


def test_python_2_refs():
    assert (ROOT / "refer/refcoco/refs(unc).p").read_bytes().startswith(b"(l")
    first, second = read("refcoco", "testA")
    assert (first.id, first.expression) == ("2_4", "the left cup 2")
    assert second.expression == "cup 2 near the edge"


def test_grefcoco():
    none, both = read("grefcoco", "val")
    assert (none.boxes, none.segmentations, none.extra["no_target"]) == ((), (), True)
    assert both.expression == "All cups" and len(both.boxes) == len(both.segmentations) == 2
    (single,) = read("grefcoco", "testA")
    assert single.extra == {"ref_id": 3, "ann_ids": [901], "no_target": False}
    assert read("grefcoco", "testB")[1].extra["ann_ids"] == [901], "a crowd is no target"


def test_grefcoco_bad_refs(tmp_path):
    shutil.copytree(ROOT / "grefcoco", tmp_path / "refer/grefcoco")
    (tmp_path / "refer/grefcoco/grefs(unc).json").unlink()
    ref = {
        "image_id": 9,
        "category_id": [1],
        "split": "val",
        "sentences": [{"sent_id": 0, "sent": "x", "raw": ""}],
    }
    refs = [
        ref | {"ref_id": 1, "ann_id": [901]},
        ref | {"ref_id": 2, "ann_id": [5]},
        ref | {"ref_id": 3, "ann_id": [901], "no_target": True},
        ref | {"ref_id": 4, "ann_id": [-1], "no_target": False},
        ref | {"ref_id": 5, "ann_id": [903]},
        ref | {"ref_id": 6, "ann_id": [-1], "image_id": 10},
        ref | {"ref_id": 7, "ann_id": [-1], "sentences": [{"sent_id": 0, "sent": " ", "raw": " "}]},
    ]
    (tmp_path / "refer/grefcoco/grefs(unc).p").write_bytes(pickle.dumps(refs, 2))
    reader = READERS["grefcoco"](tmp_path, "val")
    assert [(a.id, a.expression) for a in reader] == [("1_0", "x")]
    assert [record for record, _ in reader.problems] == ["2", "3", "4", "5", "6", "7_0"]


def test_visual_genome():
    reader = READERS["visual_genome"](ROOT, "all")
    found = {a.id: a for a in reader}
    assert found["11"].expression == "a green cup"
    assert found["11"].images == ("visual_genome/VG_100K_2/1.jpg",)
    assert found["12"].boxes == ((50.0, 5.0, 60.0, 15.0),), "the overhang is cut off"
    assert found["33"].boxes == ((0.0, 5.0, 16.0, 15.0),)
    assert found["21"].extra == {"image_id": 2, "coco_id": 139, "flickr_id": 7}
    assert dict(reader.problems).keys() == {"31", "32"}
    assert [a.id for a in read("visual_genome", "val")] == ["21"]


def test_a_list_is_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("datamodules.readers.files.CHUNK", 7)
    assert [a.id for a in read("visual_genome", "all")] == ["11", "12", "21", "33"]
    (tmp_path / "x.json").write_text(' [ {"a": "]"} , {"b": [1]}\n]\n')
    assert list(json_items(tmp_path / "x.json")) == [{"a": "]"}, {"b": [1]}]
    for text in ("[]", '{"a": 1}', '[{"a": 1}', '[{"a": 1}, {"b"', ""):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(InputError, match=r"x\.json is no JSON"):
            list(json_items(tmp_path / "x.json"))


def test_flickr30k_entities():
    first, second = read("flickr30k_entities")
    assert first.captions == ("Two men in green shirts stand in a yard .",)
    men, shirts, yard = first.extra["phrases"]
    assert (men["phrase"], men["boxes"], men["types"]) == ("Two men", [0, 1], ["people"])
    assert (shirts["boxes"], shirts["types"], yard["boxes"]) == ([2], ["clothing", "other"], [])
    assert first.boxes[2] == (30.0, 2.0, 50.0, 39.0)
    assert [p["boxes"] for p in second.extra["phrases"]] == [[0, 1], []]


def test_vcr():
    (a,) = read("vcr", "val")
    assert a.question == "Are person and person near cup?"
    assert a.extra["marked"]["question"] == "Are <0> and <1> near <2>?"
    assert a.extra["answer_choices"] == [
        "Yes, person doesn't know person.", "No.", "person is person's friend.", "Because of cup (red).",
    ]  # fmt: skip
    assert a.extra["rationale_choices"] == a.extra["answer_choices"][::-1]
    assert (a.label, a.extra["answer_label"], a.extra["rationale_label"]) == ("2", 2, 1)
    assert a.boxes[1] == (30.0, 2.0, 60.0, 39.0)
    (test,) = read("vcr", "test")
    assert test.label == "" and "answer_label" not in test.extra
    assert "label" not in READERS["vcr"](ROOT, "test").fields


def test_vcr_needs_a_box_for_each_object(tmp_path):
    shutil.copytree(ROOT / "vcr", tmp_path / "vcr")
    path = tmp_path / "vcr/vcr1images/m/clip@0.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"boxes": [*data["boxes"][:2], [70, 2, 80, 30, 0.9]]}))
    reader = READERS["vcr"](tmp_path, "val")
    assert list(reader) == [] and reader.problems[0][0] == "val-0"


def test_llava_instruct(tmp_path):
    first, second = read("llava_instruct")
    assert first.extra["turns"] == [
        ["What is on the table?\n<image>", "A cup."],
        ["Is it full?", "No, it is empty."],
    ]
    assert (first.question, first.answers) == (
        "What is on the table?",
        ("A cup.", "No, it is empty."),
    )
    assert (first.id, second.id) == ("000000000009_0", "000000000009_1")
    (bench,) = read("llava_instruct", "bench")
    assert (
        bench.images == ("coco/val2014/COCO_val2014_000000000139.jpg",)
        and bench.extra["type"] == "conv"
    )

    def turns(*values):
        return [{"from": ("human", "gpt")[i % 2], "value": value} for i, value in enumerate(values)]

    conversations = [
        turns("<image>\nx"),
        turns("x", "y"),
        turns("<image>", "y"),
        turns("x<image>", "<image>"),
        [],
    ]
    records = [
        {"id": str(i), "image": "a.jpg", "conversations": c} for i, c in enumerate(conversations)
    ]
    records.append({"id": "5", "conversations": turns("x", "y")})
    (tmp_path / "llava_instruct").mkdir()
    (tmp_path / "llava_instruct/detail_23k.json").write_text(json.dumps(records))
    reader = READERS["llava_instruct"](tmp_path, "detail_23k")
    assert list(reader) == [] and [record for record, _ in reader.problems] == [
        f"{i}_{i}" for i in range(6)
    ]


def test_pointingqa_in_both_spellings():
    for split, image in (("train", 1), ("test", 3)):
        generic, parent, thing = read("looktwice", split)
        assert [a.extra["granularity"] for a in (generic, parent, thing)] == [
            "any",
            "superclass",
            "object",
        ]
        assert (
            generic.question == "How many of these are there?" and thing.question.count("cups") == 1
        )
        assert (thing.id, thing.label, thing.extra["point"]) == (f"{image}_0_object", "2", [13, 10])
        assert thing.boxes == ((3.0, 5.0, 23.0, 15.0),)
    for split in ("train", "testdev", "testfinal"):
        blue, red = read("localqa", split)
        assert (blue.label, red.label, red.boxes) == ("blue", "red", ((33.0, 5.0, 53.0, 15.0),))
        assert red.extra["obj_type"] == "cup" and red.extra["point"] == [43, 10]
    assert read("looktwice", "val")[0].extra["coco_id"] == 139


def test_pointingqa_bad_records(tmp_path):
    shutil.copytree(ROOT / "pointingqa", tmp_path / "pointingqa")
    shutil.copytree(ROOT / "visual_genome", tmp_path / "visual_genome")
    path = tmp_path / "pointingqa/LookTwiceQA/looktwiceqa_dataset.json"
    record = json.loads(path.read_text())["1"][0]
    outside = record | {"point": {"x": 99, "y": 1}}
    path.write_text(json.dumps({"1": [outside, record | {"obj_question": ""}], "77": [record]}))
    (tmp_path / "pointingqa/LookTwiceQA/looktwiceqa_train_imgs.json").write_text(
        '["1", "77", "78"]'
    )
    reader = READERS["looktwice"](tmp_path, "train")
    assert [a.id for a in reader] == ["1_1_any", "1_1_superclass"]
    assert [record for record, _ in reader.problems] == [
        "1_0_any", "1_0_superclass", "1_0_object", "1_1_object", "77_0",
    ]  # fmt: skip


def test_visual7w(tmp_path):
    (a,) = read("visual7w", "val")
    ids = {"image_id": 2, "coco_id": 139, "flickr_id": 7}
    assert a.extra == {"candidates": [21, 22, 23, 24], "type": "which", **ids}
    assert (a.label, a.boxes[0], a.sizes) == ("2", (0.0, 0.0, 8.0, 18.0), ((40, 60),))
    (told,) = read("visual7w_telling", "val")
    assert told.extra["candidates"][int(told.label)] == "A cup."
    shutil.copytree(ROOT / "visual7w", tmp_path / "visual7w")
    (alone,) = read("visual7w", "val", tmp_path)
    assert (alone.sizes, alone.boxes, alone.extra["coco_id"]) == ((), a.boxes, None)


def test_visual7w_bad_questions(tmp_path):
    data = json.loads((ROOT / "visual7w/dataset_v7w_pointing.json").read_text())
    pair = data["images"][0]["qa_pairs"][0]
    data["boxes"][3]["x"] = -50
    changes = [
        {"question": ""},
        {"multiple_choices": [11, 12, 13]},
        {"multiple_choices": [11, 12, 99]},
        {},
    ]
    data["images"][0]["qa_pairs"] = [
        pair | {"qa_id": i} | change for i, change in enumerate(changes)
    ]
    (tmp_path / "visual7w").mkdir()
    (tmp_path / "visual7w/dataset_v7w_pointing.json").write_text(json.dumps(data))
    reader = READERS["visual7w"](tmp_path, "train")
    assert list(reader) == [] and [record for record, _ in reader.problems] == ["0", "1", "2", "3"]


def test_textvqa(tmp_path):
    (val,) = read("textvqa", "val")
    assert (val.label, len(val.answers), val.images[0]) == (
        "stop",
        10,
        f"textvqa/train_images/{1:016x}.jpg",
    )
    (test,) = read("textvqa", "test")
    assert test.images[0].startswith("textvqa/test_images/") and test.answers == ()
    data = json.loads((ROOT / "textvqa/TextVQA_0.5.1_val.json").read_text())
    data["data"] = [data["data"][0] | {"answers": ["a"] * 9}, data["data"][0] | {"question": ""}]
    (tmp_path / "textvqa").mkdir()
    (tmp_path / "textvqa/TextVQA_0.5.1_val.json").write_text(json.dumps(data))
    reader = READERS["textvqa"](tmp_path, "val")
    assert list(reader) == [] and [why for _, why in reader.problems] == [
        "it has 9 answers, not ten",
        "the question is empty",
    ]


def test_iconqa(tmp_path):
    (text,) = read("iconqa", "test")
    assert text.extra == {
        "choices": ["even", "odd"],
        "ques_type": "choose_txt",
        "grade": "grade1",
        "skills": ["counting"],
    }
    assert (
        text.images == ("iconqa/iconqa_data/iconqa/test/choose_txt/1/image.png",)
        and text.label == "1"
    )
    (drawn,) = read("iconqa", "choose_img_val")
    assert [Path(path).name for path in drawn.images] == [
        "image.png",
        "choice_0.png",
        "choice_1.png",
    ]
    (blank,) = read("iconqa", "fill_in_blank_train")
    assert (blank.label, blank.extra["choices"]) == ("7", [])
    folder = tmp_path / "iconqa/iconqa_data"
    folder.mkdir(parents=True)
    problem = {"question": "x", "choices": ["a"], "answer": 1, "ques_type": "choose_txt"}
    (folder / "problems.json").write_text(
        json.dumps({"1": problem, "2": problem | {"question": ""}})
    )
    (folder / "pid_splits.json").write_text('{"choose_txt_test": ["1", "2", 3]}')
    reader = READERS["iconqa"](tmp_path, "test")
    assert list(reader) == [] and [record for record, _ in reader.problems] == ["1", "2", "3"]


def test_hateful_memes_in_both_releases(tmp_path):
    old, new = read("hateful_memes", "dev_seen")
    assert (old.id, old.images, old.label) == ("08291", ("hateful_memes/img/08291.png",), "1")
    assert (new.id, new.expression, new.label) == ("42953", "another text", "0")
    (tmp_path / "hateful_memes").mkdir()
    (tmp_path / "hateful_memes/test.jsonl").write_text(
        '{"id": 7, "img": "img\\/00007.png", "text": "x"}\n'
    )
    reader = READERS["hateful_memes"](tmp_path, "test_seen")
    assert list(reader) == [] and reader.problems == [("00007", "it has no label")]


def test_pope(tmp_path):
    yes, no = read("pope", "random")
    assert (yes.label, no.label, yes.question) == ("yes", "no", "Is there a cup in the image?")
    (tmp_path / "pope").mkdir()
    record = {"question_id": 1, "image": "../x.jpg", "text": "Is there?", "label": "yes"}
    (tmp_path / "pope/coco_pope_random.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="leads out"):
        read("pope", "random", tmp_path)


@pytest.mark.parametrize(("name", "split", "file", "old", "new"), [
    ("vcr", "val", "vcr/vcr1annots/val.jsonl", "m/clip@0.jpg", "../../../x.jpg"),
    ("vcr", "val", "vcr/vcr1annots/val.jsonl", "m/clip@0.json", "../../../x.json"),
    ("llava_instruct", "train", "llava_instruct/llava_instruct_150k.json", "000000000009.jpg", "/etc/x.jpg"),
    ("visual_genome", "all", "visual_genome/image_data.json", "VG_100K_2/1.jpg", "VG_100K_2/.."),
    ("visual7w", "val", "visual7w/dataset_v7w_pointing.json", "v7w_2.jpg", "../../../x.jpg"),
    ("textvqa", "val", "textvqa/TextVQA_0.5.1_val.json", f"{1:016x}", "../../../x"),
    ("hateful_memes", "train", "hateful_memes/train.jsonl", "img/08291.png", "../../x.png"),
    ("iconqa", "choose_img_val", "iconqa/iconqa_data/problems.json", "choice_0.png", "../../../../../../x.png"),
    ("flickr30k_entities", "val", "flickr30k_entities/val.txt", "200", "../../x"),
])  # fmt: skip
def test_hostile_paths(tmp_path, name, split, file, old, new):
    root = tmp_path / "root"
    shutil.copytree(ROOT, root)
    text = (root / file).read_text()
    assert old in text
    (root / file).write_text(text.replace(old, new))
    with pytest.raises(ValueError, match="leads out of the data root"):
        read(name, split, root)
