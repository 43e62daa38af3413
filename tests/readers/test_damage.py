"""Every reader on damaged and wrong files: a sentence that names the file and what it looks like, never a traceback."""

import copy
import json
import pickle
import shutil
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datamodules.readers import READERS
from datamodules.readers.files import json_items
from datamodules.readers.official import load as read_official
from datamodules.readers.plain_pickle import RefusedPickleError
from datamodules.readers.reader import Reader
from datamodules.readers.records import FORMATS, known_format, misfit
from vista import geometry
from vista.damage import looks_like, read_json
from vista.data import InputError, annotation_to_json

FORMATS_ROOT = Path(__file__).parents[1] / "formats"
VOC = "voc/VOCdevkit/VOC2012"
# (reader, split) that together read every kind of official file
SPLITS = {name: [reader.splits[0]] for name, reader in READERS.items()}
SPLITS["coco"] = ["train2017", "karpathy_test"]
SPLITS["visual_genome"] = ["val"]
SPLITS["llava_instruct"] = ["train", "bench"]
SPLITS["coseg_groups"] = ["train2017", "voc2012_train"]
CASES = [(name, split) for name, splits in SPLITS.items() for split in splits]


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root that every reader can read."""
    root = tmp_path_factory.mktemp("sound")
    shutil.copytree(FORMATS_ROOT, root, dirs_exist_ok=True)
    white = np.zeros((20, 30), dtype=np.uint8)
    white[2:9, 3:20] = 255
    for k in range(3):
        save(root / f"coseg/PASCAL/Cow/{k}.png", np.full((20, 30, 3), 40 * k, dtype=np.uint8))
        save(root / f"coseg/PASCAL/Cow/GroundTruth/{k}.png", white)
        save(root / f"{VOC}/JPEGImages/v{k}.jpg", np.full((20, 30, 3), 250 - k, dtype=np.uint8))
        save(root / f"{VOC}/SegmentationClass/v{k}.png", np.minimum(white, 12))
    lists = root / f"{VOC}/ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("v0\nv1\nv2\n")
    (root / "held_out.txt").write_text("2007_000032\n")
    attributes = [
        {"image_id": 2, "attributes": [{"names": ["cup"], "x": 1, "y": 1, "w": 9, "h": 9}]}
    ]
    (root / "visual_genome/attributes.json").write_text(json.dumps(attributes))
    for name, table in groupwise().items():
        file = root / f"groupwise_res/{name}.pkl"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(pickle.dumps(table))
    write_own(root, white)
    return root


def write_own(root: Path, mask: np.ndarray) -> None:
    """Own data: an image with its mask, in COCO's form, in a folder, and in ms-swift's form."""
    for k in range(3):
        save(root / f"train/cup/{k}.bmp", np.full((20, 30, 3), 40 * k, dtype=np.uint8))
        save(root / f"train/cup/{k}.png", mask)
    images = [{"id": k, "file_name": f"{k}.bmp", "height": 20, "width": 30} for k in range(3)]
    objects = [
        {
            "id": 7 + k, "image_id": k, "category_id": 3, "bbox": [3, 2, 17, 7], "iscrowd": 0,
            "segmentation": [[3, 2, 20, 2, 20, 9, 3, 9]],
        }
        for k in range(3)
    ]  # fmt: skip
    content = {
        "images": images, "annotations": objects, "categories": [{"id": 3, "name": "cup"}],
    }  # fmt: skip
    (root / "train.json").write_text(json.dumps(content))
    records = [
        {
            "messages": [
                {"role": "user", "content": "<image>Find the <ref-object>"},
                {"role": "assistant", "content": "<bbox>"},
            ],
            "images": [f"train/cup/{k}.bmp"],
            "objects": {"ref": ["cup"], "bbox": [[3, 2, 20, 9]], "bbox_type": "real"},
        }
        for k in range(3)
    ]
    (root / "train.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in records))


def groupwise() -> dict[str, dict[int, Any]]:
    """Three images, two of which show a cup."""
    images = {k: {"id": k, "file_name": f"g/{k}.jpg", "height": 20, "width": 30} for k in range(3)}
    box = {"size": [20, 30], "counts": [0, 60, 540]}
    annotations = {10 + k: {"id": 10 + k, "image_id": k, "segmentation": box} for k in range(2)}
    sentence = {"id": 5, "anno_id": [10, 11], "raw_sent": "a red cup"}
    group = {"id": 0, "inner_sent_id": [5], "img_id": [0, 1, 2], "group_name": "cups"}
    return {
        "images": images, "annotations": annotations, "sentences": {5: sentence}, "groups": {0: group},
    }  # fmt: skip


@pytest.fixture(scope="module")
def root(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of it, to damage one file after the other."""
    copied = tmp_path_factory.mktemp("damaged") / "root"
    shutil.copytree(sound, copied)
    return copied


