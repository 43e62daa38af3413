"""Images of millions of annotations are looked for and compared in columns: once, by one process, without objects."""

import multiprocessing
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch.distributed as dist

from datamodules.commands.configured import Setup
from datamodules.commands.data import audit, verify
from datamodules.compiled import Annotations, compiled
from datamodules.listing import Listing
from datamodules.missing import absent_images, check_split, with_images
from datamodules.mixture import MixtureData
from datamodules.pictures import pictures
from datamodules.readers import READERS, Reader
from datamodules.source import Source
from datamodules.splits import Splits
from tests.tiny import tokenizer
from vista.codec.codec import Codec
from vista.data import Annotation, InputError

SPLITS = ("train", "val", "few")


class Numbered(Reader):
    """Two questions about each of 100 images; the odd ones show a second image, of which nothing is said."""

    name = "numbered"
    fields = frozenset({"expression", "boxes", "sizes"})
    splits = SPLITS

    def _annotations(self) -> Iterator[Annotation]:
        self.watch(self.root / "numbers.txt")
        numbers = {"train": range(200), "val": range(20, 40), "few": range(10, 16)}[self.split]
        for k in numbers:
            image = k // 2
            yield Annotation(
                f"{self.split} {k}",
                (f"pictures/{image}.jpg", "b.jpg")[: 1 + image % 2],
                ((8, 8), (8, 8))[: 1 + image % 2],
                expression="it",
                boxes=((0.0, 0.0, 4.0, 4.0),),
                photos=((f"coco {image}", f"vg {image}"), ())[: 1 + image % 2],
            )


SOURCES = {"s": Source("rec", "numbered", "train", "few", {"s_val": "val", "s_few": "few"})}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root where all images are but one, and where what is compiled is there already."""
    monkeypatch.setitem(READERS, "numbered", Numbered)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "numbers.txt").touch()
    for k in range(100):
        (tmp_path / f"pictures/{k}.jpg").touch()
    (tmp_path / "b.jpg").touch()
    (tmp_path / "pictures/77.jpg").unlink()
    for split in SPLITS:
        splits(tmp_path).read("s", SOURCES["s"], split)
    return tmp_path


def splits(root: Path) -> Splits:
    return Splits(root, Codec(), root / "compiled")


def mixture(root: Path, **settings: Any) -> MixtureData:
    cache = root / "compiled"
    return MixtureData(tokenizer(), Codec(), SOURCES, root, image_size=32, cache=cache, **settings)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of annotations that are built."""
    ids: list[str] = []
    initialize = Annotation.__init__

    def noted(self: Annotation, id: str, *values: Any, **named: Any) -> None:
        ids.append(id)
        initialize(self, id, *values, **named)

    monkeypatch.setattr(Annotation, "__init__", noted)
    return ids


def test_a_start_builds_no_annotation_but_those_that_it_names(root: Path, built: list[str]) -> None:
    with pytest.warns(UserWarning, match="train 154: the image pictures/77.jpg is missing"):
        mixture(root).setup("fit")
    # The first of each split tells whether its reader names photographs.
    assert set(built) <= {"train 0", "val 20", "few 10", "train 154", "train 155"}


def test_the_audit_builds_no_annotation(root: Path, built: list[str], capsys: Any) -> None:
    verbs = Setup({}, SOURCES, root, Codec(), splits(root))
    audit(verbs)
    verify(verbs)
    assert set(built) <= {"train 0", "val 20", "few 10"}
    out = capsys.readouterr().out
    # Tested on are images 5 to 7 and 10 to 19, and "b.jpg", which is beside every odd one.
    assert "s (train): 112 of 200 samples and 14 of 101 images are tested on" in out
    assert "s_few: 102 samples" in out and "s_val: 110 samples" in out
    assert "numbered (train): 200 samples" in out


def test_a_folder_is_listed_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[Path] = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: listed.append(Path(path)) or listdir(path))
    listing = Listing()
    for split in SPLITS:
        annotations = splits(root).read("s", SOURCES["s"], split)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check_split(split, annotations, root, listing, allow_missing=True)
        with_images(annotations, root, listing)
    assert sorted(listed) == [root, root / "pictures"]


NAMES = ("a.jpg", "x/a.jpg", "x/y/\u00e9 \u732b.jpg", "x//a.jpg", "gone/a.jpg", "x", "x/\udcff.jpg")


@pytest.mark.parametrize("in_table", [False, True])
def test_odd_names_of_images(tmp_path: Path, in_table: bool) -> None:
    (tmp_path / "x/y").mkdir(parents=True)
    for name in (NAMES[1], NAMES[2], NAMES[6]):
        (tmp_path / name).touch()

    class Origin:
        problems, watched = [], {}  # type: ignore[var-annotated]

        def __iter__(self) -> Iterator[Annotation]:
            yield Annotation("none", ())
            for name in NAMES:
                yield Annotation(name, ("x/a.jpg", name))
            yield Annotation("two", ("a.jpg", "x", "gone/a.jpg"))

    origin = Origin()
    annotations = compiled(tmp_path / "compiled", "t", origin) if in_table else list(origin)
    rows, last = absent_images(annotations, tmp_path, Listing())
    # A folder is listed with its folders, as it always was.
    assert rows.tolist() == [1, 5, 8] and last == ["a.jpg", "gone/a.jpg", "gone/a.jpg"]
    names = pictures(annotations).of(np.array([3, 0])).images
    assert [name.decode() for name in names.to_pylist()] == ["x/a.jpg", NAMES[2]]


def ids(annotations: Any) -> list[str]:
    assert isinstance(annotations, Annotations)
    return [a.id for a in annotations]


def set_up(rank: int, root: Path, results: Any) -> None:
    """One of two processes, of which the second cannot look at images."""
    READERS["numbered"] = Numbered
    dist.init_process_group("gloo", f"file://{root}/meet", rank=rank, world_size=2)

    if rank:
        Listing.absent = None  # type: ignore[method-assign, assignment]
    found: list[Any] = []
    for settings in ({}, {"allow_missing": True}, {"drop_test_images": False}):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            data = mixture(root, **settings)
            data.setup("fit")
        found.append((ids(data.train_sources[0].annotations), [str(w.message) for w in caught]))
    if not rank:
        (root / "b.jpg").unlink()
    try:
        mixture(root).setup("fit")
    except InputError as error:
        found.append(str(error))
    results.put((rank, found))


@pytest.mark.slow  # two processes that import torch
def test_the_first_process_looks_and_all_leave_out_the_same(root: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    processes = [context.Process(target=set_up, args=(rank, root, results)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=300)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    first, second = (found for _, found in sorted(results.get() for _ in processes))
    kept = [f"train {k}" for k in range(200) if not k // 2 % 2 and k // 2 not in range(10, 20)]
    kept = [key for key in kept if key not in ("train 12", "train 13")]
    for (ids_0, said), (ids_1, silence) in zip(first[:3], second[:3], strict=True):
        assert ids_0 == ids_1 and len(said) == 1 and silence == []
    assert first[0][0] == kept and len(first[2][0]) == 200
    assert first[3] == second[3] and "numbered (train): 100 of 200 annotations" in first[3]
