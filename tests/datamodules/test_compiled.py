"""Compiled annotations: the same as the reader's, read once, read anew when a file changes."""

import errno
import os
import pickle
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.by_image import group_by_image, scenes, select
from datamodules.compiled import Annotations, compiled, decode
from datamodules.leakage import Tested, find_leaks
from datamodules.mixture import MixtureData
from datamodules.pictures import pictures
from datamodules.readers import READERS, Reader
from datamodules.readers.own import OwnReader
from datamodules.source import Source
from datamodules.splits import Splits, code_of
from datamodules.synthetic.world import write_world
from tasks import Task
from tests.tiny import read_split, tokenizer
from vista.app.plugins import load_plugin
from vista.codec.codec import Codec
from vista.data import (
    Annotation,
    InputError,
    SampleError,
    Turns,
    annotation_from_json,
    annotation_to_json,
)

NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False))
TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too, as JSON files may hold
PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)
ANNOTATIONS = st.builds(
    Annotation,
    id=TEXT,
    images=st.lists(TEXT, max_size=3).map(tuple),
    sizes=st.lists(st.tuples(st.integers(), st.integers()), max_size=3).map(tuple),
    expression=TEXT,
    question=TEXT,
    answers=st.lists(TEXT, max_size=3).map(tuple),
    captions=st.lists(TEXT, max_size=3).map(tuple),
    boxes=st.lists(st.tuples(*[st.floats(allow_nan=False)] * 4), max_size=3).map(tuple),
    segmentations=st.lists(PLAIN, max_size=3).map(tuple),
    label=TEXT,
    extra=st.dictionaries(TEXT, PLAIN, max_size=3),
    photos=st.lists(st.lists(TEXT, max_size=2).map(tuple), max_size=2).map(tuple),
)


class Lines(Reader):
    """One question a line of `<split>.txt`, or of `<split>_new.txt` where there is one; `-` is no question."""

    name = "lines"
    fields = frozenset({"question"})
    splits = ("train", "val")
    passes = 0

    def _annotations(self) -> Iterator[Annotation]:
        Lines.passes += 1
        for k, line in enumerate(
            self.file(f"{self.split}_new.txt", f"{self.split}.txt").read_text().split()
        ):
            if line == "-":
                self.leave_out(k, "it is no question")
            else:
                yield Annotation(id=str(k), images=(f"{k // 2}.png",), question=line)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root of 200 lines about 100 images."""
    monkeypatch.setitem(READERS, "lines", Lines)
    monkeypatch.setattr(Lines, "passes", 0)
    (tmp_path / "train.txt").write_text("\n".join(f"line{k}" for k in range(200)))
    for k in range(100):
        (tmp_path / f"{k}.png").touch()
    return tmp_path


def read(root: Path, **settings: Any) -> Annotations:
    return read_split("lines", root, "train", root / "compiled", **settings)


def compiled_file(root: Path) -> Path:
    (file,) = (root / "compiled").iterdir()  # nothing half-written is left
    return file


@given(ANNOTATIONS)
@settings(max_examples=200)
def test_json_keeps_an_annotation(annotation: Annotation) -> None:
    text = annotation_to_json(annotation)
    assert annotation_from_json(text) == annotation and text.isascii()
    assert repr(annotation_from_json(text)) == repr(annotation)  # 1 stays 1 and 1.0 stays 1.0


@pytest.mark.parametrize("value", [(1, 2), {1: "a"}, b"text", {1, 2}, np.zeros(2)], ids=str)
def test_what_json_does_not_keep_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError), match="annotation 7 does not come back"):
        annotation_to_json(Annotation(id="7", images=("a",), extra={"value": value}))


def test_every_reader_gives_the_same_annotations_compiled(tmp_path: Path) -> None:
    world, compared = tmp_path / "small", set()
    write_world(world, num_train=16, num_val=8, num_test=8, num_workers=1, formats=["all"])
    for place in (world, Path(__file__).parents[1] / "formats"):
        for name, kind in READERS.items():
            for split in kind.splits:
                try:
                    annotations = list(kind(place, split))
                except FileNotFoundError:
                    continue
                table = compiled(
                    tmp_path / "compiled", f"{place.name}-{name}-{split}", kind(place, split)
                )
                assert list(table) == annotations and len(table) == len(annotations), (name, split)
                assert table.unchanged(), (name, split)  # it says what it depends on
                compared.add(name)
    # Own data are what a source says they are: tests/readers/test_own.py.
    official = {name for name, kind in READERS.items() if not issubclass(kind, OwnReader)}
    assert compared == official


def test_what_is_compiled_is_not_read_again(root: Path) -> None:
    first, second = read(root), read(root)
    assert Lines.passes == 1 and list(first) == list(second) and len(second) == 200
    assert [a.id for a in second[3:6]] == ["3", "4", "5"] and second[-1].id == "199"
    with pytest.raises(IndexError):
        second[200]


def test_a_changed_file_is_noticed(root: Path) -> None:
    read(root)
    (root / "train.txt").write_text("one two three")
    assert [a.question for a in read(root)] == ["one", "two", "three"]
    (root / "train_new.txt").write_text("four")  # would have been read in its place
    assert [a.question for a in read(root)] == ["four"]
    (root / "train_new.txt").unlink()
    assert len(read(root)) == 3 and Lines.passes == 4
    compiled_file(root)


def test_another_reader_code_or_root_is_another_table(root: Path, tmp_path: Path) -> None:
    assert len({code_of(Lines), code_of(READERS["coco"]), code_of(Reader)}) == 3
    other = tmp_path / "other"
    shutil.copytree(root, other, ignore=shutil.ignore_patterns("other"))
    read(root)
    read_split("lines", other, "train", root / "compiled")
    assert Lines.passes == 2 and len(list((root / "compiled").iterdir())) == 2


PLUGIN = """
from helper import SPLITS
from datamodules.readers.reader import Reader
class Mine(Reader):
    splits = SPLITS