def official_files(name: str, split: str, root: Path) -> list[Path]:
    """The files that a reader reads, below the root: not pictures, whose names alone matter, but masks."""
    reader = READERS[name](root, split)
    # Pairs of attcoseg_coco need more images than there are.
    assert list(reader) or name == "attcoseg_coco", "the sound files give annotations"
    assert not [why for _, why in reader.problems if "looks like" in why]
    files = [Path(path).relative_to(root) for path in reader.watched if Path(path).is_file()]
    if name == "coseg_groups" and split.startswith("voc"):
        files += [Path(f"{VOC}/SegmentationClass/v{k}.png") for k in range(3)]
    pictures = (".jpg", ".png", ".bmp")
    masks = ("GroundTruth", "SegmentationClass", "train")  # of `folder`, beside its images
    return [f for f in files if f.suffix not in pictures or any(m in f.parts for m in masks)]


def outcome(reader: Reader) -> str:
    """What a reader says of what it cannot read: its error, else its notes."""
    try:
        for _ in reader:
            pass
    except InputError as error:
        assert "\n" not in str(error)
        return str(error)
    return "; ".join(why for _, why in reader.problems)


def zipped(content: bytes) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("file", content)
    return stream.getvalue()


def cut(content: bytes) -> bytes:
    """Two thirds of a file, so that it ends within a word or a number."""
    end = 2 * len(content) // 3
    while not content[end - 1 : end].isalnum():
        end -= 1
    return content[:end]


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>...</body></html>\n"
# kind of damage -> the content, made of the sound one, and words that the sentence must have
ANY = {
    "pointer": (lambda _: POINTER, "a Git LFS pointer"),
    "page": (lambda _: PAGE, "a web page"),
    "empty": (lambda _: b"", "an empty file"),
    "zip": (zipped, "a zip archive"),
    "zeros": (lambda content: bytes(len(content)), "a file of zeros"),
}
QUESTIONS = {"questions": [{"question_id": 1, "image_id": 2, "question": "Why?"}]}
INSTANCES = {"annotations": [{"id": 1, "bbox": [1, 2, 3, 4], "segmentation": []}]}


@pytest.mark.parametrize(("name", "split"), CASES)
def test_a_damaged_file_is_named_with_what_it_looks_like(name: str, split: str, root: Path) -> None:
    files = official_files(name, split, root)
    assert files
    for file in files:
        content = (root / file).read_bytes()
        kinds = dict(ANY)
        if file.suffix in (".json", ".jsonl", ".p", ".pkl", ".xml"):
            kinds["cut"] = (cut, "cut short")
        if file == Path("held_out.txt"):
            del kinds["empty"]  # nothing is held out
        for kind, (damage, words) in kinds.items():
            (root / file).write_bytes(damage(content))
            said = outcome(READERS[name](root, split))
            assert file.name in said and words in said, (file, kind, said)
        (root / file).write_bytes(content)


@pytest.mark.parametrize(("name", "split"), CASES)
def test_a_sound_file_of_another_layout_is_named(name: str, split: str, root: Path) -> None:
    """JSON lines where one document should be, one document where lines should be, another data set's file."""
    for file in official_files(name, split, root):
        content = (root / file).read_bytes()
        if file.suffix == ".txt" or file.suffix == ".png":
            continue
        others: dict[str, tuple[bytes, str]] = {}
        is_lines = content.count(b"\n{") > 0 or file.suffix == ".jsonl" or name in ("nlvr2", "pope")
        if is_lines:
            others["document"] = (b'[{"a": 1},\n {"a": 2}]\n', "one JSON list")
            others["another"] = (
                b'{"question": "x", "answer": "no"}\n' * 2,
                "answers of a model to POPE",
            )
        elif file.suffix == ".json":
            others["lines"] = (b'{"a": 1}\n{"a": 2}\n', "JSON lines, one record a line")
            another, words = (
                (INSTANCES, "COCO instances")
                if name == "vqav2"
                else (QUESTIONS, "questions of VQA")
            )
            others["another"] = (json.dumps(another).encode(), words)
        elif file.suffix in (".p", ".pkl"):
            others["json"] = (b'[{"a": 1}]', "looks like JSON")
            others["another"] = (pickle.dumps(QUESTIONS), "questions of VQA")
        else:
            others["json"] = (b'{"a": 1}', "looks like JSON")
        for kind, (wrong, words) in others.items():
            (root / file).write_bytes(wrong)
            said = outcome(READERS[name](root, split))
            assert file.name in said, (file, kind, said)
            # A still's own file is left out by what it lacks; a long list is not read to its end to be known.
            known = (words, "has no 'boxes'", "it looks like one JSON document")
            assert any(each in said for each in known), (file, kind, said)
        (root / file).write_bytes(content)


