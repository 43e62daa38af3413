"""Tar shards: members are read in place, and what is not plain and whole is refused in a sentence."""

import gzip
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.shards import pack
from vista import shards
from vista.data import InputError
from vista.images import ImageError, load_image
from vista.shards import is_file, names_in, opened, walk
from vista.tar import BLOCK, Member, members

FORMS = (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT)
FILES = [("b/2.txt", b"two"), ("a/1.txt", b"one" * 400), ("1.txt", b""), ("b/c/3.txt", b"three")]


def special(path: Path, kind: bytes, **fields: str) -> Path:
    """A shard of one sound file and a member of some kind."""
    pack(path, FILES[:1])
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("odd")
        info.type = kind
        for name, value in fields.items():
            setattr(info, name, value)
        archive.addfile(info)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as error:
        list(members(path))
    said = str(error.value)
    assert str(path) in said and "\n" not in said and said.count(". ") == 0
    return said


@pytest.mark.parametrize("form", FORMS)
def test_members_are_found_where_tarfile_finds_them(tmp_path, form):
    long = f"{'folder/' * 20}x.txt"  # too long for the header of the oldest form
    files = [*FILES, ("./ünï.txt", b"u"), *([] if form == FORMS[2] else [(long, b"long")])]
    path = pack(tmp_path / "a.tar", files, form)
    with tarfile.open(path) as archive:
        known = [Member(i.name.removeprefix("./"), i.offset_data, i.size) for i in archive]
    assert list(members(path)) == known and len(known) == len(files)
    for name, content in files:
        assert opened(path / name).read_bytes() == content


def test_names_lie_as_in_a_folder(tmp_path):
    """The same names in the same order, so that what is read from either comes in one order."""
    plain, shard = tmp_path / "plain", pack(tmp_path / "a.tar", FILES)
    for name, content in FILES:
        (plain / name).parent.mkdir(parents=True, exist_ok=True)
        (plain / name).write_bytes(content)
    for root in (plain, shard):
        found = [(folder.relative_to(root).as_posix(), names) for folder, names in walk(root)]
        assert found == [(".", ["1.txt"]), ("a", ["1.txt"]), ("b", ["2.txt"]), ("b/c", ["3.txt"])]
        assert {"2.txt"} <= set(names_in(root / "b")) <= {"2.txt", "c"}
        assert is_file(root / "b/2.txt") and not is_file(root / "b/4.txt")
        assert not is_file(root / "b") and names_in(root / "d") == []


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp", "webp"])
def test_an_image_in_a_shard_is_that_of_the_file(tmp_path, suffix):
    file = tmp_path / f"x.{suffix}"
    pixels = np.random.default_rng(0).integers(0, 255, (30, 40, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file)
    shard = pack(tmp_path / "a.tar", [(file.name, file.read_bytes()), ("broken.jpg", b"\xff\xd8")])
    assert np.array_equal(load_image(shard / file.name), load_image(file))
    with pytest.raises(ImageError, match=r"a\.tar/broken\.jpg is empty, damaged or no"):
        load_image(shard / "broken.jpg")
    with pytest.raises(ImageError, match=r"there is no missing\.jpg in the shard .*a\.tar"):
        load_image(shard / "missing.jpg")


@pytest.mark.parametrize(
    ("kind", "fields", "why"),
    [
        (tarfile.SYMTYPE, {"linkname": "/etc/hostname"}, "its member 'odd' is a link"),
        (tarfile.LNKTYPE, {"linkname": "b/2.txt"}, "its member 'odd' is a link"),
        (tarfile.FIFOTYPE, {}, "its member 'odd' is no plain file"),
        (tarfile.CHRTYPE, {}, "its member 'odd' is no plain file"),
        (tarfile.REGTYPE, {"name": "../odd"}, "the name of its member '../odd' leads out of it"),
        (tarfile.REGTYPE, {"name": "/odd"}, "the name of its member '/odd' leads out of it"),
        (tarfile.REGTYPE, {"name": "a\\odd"}, "leads out of it"),
        (tarfile.REGTYPE, {"name": "./b/2.txt"}, "its member 'b/2.txt' stands twice in it"),
        (
            tarfile.REGTYPE,
            {"pax_headers": {"GNU.sparse.major": "1"}},
            "its member 'odd' is no plain file",
        ),
    ],
)
def test_odd_members_are_refused(tmp_path, kind, fields, why):
    assert why in refusal(special(tmp_path / "a.tar", kind, **fields))


def test_shards_that_are_cut_or_damaged_are_refused(tmp_path):
    path = pack(tmp_path / "a.tar", FILES, tarfile.USTAR_FORMAT)
    whole, found = path.read_bytes(), list(members(path))
    end = found[-1].offset + BLOCK
    # In a content, at a header, and between two members, where `tarfile` takes it for the end.
    for length in (found[1].offset + 5, found[1].offset - BLOCK + 5, found[1].offset - BLOCK, end):
        path.write_bytes(whole[:length])
        assert "is cut short: it has no end; download or copy it again" in refusal(path)
    place = found[2].offset - BLOCK
    path.write_bytes(whole[:place] + b"x" + whole[place + 1 :])
    assert f"it is damaged at byte {place}" in refusal(path)
    with tarfile.open(path) as archive:
        assert len(archive.getnames()) == 2, "the rest of them is lost without a word"


def test_what_is_no_archive_says_what_it_is(tmp_path):
    path = pack(tmp_path / "a.tar", FILES)
    packed = gzip.compress(path.read_bytes())
    for content, why in (
        (packed, "is no tar archive: it looks like a gzip archive; unpack it"),
        (b"", "is no tar archive: it looks like an empty file"),
        (b"<html>" * 200, "is no tar archive: it looks like a web page"),
    ):
        path.write_bytes(content)
        assert why in refusal(path)


def test_sizes_are_not_believed(tmp_path, monkeypatch):
    path = pack(tmp_path / "a.tar", FILES)
    monkeypatch.setattr(shards, "LARGEST", 1000)
    with pytest.raises(InputError, match="has 1200 bytes, more than 1000"):
        opened(path / "a/1.txt")
    for size in ("-1", "9" * 30, "x"):
        fields = {"pax_headers": {"size": size}}
        odd = special(tmp_path / "odd.tar", tarfile.REGTYPE, **fields)
        assert "a member of it has" in refusal(odd)
    long = pack(tmp_path / "long.tar", [("x" * 70_000, b"")])
    assert "a name in it has" in refusal(long)


def test_the_index_is_kept_and_made_anew_for_another_shard(tmp_path, monkeypatch):
    path = pack(tmp_path / "a.tar", FILES)
    assert is_file(path / "b/2.txt") and (tmp_path / "a.tar.index").is_file()
    shards._made_once.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(shards, "members", lambda _: pytest.fail("it is there"))
        assert opened(path / "b/2.txt").read_bytes() == b"two"
    pack(path, [("b/5.txt", b"five")])
    os.utime(path, ns=(1, 1))
    assert not is_file(path / "b/2.txt") and opened(path / "b/5.txt").read_bytes() == b"five"
    (tmp_path / "a.tar.index").write_bytes(b"nonsense")
    shards._made_once.cache_clear()
    assert opened(path / "b/5.txt").read_bytes() == b"five"


def test_where_nothing_can_be_written_the_index_stays_in_memory(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shards, "_keep", fail)
    path = pack(tmp_path / "a.tar", FILES)
    assert is_file(path / "b/2.txt") and [file.name for file in tmp_path.iterdir()] == ["a.tar"]