"""


def test_the_code_behind_a_table_is_that_of_the_classes_and_of_what_they_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    plugin, helper, neighbour = (tmp_path / f"{n}.py" for n in ("mine", "helper", "neighbour"))
    plugin.write_text(PLUGIN)
    helper.write_text("from splits import SPLITS\n")
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "__init__.py").write_text("from .names import SPLITS\n")
    (tmp_path / "splits" / "names.py").write_text("import json\nSPLITS = ('train',)\n")
    neighbour.write_bytes(b"# \xe9t\xe9, in Latin-1\n")
    load_plugin(plugin)
    kind = sys.modules["plugin_mine"].Mine
    codes = [code_of(kind)]
    for file in (neighbour, tmp_path / "json.py"):
        file.write_bytes(b"SPLITS = 'caf\xe9'\n")
        assert code_of(kind) == codes[0]
    for file in (plugin, helper, tmp_path / "splits/__init__.py", tmp_path / "splits/names.py"):
        file.write_text(f"{file.read_text()}# changed\n")
        codes.append(code_of(kind))
    assert len(set(codes)) == len(codes)


def test_a_plugin_beside_a_file_that_is_not_utf_8(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    (tmp_path / "latin.py").write_bytes(b"# \xe9t\xe9\n")
    plugin = "from tests.datamodules.test_compiled import Lines\nclass Mine(Lines):\n    pass\n"
    (tmp_path / "mine.py").write_text(plugin)
    load_plugin(tmp_path / "mine.py")
    monkeypatch.setitem(READERS, "lines", sys.modules["plugin_mine"].Mine)
    assert len(read(root)) == 200


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b"no table", lambda b: b[: len(b) // 2], lambda b: b[:-1]]
)
def test_a_damaged_table_is_made_anew(root: Path, damage: Any) -> None:
    read(root)
    file = compiled_file(root)
    file.write_bytes(damage(file.read_bytes()))
    assert len(read(root)) == 200 and Lines.passes == 2


def test_a_reader_that_stops_leaves_nothing_behind(root: Path) -> None:
    (root / "train.txt").unlink()
    with pytest.raises(FileNotFoundError, match="lines \\(train\\) needs"):
        read(root)
    assert list((root / "compiled").iterdir()) == []


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (KeyError("sent"), SampleError, "lines (train), after annotation 2: KeyError: 'sent'"),
        (InputError("no"), InputError, "source s: lines (train), after annotation 2: no"),
    ],
)
def test_a_fault_of_a_reader_says_where_and_keeps_its_traceback(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type, sentence: str
) -> None:
    def fail(reader: Reader) -> Iterator[Annotation]:
        yield from (Annotation(id=str(k), images=("a.png",)) for k in range(3))
        raise error

    monkeypatch.setattr(Lines, "_annotations", fail)
    with pytest.raises(kind) as caught:
        read(root)
    assert str(caught.value) == sentence and list((root / "compiled").iterdir()) == []
    cause = caught.value.__cause__
    assert error in (cause, cause and cause.__cause__)


def test_a_fault_in_regrouping_says_of_which_task(
    tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Task.known["reg"], "regroup", lambda task, annotations: [1 / 0])
    with pytest.raises(
        SampleError, match=r"^task reg, on refcoco-val-\w+\.arrow: ZeroDivisionError"
    ):
        splits(tiny_world, tmp_path).load({"reg": Source("reg", "refcoco", val="val")}, "val")


def test_an_unwritable_folder_is_named(root: Path) -> None:
    (root / "compiled").write_text("a file")
    with pytest.raises(
        InputError,
        match=r"cannot be compiled into .*compiled .*, or name another folder by --data\.cache",
    ):
        read(root)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_with_the_folder(
    root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The system's error comes without a name, and no run is there that could be resumed."""

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("datamodules.compiled.write", fail)
    with pytest.raises(InputError) as caught:
        read(root)
    assert str(caught.value) == (
        f"source s: annotations cannot be compiled into {root / 'compiled'} ({os.strerror(code)}); free some space, "
        "or name another folder by --data.cache"
    )
    assert list((root / "compiled").iterdir()) == []


