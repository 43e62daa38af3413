"""Own data in tar shards: found as in files, and what cannot be used is said."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.readers.remote import expand
from tests.own_data import plain, record, scaled, write_jsonl
from tests.readers.test_own import ANY, GROUPS, read
from tests.shards import pack, pack_folder
from vista.data import InputError
from vista.shards import is_file

SIZE = (48, 64)


class Quiet(SimpleHTTPRequestHandler):
    """A server that answers from a folder, and says nothing."""

    def log_message(self, *_: object) -> None:
        pass

    def send_header(self, keyword: str, value: str) -> None:
        is_cut = "broken" in self.path and keyword == "Content-Length"
        super().send_header(keyword, "999999" if is_cut else value)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a folder `served`."""
    (tmp_path / "served").mkdir()
    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()


def without_places(annotations: list) -> list:
    """Annotations but for where their images lie."""
    return [replace(a, images=(), photos=(), extra={}) for a in annotations]


def masks(folder: Path) -> None:
    """Images beside masks, in sub-folders."""
    for k, name in enumerate(["cat", "dog/small", "cat", "ant"]):
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        mask = np.zeros(SIZE, np.uint8)
        mask[5 : 20 + k, 5:30] = 255
        Image.fromarray(mask).save(place / f"{k}.png")
        Image.fromarray(mask).convert("RGB").save(place / f"{k}.jpg")


def test_images_in_shards_are_found_by_their_names(tmp_path):
    given = plain(50, SIZE, tmp_path)
    write_jsonl(tmp_path / "train.jsonl", "ms-swift", given, "pixels")
    files, _ = read("jsonl", tmp_path)
    pack_folder(tmp_path / "photos", tmp_path / "packed/photos", 3)
    path = tmp_path / "train.jsonl"
    path.write_text(path.read_text().replace("photos/", "./"))
    found, reader = read("jsonl", tmp_path, images="packed/photos-{000000..000002}.tar")
    assert without_places(found) == without_places(files) and not reader.problems
    assert {a.images[0] for a in found} == {
        f"packed/photos-{k % 3:06}.tar/{name}"
        for k, name in enumerate(sorted(f"{n}.png" for n in range(50)))
    }
    for a in found:
        assert is_file(tmp_path / a.images[0]) and a.photos[0][0].endswith(a.images[0])


def test_records_lie_beside_their_images(tmp_path):
    """Webdataset's layout: a sample is the files of one name, whatever its record calls the image."""
    given = plain(12, SIZE, tmp_path)
    write_jsonl(tmp_path / "files.jsonl", "ms-swift", given, "pixels")
    files, _ = read("jsonl", tmp_path, files={"train": "files.jsonl"})
    contents = []
    for k, a in enumerate(given):
        line = record(
            "ms-swift", replace(a, images=("elsewhere.jpg",)), scaled(a.boxes[0], SIZE, "pixels")
        )
        contents += [(f"{k:03}.json", json.dumps(line).encode())]
        contents += [(f"{k:03}.png", (tmp_path / a.images[0]).read_bytes())]
    pack(tmp_path / "s-0.tar", contents[:10])
    pack(tmp_path / "s-1.tar", [*contents[10:], ("alone.json", b"{}")])
    found, reader = read("jsonl", tmp_path, files={"train": "s-{0..1}.tar"})
    assert without_places(found) == without_places(files)
    assert [a.images[0] for a in found] == [f"s-{k // 5 and 1}.tar/{k:03}.png" for k in range(12)]
    assert reader.problems == [("s-1.tar/alone.json", "no image of the same name lies beside it")]
    pack(tmp_path / "s-0.tar", [("1.png", b""), ("1.json", b"{")])
    with pytest.raises(InputError, match=r"s-0\.tar/1\.json is no JSON"):
        read("jsonl", tmp_path, files={"train": "s-{0..1}.tar"})


@pytest.mark.parametrize("asked", [ANY, GROUPS])
def test_a_folder_of_masks_may_be_a_shard(tmp_path, asked):
    masks(tmp_path / "train")
    files, plain_reader = read("folder", tmp_path, asked=asked)
    pack(
        tmp_path / "packed.tar",
        [
            (path.relative_to(tmp_path / "train").as_posix(), path.read_bytes())
            for path in sorted((tmp_path / "train").rglob("*"), reverse=True)
            if path.is_file()
        ],
    )
    found, reader = read("folder", tmp_path, asked=asked, files={"train": "packed.tar"})
    as_files = [
        replace(
            a,
            id=a.id.replace("packed.tar", "train"),
            images=tuple(image.replace("packed.tar", "train") for image in a.images),
            photos=tuple(tuple(n.replace("packed.tar", "train") for n in names) for names in a.photos),
        )
        for a in found
    ]  # fmt: skip
    assert as_files == files and reader.problems == plain_reader.problems


