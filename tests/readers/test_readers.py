"""What every reader does with bad splits, missing files, hostile paths and bad records."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest

from datamodules.readers import READERS
from datamodules.readers.files import inside
from datamodules.readers.official import load
from datamodules.readers.reader import REPEATED
from datamodules.readers.vcr import texts
from tasks import Task
from vista.codec.codec import Codec
from vista.geometry import clip_box, clip_xywh
from vista.unsound import segmentation_problem

FORMATS = Path(__file__).parents[1] / "formats"
SQUARE = [[1, 1, 5, 1, 5, 5, 1, 5]]


@pytest.mark.parametrize("name", READERS)
def test_contract(name):
    reader = READERS[name]
    assert reader.name == name
    assert reader.fields and reader.splits and reader.source.startswith("https://")
    with pytest.raises(ValueError, match=f"{name} has no split 'nowhere'"):
        reader("data", "nowhere")


@pytest.mark.parametrize(("name", "split"), [(n, s) for n, r in READERS.items() for s in r.splits])
def test_missing_file_is_one_sentence(name, split, tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        next(iter(READERS[name](tmp_path, split)))
    message = str(error.value)
    named = name in message or (
        name in ("coseg_groups", "attcoseg_coco") and "coco_instances" in message
    )
    assert named and str(tmp_path) in message and "://" in message and "\n" not in message


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x.jpg", "a//etc/x.jpg", "a/../../x.jpg", "..", "..\\x.jpg", "C:/x.jpg"],
)
def test_paths_out_of_the_root_are_refused(path):
    with pytest.raises(ValueError, match="leads out of the data root"):
        inside(path)
    assert inside("a/b..c/..d.jpg") == "a/b..c/..d.jpg"


def test_boxes_are_clipped():
    assert clip_xywh([1, 2, 3, 4], (10, 10)) == (1.0, 2.0, 4.0, 6.0)
    assert clip_xywh([-2, 8, 5, 5], (10, 20)) == (0.0, 8.0, 3.0, 10.0)
    assert clip_box((0, 0, 99, 99), (10, 20)) == (0.0, 0.0, 20.0, 10.0)
    for bad in (
        [20, 0, 5, 5],
        [0, 0, 0, 5],
        [3, 3, -1, 5],
        [0, 0, float("nan"), 5],
        [1, 2, 3],
        None,
        ["a", 1, 2, 3],
    ):
        assert clip_xywh(bad, (10, 20)) is None, bad


def test_segmentations_are_judged():
    assert segmentation_problem(SQUARE, (6, 6)) == ""
    assert segmentation_problem([[1, 1, 2, 2], *SQUARE], (6, 6)) == ""
    assert segmentation_problem({"size": [6, 7], "counts": [42]}, (6, 7)) == ""
    assert "size [7, 6]" in segmentation_problem({"size": [7, 6], "counts": [42]}, (6, 7))
    for bad in ([], [[1, 1, 2, 2]], None):
        assert "three points" in segmentation_problem(bad, (6, 6))


class Evil:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_hold_plain_containers_only(tmp_path, protocol):
    path = tmp_path / "x.p"
    plain = [{"a": ("b", 1, 2.5, None, True), "set": {1, 2}, "text": "caf\u00e9"}]
    path.write_bytes(pickle.dumps(plain, protocol))
    assert load(path) == plain
    mark = tmp_path / "mark"
    path.write_bytes(pickle.dumps([Evil(str(mark))], protocol))
    with pytest.raises(pickle.UnpicklingError, match=r"x\.p was refused: it asks for .*mkdir"):
        load(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"cbuiltins\ngetattr\n.",
        b"c__builtin__\neval\n.",
    ],
)
def test_hand_written_pickle_code_is_refused(tmp_path, code):
    (tmp_path / "x.p").write_bytes(code)
    with pytest.raises(pickle.UnpicklingError, match="it asks for"):
        load(tmp_path / "x.p")


def test_python_2_pickles_load(tmp_path):
    # As Python 2 writes [{'sent': 'caf\xc3\xa9', u'n': 12L, 'bad': '\xff'}] with protocols 0 and 2.
    text = b"(lp0\n(dp1\nS'sent'\np2\nS'caf\\xc3\\xa9'\np3\nsVn\np4\nL12L\nsS'bad'\np5\nS'\\xff'\np6\nsa."
    binary = b"\x80\x02]q\x00}q\x01(U\x04sentq\x02U\x05caf\xc3\xa9q\x03X\x01\x00\x00\x00nq\x04\x8a\x01\x0c"
    binary += b"U\x03badU\x01\xffua."
    for code in (text, binary):
        (tmp_path / "x.p").write_bytes(code)
        assert load(tmp_path / "x.p") == [{"sent": "caf\u00e9", "n": 12, "bad": "\ufffd"}]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))


def instances(**changes):
    objects = [
        {
            "id": 7,
            "image_id": 1,
            "category_id": 3,
            "bbox": [2, 2, 4, 4],
            "segmentation": SQUARE,
            "iscrowd": 0,
        },
        {
            "id": 8,
            "image_id": 1,
            "category_id": 3,
            "bbox": [30, 15, 20, 20],
            "segmentation": SQUARE,
            "iscrowd": 0,
        },
        {
            "id": 9,
            "image_id": 1,
            "category_id": 3,
            "bbox": [50, 2, 4, 4],
            "segmentation": SQUARE,
            "iscrowd": 0,
        },
        {
            "id": 10,
            "image_id": 1,
            "category_id": 3,
            "bbox": [2, 2, 4, 4],
            "segmentation": [[1, 2, 3, 4]],
            "iscrowd": 0,
        },
    ]
    image = {"id": 1, "file_name": "000000000001.jpg", "height": 20, "width": 40}
    return {
        "images": [image | changes],
        "annotations": objects,
        "categories": [{"id": 3, "name": "cup"}],
    }


def test_coco_instances_keeps_sound_objects(tmp_path):
    write(tmp_path / "coco/annotations/instances_val2017.json", instances())
    reader = READERS["coco_instances"](tmp_path, "val2017")
    (annotation,) = reader
    assert annotation.boxes == ((2.0, 2.0, 6.0, 6.0), (30.0, 15.0, 40.0, 20.0))
    assert annotation.sizes == ((20, 40),)
    assert annotation.extra == {"categories": ["cup", "cup"], "ann_ids": [7, 8], "iscrowd": [0, 0]}
    assert [record for record, _ in reader.problems] == ["9", "10"]
    list(reader)
    assert len(reader.problems) == 2, "a second pass starts a new list"


def test_coco_refuses_hostile_file_names(tmp_path):
    write(
        tmp_path / "coco/annotations/instances_val2017.json",
        instances(file_name="../../../secret.jpg"),
    )
    with pytest.raises(ValueError, match="leads out"):
        list(READERS["coco_instances"](tmp_path, "val2017"))


def test_coco_captions(tmp_path):
    images = [{"id": i, "file_name": f"{i:012d}.jpg", "height": 2, "width": 3} for i in (1, 2, 3)]
    captions = [
        {"image_id": 2, "caption": "one. "},
        {"image_id": 1, "caption": " "},
        {"image_id": 2, "caption": "two"},
    ]
    write(
        tmp_path / "coco/annotations/captions_train2017.json",
        {"images": images, "annotations": captions},
    )
    reader = READERS["coco"](tmp_path, "train2017")
    (annotation,) = reader
    assert annotation.captions == ("one. ", "two")
    assert [record for record, _ in reader.problems] == ["1", "3"]


def test_karpathy_split(tmp_path):
    def image(number, split, folder):
        return {
            "filepath": folder,
            "cocoid": number,
            "split": split,
            "sentences": [{"raw": f"caption {number}"}],
        }

    parts = [
        image(1, "train", "train2014"),
        image(2, "restval", "val2014"),
        image(3, "test", "val2014"),
    ]
    write(tmp_path / "coco/dataset_coco.json", {"dataset": "coco", "images": parts})
    write(tmp_path / "coco/train2017/000000000002.jpg", b"")
    train = list(READERS["coco"](tmp_path, "karpathy_train"))
    assert [a.id for a in train] == ["1", "2"]
    assert [a.images[0] for a in train] == [
        "coco/train2014/COCO_train2014_000000000001.jpg",
        "coco/train2017/000000000002.jpg",
    ]
    (test,) = READERS["coco"](tmp_path, "karpathy_test")
    assert test.captions == ("caption 3",)
    assert "sizes" not in READERS["coco"](tmp_path, "karpathy_test").fields
    assert "sizes" in READERS["coco"](tmp_path, "train2017").fields


def refs():
    def ref(ref_id, ann_id, split, *sentences):
        return {
            "ref_id": ref_id, "ann_id": ann_id, "image_id": 1, "category_id": 3, "split": split,
            "sentences": [{"sent_id": 10 * ref_id + i, "sent": s, "raw": s} for i, s in enumerate(sentences)],
        }  # fmt: skip

    return [
        ref(1, 7, "val", "red cup", " "),
        ref(2, 8, "train", "big cup"),
        ref(3, 9, "val", "x"),
        ref(4, 77, "val", "y"),
    ]


def test_refer(tmp_path):
    write(tmp_path / "refer/refcoco+/refs(unc).p", pickle.dumps(refs(), 2))
    write(tmp_path / "refer/refcoco+/instances.json", instances())
    reader = READERS["refcocop"](tmp_path, "val")
    (annotation,) = reader
    assert annotation.id == "1_10"
    assert annotation.images == (
        "refer/images/mscoco/images/train2014/COCO_train2014_000000000001.jpg",
    )
    assert (annotation.expression, annotation.boxes) == ("red cup", ((2.0, 2.0, 6.0, 6.0),))
    assert annotation.extra == {"ref_id": 1, "ann_id": 7, "category_id": 3}
    assert dict(reader.problems).keys() == {"1_11", "9", "4"}
    assert "empty" in dict(reader.problems)["1_11"]
    (train,) = READERS["refcocop"](tmp_path, "train")
    assert train.boxes == ((30.0, 15.0, 40.0, 20.0),)


@pytest.mark.parametrize(
    "path",
    [
        "refer/images/mscoco/images/train2014/COCO_train2014_000000000001.jpg",
        "coco/train2014/COCO_train2014_000000000001.jpg",
        "coco/train2017/000000000001.jpg",
        "coco/val2017/000000000001.jpg",
    ],
)
def test_refer_images_of_either_release(tmp_path, path):
    write(tmp_path / "refer/refcoco/refs(unc).p", pickle.dumps(refs(), 2))
    write(tmp_path / "refer/refcoco/instances.json", instances())
    write(tmp_path / path, b"")
    assert next(iter(READERS["refcoco"](tmp_path, "val"))).images == (path,)


def test_vqav2_joins_by_id(tmp_path):
    questions = [
        {"question_id": i, "image_id": i // 1000, "question": q}
        for i, q in ((1001, "Why?"), (1002, ""), (2001, "How?"))
    ]
    answers = [
        {"question_id": i, "question_type": "why", "answer_type": "other", "multiple_choice_answer": a,
         "answers": [{"answer": a}] * 10}
        for i, a in ((5000, "nobody asked"), (1002, "no"), (1001, "so"))
    ]  # fmt: skip
    write(tmp_path / "vqav2/v2_OpenEnded_mscoco_val2014_questions.json", {"questions": questions})
    write(tmp_path / "vqav2/v2_OpenEnded_mscoco_test2015_questions.json", {"questions": questions})
    write(tmp_path / "vqav2/v2_mscoco_val2014_annotations.json", {"annotations": answers})
    write(tmp_path / "coco/val2017/000000000001.jpg", b"")
    reader = READERS["vqav2"](tmp_path, "val")
    (annotation,) = reader
    assert (annotation.question, annotation.answers, annotation.label) == (
        "Why?",
        ("so",) * 10,
        "so",
    )
    assert annotation.images == ("coco/val2017/000000000001.jpg",)
    assert annotation.extra == {"question_id": 1001, "question_type": "why", "answer_type": "other"}
    assert [record for record, _ in reader.problems] == ["1002", "2001"]
    test = READERS["vqav2"](tmp_path, "test")
    assert test.fields == {"question"}
    assert next(iter(test)).images[0] == "coco/test2015/COCO_test2015_000000000001.jpg"


def test_vqav2_annotations_of_question_id_and_answers_alone(tmp_path):
    """A form that other tools write: label and type come from the answers, or the record is left out."""
    given = {
        1: [{"answer": "maybe"}, *[{"answer": "yes"}] * 6, *[{"answer": "no"}] * 3],
        2: [2] * 4 + ["two"] * 6,
        3: ["", "3", "4", "4 ", "3"],
        4: [{"answer": ""}] * 10,
        5: [],
        6: [{"answer": "a cat"}],
    }
    answers = [{"question_id": k, "answers": each} for k, each in given.items()]
    answers[5] |= {"multiple_choice_answer": "cat", "answer_type": "number"}  # as the file says
    answers.append({"question_id": 7})
    questions = [{"question_id": k, "image_id": 1, "question": f"Q{k}?"} for k in range(1, 8)]
    write(tmp_path / "vqav2/v2_OpenEnded_mscoco_train2014_questions.json", {"questions": questions})
    write(tmp_path / "vqav2/v2_mscoco_train2014_annotations.json", {"annotations": answers})
    reader = READERS["vqav2"](tmp_path, "train")
    found = {a.id: (a.label, a.extra["answer_type"]) for a in reader}
    assert found == {
        "1": ("yes", "yes/no"), "2": ("two", "other"), "3": ("3", "number"), "6": ("cat", "number"),
    }  # fmt: skip
    assert reader.problems == [(k, "it has no answer") for k in "457"]
    task, annotations = Task.known["vqav2"](Codec()), list(reader)
    assert [task.target(a) for a in annotations] == ["yes", "two", "3", "cat"]
    metric = task.evaluator()
    metric.update(task.baseline(annotations), [task.reference(a) for a in annotations])
    assert metric.compute()["n"] == 4


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["person", "'", "s", "mouth", "."], "person's mouth."),
        (["They", "'", "re", "here", "."], "They're here."),
        (["I", "don", "'", "t", "know", ",", "I", "'", "m", "new"], "I don't know, I'm new"),
        ([[0], "'", "s", "hat", "and", [1, 2], "'", "s"], "<0>'s hat and <1> and <2>'s"),
        (["We", "\u2019", "ll", "see", "what", "he", "\u2019", "d", "do"], "We\u2019ll see what he\u2019d do"),
        (["do", "n", "'", "t"], "don't"),
        (["do", "n't", ",", "it", "'s", [0], "'s"], "don't, it's <0>'s"),
        (["10", "o", "'", "clock", ",", "y", "'", "all"], "10 o'clock, y'all"),
        (["the", "girls", "'", "room"], "the girls' room"),
    ],
)  # fmt: skip
def test_vcr_apostrophes_join_on_both_sides(tokens, text):
    assert texts(tokens, "<{}>".format) == text


def test_vcr_needs_labels_outside_of_test(tmp_path):
    shutil.copytree(FORMATS / "vcr", tmp_path / "vcr")
    path = tmp_path / "vcr/vcr1annots/val.jsonl"
    record = json.loads(path.read_text())
    unlabelled = {key: value for key, value in record.items() if key != "rationale_label"}
    lines = [
        record,
        unlabelled | {"annot_id": "val-8"},
        record | {"annot_id": "val-9", "answer_label": 4},
    ]
    write(path, "\n".join(map(json.dumps, lines)))
    reader = READERS["vcr"](tmp_path, "val")
    assert [a.id for a in reader] == ["val-0"]
    assert [name for name, _ in reader.problems] == ["val-8", "val-9"]


def test_nlvr2(tmp_path):
    lines = [
        {"identifier": "train-1-2-3", "sentence": "Two dogs.", "label": "True", "directory": 43},
        {"identifier": "train-1-2-4", "sentence": "", "label": "True", "directory": 43},
        {"identifier": "train-1-2-5", "sentence": "Two cats.", "label": "Maybe", "directory": 43},
    ]
    write(tmp_path / "nlvr2/train.json", "\n".join(map(json.dumps, lines)) + "\n\n")
    reader = READERS["nlvr2"](tmp_path, "train")
    (annotation,) = reader
    assert annotation.images == (
        "nlvr2/images/train/43/train-1-2-img0.png",
        "nlvr2/images/train/43/train-1-2-img1.png",
    )
    assert [record for record, _ in reader.problems] == ["train-1-2-4", "train-1-2-5"]
    write(tmp_path / "nlvr2/train.json", json.dumps(lines[0] | {"directory": "../../.."}))
    with pytest.raises(ValueError, match="leads out"):
        list(READERS["nlvr2"](tmp_path, "train"))


def copied(root, path, change):
    """A data root that holds a copy of one dataset's files, one of them changed."""
    folder = path.partition("/")[0]
    if not (root / folder).exists():
        shutil.copytree(FORMATS / folder, root / folder)
    data = json.loads((root / path).read_text())
    change(data)
    (root / path).write_text(json.dumps(data))
    return root