def test_problems_are_told_again(root: Path) -> None:
    (root / "train.txt").write_text("\n".join(["-"] + [f"line{k}" for k in range(199)]))
    (root / "7.png").unlink()
    said = []
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert len(read(root, allow_missing=True)) == 197
        said.append([str(each.message) for each in caught])
        with pytest.raises(
            ValueError, match="lines \\(train\\): 3 of 200 annotations cannot be used"
        ) as error:
            read(root)
        assert "0: it is no question; 14: the image 7.png is missing; 15:" in str(error.value)
    assert Lines.passes == 1 and len(said[0]) == 1 and said[0] == said[1]
    (root / "7.png").touch()  # an image that comes later is found without reading
    with pytest.warns(UserWarning, match="1 of 200 annotations"):
        assert len(read(root)) == 199
    assert Lines.passes == 1


def test_a_selection_is_pickled_by_its_path_and_rows(root: Path) -> None:
    every = read(root)
    some = select(every, np.arange(0, 200, 3))
    again = pickle.loads(pickle.dumps(select(some, np.array([5, 1]))))  # this test's own bytes
    assert [a.id for a in again] == ["15", "3"] and len(pickle.dumps(every)) < 1000
    assert select(every, np.arange(200)) is every
    assert list(select(list(every), np.array([2, 0]))) == [every[2], every[0]]


@given(st.lists(st.sampled_from("abcd"), max_size=20), st.integers(1, 3), st.data())
def test_tables_and_lists_are_grouped_and_cleaned_alike(
    tmp_path_factory, names, most, data
) -> None:
    class Origin:
        problems, watched = [], {}  # type: ignore[var-annotated]

        def __iter__(self) -> Iterator[Annotation]:
            for k, name in enumerate(names):
                yield Annotation(id=str(k), images=(name,), photos=((f"coco {name}",),))

    table = compiled(tmp_path_factory.mktemp("compiled"), "x", Origin())
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, 19)))), dtype=int)
    rows = rows[rows < len(names)]
    some, listed = select(table, rows), [table[i] for i in rows.tolist()]
    assert list(some) == listed
    order = list(dict.fromkeys(a.images for a in listed))
    for each in (some, listed):
        assert [order[i] for i in scenes(each).tolist()] == [a.images for a in listed]
        shown = pictures(each)
        files = list(map(decode, shown.images.to_pylist()))
        assert sorted((image,) for image in files) == sorted(order)
        named = [(scene, files[i]) for i, scene in enumerate(shown.scene_of.tolist())]
        assert [dict(named)[i] for i in shown.scene.tolist()] == [a.images[0] for a in listed]
        names = map(decode, shown.names.to_pylist())
        assert list(names) == [f"coco {files[i]}" for i in shown.image_of.tolist()]
    groups = [[group.tolist() for group in group_by_image(each, most)] for each in (some, listed)]
    assert groups[0] == groups[1] and sorted(chain(*groups[0])) == list(range(len(rows)))
    tested = Tested({"score": pa.chunked_array([[b"coco b"]])})
    for each in (some, listed):
        leaks = find_leaks(pictures(each), tested)
        kept = [k for k, a in enumerate(listed) if a.images != ("b",)]
        assert leaks.kept.tolist() == kept
        assert leaks.dropped == ({"score": len(rows) - len(kept)} if len(kept) < len(rows) else {})


def splits(root: Path, folder: Path, **codec: Any) -> Splits:
    return Splits(root, Codec(num_points=4, **codec), folder)


def test_tasks_that_regroup_have_tables_of_their_own(tiny_world: Path, tmp_path: Path) -> None:
    sources = {task: Source(task, "refcoco", train="train") for task in ("rec", "res", "reg")}
    for _ in range(2):
        rec, res, reg = splits(tiny_world, tmp_path).load(sources, "train")
        assert rec.annotations is res.annotations
        assert list(reg.annotations) == reg.task.regroup(list(rec.annotations))
        assert len(reg.annotations) < len(rec.annotations) and reg.annotations[0].captions
    assert len(list(tmp_path.iterdir())) == 2


