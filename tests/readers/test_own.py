"""Own data: a folder of masks, a COCO file, and JSON lines in the forms that others train on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datamodules.pictures import pictures
from datamodules.readers import READERS
from datamodules.readers.own import ALONE, CROWD, NO_BOX, SEVERAL, OwnReader
from datamodules.readers.own_settings import Asked, OwnData
from datamodules.source import Source, check_source
from tests.own_data import grey, plain, record, write_jsonl, write_lines
from vista.data import Annotation, InputError
from vista.geometry import decode_segmentation

SIZES = ((480, 640), (1500, 2000), (96, 96))
ANY = Asked(several=True)
GROUPS = Asked(groups=True)


def read(
    name: str, root: Path, split: str = "train", asked: Asked | None = None, **own: Any
) -> tuple[list[Annotation], OwnReader]:
    """What a reader of own data gives, and the reader."""
    kind = READERS[name]
    assert issubclass(kind, OwnReader)
    reader = kind(root, split, OwnData(**own), asked)
    return list(reader), reader


# Conventions


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("form", "convention", "bbox_type"),
    [
        ("ms-swift", "pixels", ""),
        ("ms-swift", "pixels", "real"),
        ("ms-swift", "norm1", "norm1"),
        ("ms-swift", "norm1000", "norm1000"),
        ("llava", "norm1", ""),
        ("llava", "padded", ""),
        ("llava", "pixels", ""),
        ("llava", "norm1000", ""),
        ("qwen", "norm1000", ""),
        ("internvl", "norm1000", ""),
        ("shikra", "pixels", ""),
    ],
)
def test_boxes_come_back_in_pixels(
    tmp_path: Path, size: tuple[int, int], form: str, convention: str, bbox_type: str
) -> None:
    given = plain(50, size, tmp_path)
    write_jsonl(tmp_path / "train.jsonl", form, given, convention, bbox_type)
    found, reader = read("jsonl", tmp_path)
    assert [a.expression for a in found] == [a.expression for a in given] and not reader.problems
    within = 0.06 if convention == "pixels" else 0.0006 * max(size) + 0.06
    for one, other in zip(found, given, strict=True):
        assert one.sizes == other.sizes and one.images == other.images
        assert np.abs(np.subtract(one.boxes, other.boxes)).max() <= within
    # Without padding, squares of both conventions are one.
    name = "norm1" if convention == "padded" and size == (96, 96) else convention
    assert f"form {form}, coordinates are {name} by" in found[0].extra["found"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("form", "stated", "written"),
    [
        ("ms-swift", "pixels", "norm1000"),
        ("ms-swift", "pixels", "norm1"),
        ("shikra", "pixels", "norm1000"),
        ("qwen", "norm1000", "pixels"),
        ("internvl", "norm1000", "pixels"),
        ("internvl", "norm1000", "norm1"),
    ],
)
def test_a_wrong_convention_is_named(
    tmp_path: Path, size: tuple[int, int], form: str, stated: str, written: str
) -> None:
    write_jsonl(tmp_path / "train.jsonl", form, plain(50, size, tmp_path), written)
    with pytest.raises(InputError) as error:
        read("jsonl", tmp_path)
    said = str(error.value)
    assert "train.jsonl" in said and "\n" not in said
    assert f"its coordinates are {stated}, but" in said and f"they look like {written}" in said
    found, _ = read("jsonl", tmp_path, coordinates=written)
    assert len(found) == 50


def test_a_person_who_states_a_convention_is_told_of_a_likelier_one(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", "qwen", plain(50, (480, 640), tmp_path), "pixels")
    found, _ = read("jsonl", tmp_path, coordinates="norm1000")
    assert "BUT as norm1000 none of 50 boxes reaches beyond 64% and 48%" in found[0].extra["found"]
    assert "they look like pixels" in found[0].extra["found"]


def test_what_the_numbers_leave_open_is_asked(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", "llava", plain(5, (480, 640), tmp_path), "pixels")
    with pytest.raises(InputError, match=r"may be pixels or norm1000.*own\.coordinates.* decide"):
        read("jsonl", tmp_path)
    middle = [
        replace(a, boxes=((200.0, 150.0, 400.0, 300.0),)) for a in plain(50, (480, 640), tmp_path)
    ]
    write_jsonl(tmp_path / "train.jsonl", "llava", middle, "norm1")
    with pytest.raises(InputError, match=r"may be norm1 or padded.* longer borders"):
        read("jsonl", tmp_path)
    assert len(read("jsonl", tmp_path, coordinates="padded")[0]) == 50
    write_lines(tmp_path / "train.jsonl", [record("llava", a, (5000, 1, 6000, 9)) for a in middle])
    with pytest.raises(InputError, match="neither pixels nor parts of 1 or 1000"):
        read("jsonl", tmp_path)


def test_0_to_999_is_stated(tmp_path: Path) -> None:
    given = plain(3, (480, 640), tmp_path)
    write_lines(tmp_path / "train.jsonl", [record("qwen", a, (0, 0, 999, 999)) for a in given])
    found, _ = read("jsonl", tmp_path, coordinates="norm999")
    assert found[0].boxes == ((0.0, 0.0, 640.0, 480.0),)
    assert read("jsonl", tmp_path)[0][0].boxes == ((0.0, 0.0, 639.36, 479.52),)


# Forms


def talk(question: str, answer: str, **more: object) -> dict:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns, "images": ["a.png"], **more}


def boxes_of(
    root: Path, *records: dict, **own: Any
) -> tuple[list[tuple[str, list]], list[tuple[str, str]]]:
    """The expressions of records with their boxes in whole pixels of 100 x 200 pixels, and what is left out."""
    grey(root / "a.png", (100, 200))
    grey(root / "b.png", (50, 50))
    write_lines(root / "train.jsonl", records)
    own.setdefault("coordinates", "pixels")
    found, reader = read("jsonl", root, asked=ANY, **own)
    return [
        (a.expression, [[round(x) for x in b] for b in a.boxes]) for a in found
    ], reader.problems


ONE, TWO = [10, 20, 50, 60], [60, 20, 90, 80]
SWIFT = {"bbox": [ONE, TWO]}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (talk("<image>Find the <ref-object>", "<bbox><bbox>", objects=SWIFT | {"ref": ["cup"]}), [("cup", [ONE, TWO])]),
        (
            talk("<image>Say", "<ref-object><bbox> and <ref-object><bbox>", objects=SWIFT | {"ref": ["a", "b"]}),
            [("a", [ONE]), ("b", [TWO])],
        ),
        (
            talk(
                "<image>All",
                '[{"bbox_2d": <bbox>, "label": "<ref-object>"}, {"bbox_2d": <bbox>, "label": "<ref-object>"}]',
                objects=SWIFT | {"ref": ["a", "b"]},
            ),
            [("a", [ONE]), ("b", [TWO])],
        ),
        (talk("<image>the red cup", "<bbox><bbox>", objects=SWIFT), [("the red cup", [ONE, TWO])]),
        (
            talk("Find <|object_ref_start|>sheep<|object_ref_end|>", "<|box_start|>(10,20),(50,60)<|box_end|>"),
            [("sheep", [ONE])],
        ),
        (talk("x", "<ref>a cup</ref><box>(10,20),(50,60)</box><box>(60,20),(90,80)</box>"), [("a cup", [ONE, TWO])]),
        (
            talk("x", "<ref>a</ref><box>[[10, 20, 50, 60]]</box> <ref>b</ref><box>[[60,20,90,80],[10,20,50,60]]</box>"),
            [("a", [ONE]), ("b", [TWO, ONE])],
        ),
        (talk("<image>\nthe cup.", "[10, 20, 50, 60]"), [("the cup", [ONE])]),
        (
            {"image_id": "a", "sentence": "<ph_st>A man<ph_ed> with <ph_st>hats<ph_ed>", "boxes": [TWO, ONE],
             "boxes_seq": [[1], [0, 1]], "img_path": "a.png"},
            [("A man", [ONE]), ("hats", [TWO, ONE])],
        ),
    ],
)  # fmt: skip
def test_expressions_and_their_boxes(tmp_path: Path, given: dict, wanted: list) -> None:
    assert boxes_of(tmp_path, given) == (wanted, [])


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (talk("x", "<bbox>", objects={"bbox": [[5, 6]]}), "[5, 6], which is no box of four numbers"),
        (talk("x", "<ref-object><bbox>", objects=SWIFT), "a <ref-object> of it stands for None"),
        (talk("x", "<bbox>", objects=SWIFT | {"bbox_type": "percent"}), "its bbox_type is 'percent'"),
        (talk("x", "<bbox>", objects=SWIFT | {"image_id": [3]}), "its image_id is 3, and it has 1 images"),
        (talk("x", "no", objects=SWIFT), NO_BOX),
        (talk("x", "<bbox>", objects=SWIFT) | {"images": ["gone.png"]}, "the image gone.png is missing"),
        (talk("x", "<bbox>", objects=SWIFT) | {"images": []}, "which are no names of files"),
        (talk("x", "click(<bbox>)", objects=SWIFT), "its answer has words beside boxes"),
        ({"messages": [{"role": "user", "content": "x"}], "objects": SWIFT, "images": ["a.png"]}, "do not take turns"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_used_is_left_out_with_why(
    tmp_path: Path, given: dict, why: str
) -> None:
    sound = talk("<image>cup", "<bbox>", objects={"bbox": [ONE]})
    found, problems = boxes_of(tmp_path, given, sound)
    assert found == [("cup", [ONE])]
    ((name, said),) = problems
    assert name == "record 1" and why in said


def test_a_box_is_in_the_image_that_is_named(tmp_path: Path) -> None:
    objects = {"bbox": [[10, 20, 50, 60], [5, 5, 50, 50]], "ref": ["a", "b"], "image_id": [0, 1]}
    given = talk("<image><image>", "<ref-object><bbox><ref-object><bbox>", objects=objects)
    boxes_of(tmp_path, given | {"images": ["a.png", "b.png"]})
    found, _ = read("jsonl", tmp_path, coordinates="pixels")
    assert [(a.images, a.sizes) for a in found] == [
        (("a.png",), ((100, 200),)), (("b.png",), ((50, 50),)),
    ]  # fmt: skip


def test_how_questions_are_worded_can_be_said(tmp_path: Path) -> None:
    given = [talk("<image>Where is the cup?", "[10, 20, 50, 60]"), talk("Locate it", str(TWO))]
    found, problems = boxes_of(tmp_path, *given, prompt="Where is {}?")
    assert found == [("the cup", [ONE])] and "own.prompt" in problems[0][1]


def test_json_lists_are_read_too_and_a_form_can_be_named(tmp_path: Path) -> None:
    grey(tmp_path / "a.png", (100, 200))
    (tmp_path / "train.json").write_text(json.dumps([talk("cup", str(ONE))]))
    (a,), _ = read("jsonl", tmp_path, form="llava", coordinates="pixels")
    assert a.expression == "cup"
    with pytest.raises(InputError, match="no record of the form qwen in it can be used"):
        read("jsonl", tmp_path, form="qwen")
    for own in ({"form": "x"}, {"coordinates": "x"}, {"prompt": "x"}):
        with pytest.raises(InputError, match=f"own.{next(iter(own))} is 'x'"):
            read("jsonl", tmp_path, **own)


@pytest.mark.parametrize("path", ["../x.png", "/etc/x.png", "https://example.com/x.png"])
def test_no_image_lies_outside_of_the_root(tmp_path: Path, path: str) -> None:
    write_lines(tmp_path / "train.jsonl", [talk("cup", str(ONE)) | {"images": [path]}])
    with pytest.raises(InputError, match="leads out of the data root"):
        read("jsonl", tmp_path)


def test_an_absolute_path_below_the_root_is_that_image(tmp_path: Path) -> None:
    given = plain(1, (100, 200), tmp_path)
    (path,) = given[0].images
    moved = replace(given[0], images=(str(tmp_path / path),))
    write_jsonl(tmp_path / "train.jsonl", "shikra", [moved], "pixels")
    assert read("jsonl", tmp_path)[0][0].images == (path,)


# Splits, and what is asked


def test_shares_are_of_images_and_all_questions_of_an_image_go_the_same_way(
    tmp_path: Path,
) -> None:
    given = plain(40, (100, 200), tmp_path)
    twice = [*given, *(replace(a, expression=f"{a.expression} again") for a in given)]
    write_jsonl(tmp_path / "all.jsonl", "shikra", twice, "pixels")
    shares = {"files": {"all": "all.jsonl"}, "shares": {"train": 0.8, "val": 0.1, "test": 0.1}}
    parts = {s: read("jsonl", tmp_path, s, **shares)[0] for s in ("train", "val", "test")}
    assert {s: len(part) for s, part in parts.items()} == {"train": 64, "val": 8, "test": 8}
    shown = [{a.images for a in part} for part in parts.values()]
    assert len(set.union(*shown)) == sum(map(len, shown)) == 40
    with pytest.raises(InputError, match="the share of split val is none of 40 images"):
        read("jsonl", tmp_path, "val", files={"all": "all.jsonl"}, shares={"train": 1.0})


def test_a_file_for_each_split_and_the_leak_audit_sees_the_same_image(tmp_path: Path) -> None:
    given = plain(4, (100, 200), tmp_path)
    write_jsonl(tmp_path / "a.jsonl", "shikra", given[:3], "pixels")
    write_jsonl(tmp_path / "b.jsonl", "shikra", given[2:], "pixels")
    files = {"train": "a.jsonl", "test": "b.jsonl"}
    one, other = (read("jsonl", tmp_path, s, files=files)[0] for s in ("train", "test"))
    shared = set(pictures(one).names.to_pylist()) & set(pictures(other).names.to_pylist())
    assert len(shared) == 1 and shared.pop().endswith(b"photos/2.png")


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"files": {"all": "x"}}, "own.files names one file of `all` splits"),
        ({"shares": {"train": 1.0}}, "own.files names one file of `all` splits"),
        ({"files": {"all": "x"}, "shares": {"train": 2.0}}, "parts of 1"),
        ({"files": {"dev": "x"}}, "not of 'dev'"),
        ({"mask": "whole"}, "data set jsonl has no own.mask"),
        ({"group_size": 1}, "own.group_size is 1"),
    ],
)
def test_settings_that_are_not_understood(tmp_path: Path, own: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read("jsonl", tmp_path, **own)
    source = Source("rec", "jsonl", train="train", own=OwnData(**own))
    with pytest.raises(InputError, match=f"source s: .*{words}"):
        check_source("s", source)


def test_sources_ask_by_their_task() -> None:
    assert Source("grec", "jsonl").asked() == Asked(several=True, masks=False)
    assert Source("res", "folder").asked() == Asked()
    assert Source("coseg", "folder").asked() == GROUPS
    with pytest.raises(InputError, match="task res needs segmentations; reader jsonl gives none"):
        check_source("s", Source("res", "jsonl", train="train"))
    with pytest.raises(InputError, match="refcoco has no settings `own`"):
        check_source("s", Source("rec", "refcoco", train="train", own=OwnData()))


# COCO files


def coco(root: Path, **more: Any) -> None:
    square = [[2, 2, 12, 2, 12, 12, 2, 12]]
    placed = [(7, 1, 3), (8, 1, 4), (9, 1, 4), (10, 2, 3), (11, 2, 5), (12, 3, 3)]
    objects = [
        {"id": k, "image_id": i, "category_id": c, "bbox": [2, 2, 10, 10], "segmentation": square, "iscrowd": c == 5}
        for k, i, c in placed
    ]  # fmt: skip
    content = {
        "images": [{"id": k, "file_name": f"{k}.jpg", "height": 20, "width": 40} for k in (1, 2, 3)],
        "annotations": objects,
        "categories": [{"id": 3, "name": "cup"}, {"id": 4, "name": "dog"}, {"id": 5, "name": "men"}],
    }  # fmt: skip
    (root / "train.json").write_text(json.dumps(content | more))


def test_categories_of_a_coco_file_are_expressions(tmp_path: Path) -> None:
    coco(tmp_path)
    found, reader = read("coco_file", tmp_path, images="photos")
    assert [(a.id, a.expression, a.images) for a in found] == [
        (f"{k}_3", "cup", (f"photos/{k}.jpg",)) for k in (1, 2, 3)
    ]
    assert found[0].boxes == ((2.0, 2.0, 12.0, 12.0),) and len(found[0].segmentations) == 1
    assert reader.problems == [("2_5", CROWD), ("1_4", SEVERAL)]
    several, _ = read("coco_file", tmp_path, asked=ANY)
    assert [(a.id, len(a.boxes)) for a in several] == [
        ("1_3", 1),
        ("1_4", 2),
        ("2_3", 1),
        ("3_3", 1),
    ]
    groups, reader = read("coco_file", tmp_path, asked=GROUPS, group_size=2)
    assert [(a.id, a.images, a.extra["count"]) for a in groups] == [
        ("cup_0", ("1.jpg", "2.jpg"), [True, True]),
        ("cup_1", ("3.jpg", "1.jpg"), [True, False]),
    ]
    assert ("dog", ALONE) in reader.problems


def test_a_coco_file_without_masks_is_enough_for_boxes(tmp_path: Path) -> None:
    coco(tmp_path)
    content = json.loads((tmp_path / "train.json").read_text())
    for each in content["annotations"]:
        del each["segmentation"]
    (tmp_path / "train.json").write_text(json.dumps(content))
    assert len(read("coco_file", tmp_path, asked=Asked(masks=False))[0]) == 3
    with pytest.raises(InputError, match="has no 'segmentation'"):
        read("coco_file", tmp_path)


def test_expressions_of_several_objects_alone_are_no_data_for_one(tmp_path: Path) -> None:
    coco(tmp_path, categories=[{"id": 4, "name": "dog"}])
    with pytest.raises(
        InputError, match=r"each of the 1 expressions .* holds for several objects.*grec and gres"
    ):
        read("coco_file", tmp_path)


def test_a_coco_object_that_cannot_be_used_takes_its_expression_along(tmp_path: Path) -> None:
    coco(tmp_path)
    content = json.loads((tmp_path / "train.json").read_text())
    content["annotations"][1]["bbox"] = [90, 2, 10, 10]
    (tmp_path / "train.json").write_text(json.dumps(content))
    found, reader = read("coco_file", tmp_path, asked=ANY)
    assert [a.id for a in found] == ["1_3", "2_3", "3_3"]
    assert "its object 8" in dict(reader.problems)["1_4"]


# Folders


def mask(path: Path, values: np.ndarray, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    if palette:
        image.putpalette([k for value in range(256) for k in (value, 0, 255 - value)])
    image.save(path)


def values(**squares: int) -> np.ndarray:
    """A mask of 20 x 40 with squares of 10 x 10 pixels: left, middle, right."""
    found = np.zeros((20, 40), np.uint8)
    for place, value in squares.items():
        x = {"left": 2, "middle": 15, "right": 28}[place]
        found[5:15, x : x + 10] = value
    return found


def test_masks_beside_images_in_folders_of_their_classes(tmp_path: Path) -> None:
    for number, name in enumerate(("cat", "cat", "dog")):
        grey(tmp_path / f"train/{name}/{number}.jpg", (20, 40))
        mask(tmp_path / f"train/{name}/{number}.png", values(left=255))
    grey(tmp_path / "train/dog/9.jpg", (20, 40))
    found, reader = read("folder", tmp_path)
    assert [(a.expression, a.images[0]) for a in found] == [
        ("cat", "train/cat/0.jpg"), ("cat", "train/cat/1.jpg"), ("dog", "train/dog/2.jpg"),
    ]  # fmt: skip
    assert found[0].boxes == ((2.0, 5.0, 12.0, 15.0),) and found[0].sizes == ((20, 40),)
    drawn = decode_segmentation(found[0].segmentations[0], (20, 40))
    assert (drawn == (values(left=1) > 0)).all()
    assert reader.problems == [("train/dog/9.jpg", "it has no mask of the same stem")]
    groups, _ = read("folder", tmp_path, asked=GROUPS)
    assert [(a.extra["class"], len(a.images)) for a in groups] == [("cat", 2)]


@pytest.mark.parametrize("palette", [True, False])
def test_values_of_a_mask_are_objects_named_by_a_csv(tmp_path: Path, palette: bool) -> None:
    top = tmp_path / "train"
    for stem in "ab":
        grey(top / f"images/{stem}.png", (20, 40))
        shown = values(left=1, middle=2, right=255 if palette else 3)
        mask(top / f"masks/{stem}.png", shown, palette)
    (top / "names.csv").write_text("stem,expression,value\na,the left one,1\n*,the road,2\n*,,\n")
    own = {"images": "images", "masks": "masks", "names": "names.csv"}
    found, reader = read("folder", tmp_path, **own)
    assert [(a.images[0][-5:], a.expression) for a in found] == [
        ("a.png", "the left one"), ("a.png", "the road"), ("b.png", "the road"),
    ]  # fmt: skip
    assert found[0].boxes == ((2.0, 5.0, 12.0, 15.0),)
    assert [name for name, _ in reader.problems] == ["line 4"]
    (top / "names.csv").write_text("stem,expression\na,all of them\n")
    (both,), _ = read("folder", tmp_path, **own)
    assert both.expression == "all of them"
    drawn = decode_segmentation(both.segmentations[0], (20, 40))
    assert drawn.sum() == (200 if palette else 300), "255 of a palette is no object"
    (top / "names.csv").write_text("name,text\n")
    with pytest.raises(InputError, match=r"names\.csv cannot be used.*stem and expression"):
        read("folder", tmp_path, **own)


def test_several_objects_of_a_class_are_for_tasks_of_several(tmp_path: Path) -> None:
    grey(tmp_path / "train/cell/0.jpg", (20, 40))
    mask(tmp_path / "train/cell/0.png", values(left=1, right=2))
    (a,), _ = read("folder", tmp_path, asked=ANY)
    assert a.boxes == ((2.0, 5.0, 12.0, 15.0), (28.0, 5.0, 38.0, 15.0))
    with pytest.raises(InputError, match="grec and gres"):
        read("folder", tmp_path)
    (whole,), _ = read("folder", tmp_path, mask="whole")
    assert whole.boxes == ((2.0, 5.0, 38.0, 15.0),)


def test_a_mask_that_may_be_one_object_or_many_is_asked_about(tmp_path: Path) -> None:
    grey(tmp_path / "train/cell/0.jpg", (20, 40))
    many = np.repeat(np.arange(10, dtype=np.uint8)[None, :], 20, axis=0).repeat(4, axis=1)
    mask(tmp_path / "train/cell/0.png", many)
    found, reader = read("folder", tmp_path, asked=ANY)
    assert not found and "9 values: set own.mask to instances" in reader.problems[0][1]
    assert len(read("folder", tmp_path, asked=ANY, mask="instances")[0][0].boxes) == 9


def test_a_folder_without_an_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(InputError, match="train cannot be used: no image"):
        read("folder", tmp_path)