def test_a_table_of_names_lies_beside_the_shards(tmp_path):
    masks(tmp_path / "train")
    for k, shard in enumerate(pack_folder(tmp_path / "train", tmp_path / "s", 1)):
        assert shard.name == f"s-{k:06}.tar"
    (tmp_path / "names.csv").write_text("stem,expression\n0,a cat\n1,a dog\n2,two\n3,an ant\n")
    found, _ = read(
        "folder", tmp_path, asked=ANY, files={"train": "s-000000.tar"}, names="names.csv"
    )
    assert {a.expression for a in found} == {"a cat", "a dog", "two", "an ant"}


def test_images_of_a_coco_file_may_lie_in_shards(tmp_path):
    annotations = plain(6, SIZE, tmp_path)
    content = {
        "images": [
            {"id": k, "file_name": f"{k}.png", "height": SIZE[0], "width": SIZE[1]}
            for k in range(6)
        ],
        "annotations": [
            {"id": k, "image_id": k, "category_id": 1, "bbox": [1, 2, 10, 20],
             "segmentation": [[1, 2, 11, 2, 11, 22, 1, 22]]}
            for k in range(6)
        ],
        "categories": [{"id": 1, "name": "thing"}],
    }  # fmt: skip
    (tmp_path / "train.json").write_text(json.dumps(content))
    files, _ = read("coco_file", tmp_path, images="photos")
    pack_folder(tmp_path / "photos", tmp_path / "p", 2)
    found, _ = read("coco_file", tmp_path, images="p-{000000..000001}.tar")
    assert without_places(found) == without_places(files) and len(found) == len(annotations)
    with pytest.raises(
        InputError, match=r"own\.files names 2 files, and a split of coco_file is one"
    ):
        (tmp_path / "train1.json").write_text("{}")
        (tmp_path / "train2.json").write_text("{}")
        read("coco_file", tmp_path, files={"train": "train{1..2}.json"})


def test_two_images_of_one_name_are_refused(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", "ms-swift", plain(3, SIZE, tmp_path), "pixels")
    for k in range(2):
        pack(tmp_path / f"p-{k}.tar", [("photos/0.png", b"")])
    with pytest.raises(InputError) as error:
        read("jsonl", tmp_path, images="p-{0..1}.tar")
    assert "p-0.tar/photos/0.png and p-1.tar/photos/0.png have one name" in str(error.value)


def test_shards_behind_addresses_are_copied_once(tmp_path, server):
    given = plain(50, SIZE, tmp_path)
    write_jsonl(tmp_path / "train.jsonl", "ms-swift", given, "pixels")
    files, _ = read("jsonl", tmp_path)
    (tmp_path / "train.jsonl").write_text(
        (tmp_path / "train.jsonl").read_text().replace("photos/", "")
    )
    pack_folder(tmp_path / "photos", tmp_path / "served/sub/p", 2)
    images = f"{server}/sub/p-{{000000..000001}}.tar"
    found, _ = read("jsonl", tmp_path, images=images)
    assert without_places(found) == without_places(files)
    assert {a.images[0].rpartition("/")[0] for a in found} == {
        f"fetched/127.0.0.1/sub/p-00000{k}.tar" for k in range(2)
    }
    for shard in (tmp_path / "served/sub").glob("*.tar"):
        shard.unlink()
    again, _ = read("jsonl", tmp_path, images=images)
    assert again == found, "the copies are there"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing.tar", "answers 404"),
        ("broken.tar", "broke off after 10240 of 999999 bytes"),
        ("page.tar", "it looks like a web page"),
        ("photos", "is no shard; addresses end in .tar"),
        ("../a.tar", "leads out of the data root"),
    ],
)
def test_what_does_not_come_whole_is_not_kept(tmp_path, server, name, why):
    write_jsonl(tmp_path / "train.jsonl", "ms-swift", plain(3, SIZE, tmp_path), "pixels")
    pack(tmp_path / "served/broken.tar", [("1.png", b"")])
    (tmp_path / "served/page.tar").write_text("<html>log in</html>" * 100)
    address = server.replace("http://", "http://me:secret@") if name == "photos" else server
    with pytest.raises(InputError) as error:
        read("jsonl", tmp_path, images=f"{address}/{name}")
    assert why in str(error.value) and "secret" not in str(error.value)
    assert not [path for path in (tmp_path / "fetched").rglob("*") if path.is_file()]


def test_an_address_out_of_reach_is_named(tmp_path):
    write_jsonl(tmp_path / "train.jsonl", "ms-swift", plain(3, SIZE, tmp_path), "pixels")
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1/a\.tar cannot be had \("):
        read("jsonl", tmp_path, images="http://127.0.0.1:9/a.tar")


def test_ranges():
    assert expand("a.tar") == ["a.tar"]
    assert expand("a-{08..10}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert expand("{0..1}/{1..2}.tar") == ["0/1.tar", "0/2.tar", "1/1.tar", "1/2.tar"]
    for wrong in ("a{3..2}", "a{0..99999999}", "{0..9999}{0..9999}", f"a{{0..{'9' * 5000}}}"):
        with pytest.raises(InputError, match=r"no number|more than"):
            expand(wrong)