class Careful:
    """Stands for pycocotools: what it is given is looked at once more, nothing is drawn."""

    def frPyObjects(self, regions: Any, height: int, width: int) -> Any:
        assert type(height) is int and type(width) is int and 0 < height < 99 and 0 < width < 99
        if isinstance(regions, dict):
            assert sum(regions["counts"]) == height * width and min(regions["counts"]) >= 0
            return regions
        numbers = [value for polygon in regions for value in polygon]
        assert {type(value) for value in numbers} <= {int, float}
        assert numbers and max(map(abs, numbers)) < 999
        assert all(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in regions)
        return regions

    def area(self, regions: list[Any]) -> np.ndarray:
        return np.ones(len(regions))

    def merge(self, regions: list[Any]) -> dict[str, bytes]:
        return {"counts": b"0"}


def places(value: Any, place: tuple = ()) -> Iterator[tuple]:
    """Every place in a JSON value; of a long list the first and the last item only."""
    if place:
        yield place
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*place, key))
    elif isinstance(value, list) and value:
        for k in sorted({0, len(value) - 1}):
            yield from places(value[k], (*place, k))


def changed(value: Any, place: tuple, *new: Any) -> Any:
    """The value with another one at a place, or none."""
    value = copy.deepcopy(value)
    inner = value
    for key in place[:-1]:
        inner = inner[key]
    if new:
        inner[place[-1]] = new[0]
    else:
        del inner[place[-1]]
    return value