def test_an_image_that_stands_twice_is_read_once(tmp_path):
    path = "coco/annotations/captions_val2017.json"
    copied(tmp_path, path, lambda data: data["images"].append(data["images"][0]))
    reader = READERS["coco"](tmp_path, "val2017")
    assert [a.id for a in reader] == [a.id for a in READERS["coco"](FORMATS, "val2017")]
    assert reader.problems == [("139", REPEATED)]


def test_a_question_that_stands_twice_is_read_once(tmp_path):
    def twice(data):
        data["questions"].insert(1, data["questions"][0] | {"question": "Another?"})

    copied(tmp_path, "vqav2/v2_OpenEnded_mscoco_val2014_questions.json", twice)
    reader = READERS["vqav2"](tmp_path, "val")
    once = list(READERS["vqav2"](FORMATS, "val"))
    assert list(reader) == once, "the first is kept"
    assert reader.problems == [(once[0].id, REPEATED)]

    def answered_twice(data):
        data["annotations"].append(data["annotations"][0] | {"multiple_choice_answer": "no"})

    copied(tmp_path, "vqav2/v2_mscoco_val2014_annotations.json", answered_twice)
    assert list(reader) == once
    assert sorted(reader.problems) == [(a.id, REPEATED) for a in once]
    again = READERS["vqav2"](tmp_path, "val")
    assert list(again) == once and again.problems == reader.problems


def test_a_caption_may_hold_any_end_of_a_line(tmp_path):
    folder = tmp_path / "flickr30k_entities"
    shutil.copytree(FORMATS / "flickr30k_entities", folder)
    for file in (folder / "Sentences").iterdir():
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(" ", " \u0085\u2028", 1), encoding="utf-8")
    there = [a.id for a in READERS["flickr30k_entities"](FORMATS, "train")]
    reader = READERS["flickr30k_entities"](tmp_path, "train")
    assert [a.id for a in reader] == there and reader.problems == []