def test_regrouping_depends_on_the_codec_and_on_the_official_files(
    tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Task, "known", dict(Task.known))

    class Halved(Task.known["rec"]):  # type: ignore[misc, name-defined]
        name = "halved"

        def regroup(self, annotations: Sequence[Annotation]) -> list[Annotation]:
            return list(annotations[:: 2 if self.codec.multipart == "largest" else 1])

    world = tmp_path / "copy"
    shutil.copytree(tiny_world, world)
    sources = {"halved": Source("halved", "refcoco", train="train")}

    def load(**codec: Any) -> list[Annotation]:
        (source,) = splits(world, tmp_path / "compiled", **codec).load(sources, "train")
        return list(source.annotations)

    largest, bridge = load(multipart="largest"), load(multipart="bridge")
    assert len(largest) < len(bridge) and largest == load(multipart="largest")
    refs = world / "refer/refcoco/refs(unc).p"
    content = pickle.loads(refs.read_bytes())  # this test's own file
    refs.write_bytes(pickle.dumps(content[: len(content) // 2]))
    assert load(multipart="largest")[:5] == largest[:5] != load(multipart="largest")


MASKS = {name: Source(name, "refcoco", train="train") for name in ("res", "rec")}


def test_masks_are_written_once(
    tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample in training draws no mask and chooses no points; its turns are those that it would have."""

    def turns(**settings: Any) -> list[list[Turns]]:
        loaded = splits(tiny_world, tmp_path).load(MASKS, "train", **settings)
        rng = np.random.default_rng
        return [
            [source.task.turns(each, rng(k)) for k, each in enumerate(source.annotations)]
            for source in loaded
        ]

    expected = turns()
    assert turns(written=True) == expected
    monkeypatch.setattr(Codec, "masks_to_text", lambda *_: 1 / 0)
    assert turns(written=True) == expected
    with pytest.raises(ZeroDivisionError):
        turns()
    res, rec = splits(tiny_world, tmp_path).load(MASKS, "train", written=True)
    with_targets, plain = pictures(res.annotations), pictures(rec.annotations)
    assert with_targets.names.equals(plain.names)  # by which test images are told
    assert with_targets.scene.tolist() == plain.scene.tolist()
    files = {file.name.rpartition("-")[0] for file in tmp_path.iterdir()}
    assert files == {"refcoco-train", "refcoco-train-res_targets"}  # a box is written at once


def test_what_is_written_depends_on_the_codec(tiny_world: Path, tmp_path: Path) -> None:
    def target(num_points: int) -> str:
        codec = Codec(num_points=num_points)
        (res, _) = Splits(tiny_world, codec, tmp_path).load(MASKS, "train", written=True)
        ((_, answer),) = res.task.turns(res.annotations[0])
        assert answer == res.task.target(res.annotations[0])
        return answer

    assert [target(n).count(",") for n in (4, 8, 4)] == [7, 15, 7]


def test_a_mask_that_cannot_be_written_is_named(
    tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Codec, "masks_to_text", lambda *_: 1 / 0)
    with pytest.raises(
        SampleError, match=r"^task res, annotation \S+, file coco/\S+: ZeroDivisionError"
    ):
        splits(tiny_world, tmp_path).load(MASKS, "train", written=True)


def test_one_process_compiles_and_all_open(
    tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = {
        "rec": Source("rec", "refcoco", "train", "val", {"rec_testA": "testA"}),
        "reg": Source("reg", "refcoco", "train", "val"),
        "pope": Source("pope", "pope", test={"pope_random": "random"}),  # its files are not there
    }

    def mixture() -> MixtureData:
        return MixtureData(
            tokenizer(), Codec(), sources, root=tiny_world, cache=tmp_path, image_size=32
        )

    trainer = type("T", (), {"state": type("S", (), {"fn": "fit"}), "is_global_zero": True})
    first = mixture()
    monkeypatch.setattr(first, "trainer", trainer)
    first.prepare_data()
    files = {file.name.rpartition("-")[0] for file in tmp_path.iterdir()}
    splits = ("train", "train-reg", "val", "val-reg", "testA")
    assert files == {f"refcoco-{split}" for split in splits}

    def no_pass(reader: Reader) -> Iterator[Annotation]:
        raise FileNotFoundError("nothing is read")

    monkeypatch.setattr(Reader, "__iter__", no_pass)
    second = mixture()
    second.setup("fit")
    assert (
        [s.name for s in second.train_sources]
        == [s.name for s in second.eval_sources]
        == ["rec", "reg"]
    )
    assert len(second.train_sources[0].annotations) == second.train_order.counts[0] > 0