def load(file: Path) -> tuple[Any, Any]:
    """The content of a JSON file, JSON lines or a pickle, and what writes it; None where it is none of them."""
    if file.suffix in (".p", ".pkl"):
        return read_official(file), pickle.dumps
    if file.suffix not in (".json", ".jsonl"):
        return None, None
    try:
        return json.loads(file.read_text()), lambda content: json.dumps(content).encode()
    except ValueError:
        lines = [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
        return lines, lambda content: "\n".join(map(json.dumps, content)).encode()


@pytest.mark.parametrize(("name", "split"), CASES)
def test_a_record_without_a_key_or_with_another_value_is_told_or_left_out(
    name: str, split: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every record and key: nothing but a sentence or a note, and the libraries see what is sound."""
    monkeypatch.setattr(geometry, "coco_mask", Careful())
    values = [None, "x", [], {}, True, 3.5]
    for file in official_files(name, split, root):
        content, dump = load(root / file)
        original = (root / file).read_bytes()
        for k, place in enumerate(places(content) if content else ()):
            for wrong in (changed(content, place), changed(content, place, values[k % 6])):
                (root / file).write_bytes(dump(wrong))
                try:
                    for annotation in READERS[name](root, split):
                        annotation_to_json(annotation)
                except InputError as error:
                    assert file.name in str(error) or "data root" in str(error), (place, error)
        (root / file).write_bytes(original)


def test_a_record_that_lacks_a_key_is_left_out_with_file_record_and_key(tmp_path: Path) -> None:
    file = tmp_path / "coco/annotations/captions_val2017.json"
    file.parent.mkdir(parents=True)
    data = json.loads((FORMATS_ROOT / "coco/annotations/captions_val2017.json").read_text())
    first, last = data["annotations"][0], data["annotations"][-1]
    data["annotations"] += [
        {"id": 88, "image_id": first["image_id"]},
        last | {"id": 89, "caption": 5},
    ]
    file.write_text(json.dumps(data))
    reader = READERS["coco"](tmp_path, "val2017")
    sound = READERS["coco"](FORMATS_ROOT, "val2017")
    assert list(reader) == list(sound)
    number = len(data["annotations"])
    assert reader.problems[-2:] == [
        ("88", f"annotation {number - 1} of {file.name} has no 'caption', only 'id', 'image_id'"),
        ("89", f"annotation {number} of {file.name} has 5 as its 'caption'"),
    ]


def test_a_file_in_which_no_record_fits_is_another_file(tmp_path: Path) -> None:
    file = tmp_path / "coco/annotations/captions_val2017.json"
    file.parent.mkdir(parents=True)
    shutil.copy(FORMATS_ROOT / "coco/annotations/instances_val2017.json", file)
    with pytest.raises(InputError) as error:
        list(READERS["coco"](tmp_path, "val2017"))
    assert str(error.value).startswith(
        f"coco (val2017): {file} is another file: its first annotation has no 'caption'"
    )
    assert "looks like COCO instances" in str(error.value)
    assert "put the official file of coco in its place, see https://cocodataset.org" in str(
        error.value
    )


def test_a_folder_in_the_place_of_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "coco/annotations/captions_val2017.json").mkdir(parents=True)
    (tmp_path / "nlvr2/dev.json").mkdir(parents=True)
    for name, split in (("coco", "val2017"), ("nlvr2", "dev")):
        with pytest.raises(InputError, match="Is a directory"):
            list(READERS[name](tmp_path, split))


def test_known_formats_are_known() -> None:
    for path, name in (
        ("coco/annotations/instances_val2017.json", "COCO instances"),
        ("coco/dataset_coco.json", "Karpathy's split of captions"),
        ("vqav2/v2_mscoco_val2014_annotations.json", "annotations of VQA"),
        ("grefcoco/grefs(unc).json", "expressions of RefCOCO or gRefCOCO"),
        ("llava_instruct/llava_instruct_150k.json", "conversations of LLaVA"),
        ("visual7w/dataset_v7w_telling.json", "questions of Visual7W"),
        ("textvqa/TextVQA_0.5.1_val.json", "questions of TextVQA"),
        ("visual_genome/region_descriptions.json", "regions of Visual Genome"),
        ("visual_genome/image_data.json", "the images of Visual Genome"),
        ("iconqa/iconqa_data/problems.json", "problems of IconQA"),
        ("pointingqa/LookTwiceQA/looktwiceqa_dataset.json", "PointingQA"),
    ):
        assert known_format(json.loads((FORMATS_ROOT / path).read_text())) == name
        assert name in FORMATS
    for nothing in ({}, [], None, 3, "x", {"a": 1}, [1, 2], {"annotations": {}}):
        assert known_format(nothing) == ""


@pytest.mark.parametrize(
    ("value", "form", "words"),
    [
        ({"a": 1}, {"a": int}, ""),
        ({"a": 1}, {"a": str | int, "b": str | None}, ""),
        ({"a": True}, {"a": int}, "has True as its 'a'"),
        ({"a": True}, {"a": bool | None}, ""),
        ({"a": None}, {"a": object}, "has no 'a'"),
        ({"b": 1}, {"a": object}, "has no 'a', only 'b'"),
        ({"a": [1, "x"]}, {"a": [int]}, "has 'a', of which one is 'x'"),
        ({"a": [{"b": 1}]}, {"a": [{"c": int}]}, "has 'a', of which one has no 'c', only 'b'"),
        ({"a": {"b": 1}}, {"a": {"b": str}}, "has 'a', which has 1 as its 'b'"),
        ({"a": [1]}, {"a": (int, [int])}, ""),
        ({"a": "1"}, {"a": (int, [int])}, "has '1' as its 'a'"),
        ({}, {"a": (type(None), [int])}, ""),
        ([1], {"a": int}, "is [1], no record"),
        ({"a": 1}, [int], "is {'a': 1}, no list"),
    ],
)
def test_forms_of_records(value: object, form: object, words: str) -> None:
    assert misfit(value, form) == words


@pytest.mark.parametrize(
    ("content", "wanted", "words"),
    [
        (b"404: Not Found", "JSON", "a text that begins with '404: Not Found'"),
        (
            b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
            "JSON",
            "a server's message",
        ),
        (b"\x1f\x8b\x08\x00abc", "pickle", "a gzip archive"),
        (b"../../.git/annex/objects/x/y", "JSON", "a git-annex pointer"),
        (b"<!-- saved from -->\n<HTML>", "XML", "a web page"),
        (b"\x80\x04]", "JSON", "a pickle"),
        (b"\x89PNG\r\n", "JSON", "a PNG image"),
        (b"\x89PNG\r\n", "image", ""),
        (b'{"a": [1, 2', "JSON", "cut short"),
        (b'[{"a": 1}, {"a": ', "JSON list", "cut short"),
        (b'{"a": 1}\n{"a": 2}\n{"a": ', "JSON lines", "cut short"),
        (b'{"a": 1, }', "JSON", ""),
        (b"\xff\xfe{", "text", ""),
        (b"a plain list\n", "text", ""),
    ],
)
def test_what_a_file_looks_like(tmp_path: Path, content: bytes, wanted: str, words: str) -> None:
    (tmp_path / "x").write_bytes(content)
    found = looks_like(tmp_path / "x", wanted)
    assert words in found and bool(words) is bool(found)


def test_json_of_another_encoding_and_of_brackets_without_end(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes('[{"a": "é"}]'.encode("utf-8-sig"))
    assert read_json(file) == list(json_items(file)) == [{"a": "é"}]
    file.write_bytes(b'["\xe9"]')
    with pytest.raises(InputError, match=r"x\.json is no JSON"):
        read_json(file)
    with pytest.raises(InputError, match=r"x\.json is no JSON list"):
        list(json_items(file))


def test_a_pickle_that_asks_for_more_than_containers_is_still_refused_as_such(
    tmp_path: Path,
) -> None:
    (tmp_path / "x.p").write_bytes(b"cfractions\nFraction\n.")
    with pytest.raises(
        RefusedPickleError, match=r"x\.p was refused: it asks for fractions\.Fraction"
    ):
        read_official(tmp_path / "x.p")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no pickle: it looks like an empty file"),
        (pickle.dumps([]), "is another file: it holds nothing"),
        (pickle.dumps({}), "is another file: it holds nothing"),
        (pickle.dumps(None), "is another file: it holds nothing"),
        (b"cfractions\nFraction\n.", "was refused: it asks for fractions.Fraction"),
    ],
)
@pytest.mark.parametrize("name", ["refcoco", "refcocog"])
def test_refs_that_are_empty_or_refused_are_named(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    shutil.copytree(FORMATS_ROOT / f"refer/{name}", tmp_path / f"refer/{name}")
    (file,) = (tmp_path / f"refer/{name}").glob("refs*.p")
    file.write_bytes(content)
    with pytest.raises(InputError) as error:
        list(READERS[name](tmp_path, "train"))
    assert f"{file} {words}" in str(error.value) and "github.com/lichengunc/refer" in str(
        error.value
    )


def test_official_files_that_hold_nothing_are_named(tmp_path: Path) -> None:
    for name, split, path in (
        ("grefcoco", "train", "grefcoco/grefs(unc).json"),
        ("visual_genome", "all", "visual_genome/region_descriptions.json"),
        ("llava_instruct", "train", "llava_instruct/llava_instruct_150k.json"),
        ("iconqa", "train", "iconqa/iconqa_data/problems.json"),
    ):
        shutil.copytree(FORMATS_ROOT, tmp_path / name)
        for empty in ("[]", " [ ]\n"):
            (tmp_path / name / path).write_text(empty)
            with pytest.raises(InputError, match="it holds nothing") as error:
                list(READERS[name](tmp_path / name, split))
            assert str(tmp_path / name / path) in str(error.value)


NESTED = "[" * 2000 + "]" * 2000  # deeper than Python's own reader of JSON goes


@pytest.mark.parametrize(
    ("name", "split", "path"),
    [
        ("refcoco", "train", "refer/refcoco/instances.json"),
        ("visual_genome", "all", "visual_genome/region_descriptions.json"),
        ("nlvr2", "dev", "nlvr2/dev.json"),
        ("hateful_memes", "train", "hateful_memes/train.jsonl"),
    ],
)
def test_nested_without_end_is_said_of_the_file(
    tmp_path: Path, name: str, split: str, path: str
) -> None:
    shutil.copytree(FORMATS_ROOT, tmp_path / name)
    file = tmp_path / name / path
    content = file.read_text()
    start = content.index("{") + 1
    file.write_text(f'{content[:start]}"more": {NESTED}, {content[start:]}')
    with pytest.raises(InputError) as error:
        list(READERS[name](tmp_path / name, split))
    assert f"{file} is no JSON" in str(error.value) and "recursion" in str(error.value)
    assert "looks like" not in str(error.value) and len(str(error.value)) < 500


def test_a_value_in_a_note_is_cut(tmp_path: Path) -> None:
    shutil.copytree(FORMATS_ROOT / "nlvr2", tmp_path / "nlvr2")
    file = tmp_path / "nlvr2/dev.json"
    first, *others = file.read_text().splitlines()
    record = json.loads(first) | {"label": "long" * 500}
    file.write_text("\n".join([json.dumps(record), *others]))
    reader = READERS["nlvr2"](tmp_path, "dev")
    list(reader)
    assert [len(why) < 150 for _, why in reader.problems] == [True]
