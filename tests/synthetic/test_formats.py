"""The further formats of the generated world: written once, read whole by their readers, no scene in two splits."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from datamodules.readers import READERS
from datamodules.synthetic import chunks
from datamodules.synthetic.formats import CORE, FORMATS, chosen_formats
from datamodules.synthetic.streams import STREAMS
from datamodules.synthetic.world import main, write_world

SMALL = {"seed": 5, "num_train": 400, "num_val": 40, "num_test": 120}
EVALUATED = (
    "val",
    "test",
    "testA",
    "testB",
    "testdev",
    "testfinal",
    "dev",
    "test1",
    "bench",
    "val2017",
)
# (dataset, split) -> records at `SMALL`; None where the scenes decide how many there are.
COUNTS = {
    ("grefcoco", "train"): 200,
    ("grefcoco", "val"): 80,
    ("grefcoco", "testA"): 120,
    ("grefcoco", "testB"): 120,
    ("visual_genome", "all"): None,
    ("visual_genome", "train"): None,
    ("visual_genome", "val"): None,
    ("visual_genome", "test"): None,
    ("looktwice", "train"): 180,
    ("looktwice", "val"): 120,
    ("looktwice", "test"): 360,
    ("localqa", "train"): None,
    ("localqa", "val"): None,
    ("localqa", "testdev"): None,
    ("localqa", "testfinal"): None,
    ("visual7w", "train"): None,
    ("visual7w", "val"): None,
    ("visual7w", "test"): None,
    ("visual7w_telling", "train"): None,
    ("visual7w_telling", "val"): None,
    ("visual7w_telling", "test"): None,
    ("flickr30k_entities", "train"): 200,
    ("flickr30k_entities", "val"): 80,
    ("flickr30k_entities", "test"): 240,
    ("vcr", "train"): None,
    ("vcr", "val"): None,
    ("vcr", "test"): None,
    ("llava_instruct", "train"): None,
    ("llava_instruct", "conversation_58k"): 60,
    ("llava_instruct", "detail_23k"): 20,
    ("llava_instruct", "complex_reasoning_77k"): None,
    ("llava_instruct", "bench"): None,
    ("pope", "random"): None,
    ("pope", "popular"): None,
    ("pope", "adversarial"): None,
    ("textvqa", "train"): None,
    ("textvqa", "val"): None,
    ("textvqa", "test"): None,
    ("iconqa", "train"): 2,
    ("iconqa", "val"): 8,
    ("iconqa", "test"): 72,
    ("hateful_memes", "train"): 4,
    ("hateful_memes", "dev_seen"): 36,
    ("hateful_memes", "dev_unseen"): 12,
    ("hateful_memes", "test_seen"): 36,
    ("hateful_memes", "test_unseen"): 12,
    ("coseg", "pascal"): 8,
    ("coseg", "msrc"): 3,
    ("coseg", "icoseg"): 5,
    ("groupwise_res", "train"): 12,
    ("groupwise_res", "val"): 4,
    ("groupwise_res", "test"): 12,
    ("attcoseg", "train"): 12 * 66,
    ("attcoseg", "val"): 24,
    ("attcoseg", "test"): 72,
}


WORLDS: list[Path] = []


def small_world(factory: pytest.TempPathFactory) -> Path:
    """A world of all formats, written once for all tests of a run."""
    if not WORLDS:
        root = factory.mktemp("data") / "world"
        write_world(root, **SMALL, num_workers=1, formats="all")
        WORLDS.append(root)
    return WORLDS[0]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_world(tmp_path_factory)


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_formats_are_added_to_a_world_without_touching_the_rest(tmp_path: Path) -> None:
    root, tiny = tmp_path / "world", {"num_train": 8, "num_val": 4, "num_test": 4, "num_workers": 1}
    write_world(root, **tiny)
    before = files(root)
    assert not any(name.split("/")[0] in FORMATS for name in before)
    write_world(root, **tiny, formats=["pointingqa", "nlvr2"])
    added = {name for name in files(root) if name not in before}
    assert {name.split("/")[0] for name in added} == {"visual_genome", "pointingqa"}, (
        "with what it refers to"
    )
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    write_world(root, **tiny, formats="all")
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert before.items() <= files(root).items()
    assert {path.name for path in root.iterdir()} == {
        *FORMATS,
        "coco",
        "refer",
        "vqav2",
        "nlvr2",
        "world.json",
    }
    with pytest.raises(ValueError, match="other settings"):
        write_world(root, **{**tiny, "num_val": 5}, formats=["vcr"])
    (root / "vcr" / "world.json").unlink()
    with pytest.raises(ValueError, match="vcr is not empty"):
        write_world(root, **tiny, formats=["vcr"])


def test_names_of_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert chosen_formats(CORE) == []
    assert chosen_formats("all") == chosen_formats(["vcr", "all"]) == list(FORMATS)
    assert chosen_formats(["visual7w"]) == ["visual_genome", "visual7w"]
    with pytest.raises(ValueError, match=r"no format 'vrc'; there are coco, .*vcr"):
        write_world(tmp_path / "none", formats=["vrc"])
    assert not (tmp_path / "none").exists()
    with pytest.raises(SystemExit):
        main(["--root", str(tmp_path / "none"), "--formats", "vrc"])
    assert "invalid choice" in capsys.readouterr().err
    assert len(set(STREAMS)) == len(STREAMS)
    assert all(stream in STREAMS for chosen in FORMATS.values() for stream in chosen.streams)


def test_bytes_do_not_depend_on_the_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "SCENES_PER_CHUNK", 7)
    monkeypatch.setattr(chunks, "GROUPS_PER_CHUNK", 2)
    few = {"seed": 3, "num_train": 60, "num_val": 10, "num_test": 30, "formats": "all"}
    for number in (1, 2):
        write_world(tmp_path / str(number), **few, num_workers=number)
    assert files(tmp_path / "1") == files(tmp_path / "2")


@pytest.mark.parametrize(("name", "split"), COUNTS)
def test_is_read_whole(world: Path, name: str, split: str) -> None:
    reader = READERS[name](world, split)
    found = list(reader)
    assert reader.problems == []
    assert found and len(found) == (COUNTS[name, split] or len(found))
    assert len({a.id for a in found}) == len(found)
    empty = {"boxes", "segmentations"} if name == "grefcoco" else set()
    for a in found:
        assert all(getattr(a, field) for field in reader.fields - empty)
        for path, size in zip(a.images, a.sizes or [None] * len(a.images), strict=True):
            with Image.open(world / path) as image:
                assert size in (None, image.size[::-1])


def images_of(world: Path, name: str, split: str) -> Iterator[str]:
    return (path for a in READERS[name](world, split) for path in a.images)


def test_no_picture_is_both_trained_on_and_evaluated(world: Path) -> None:
    used: dict[bool, set[str]] = defaultdict(set)
    core = [
        ("coco", "train2017"),
        ("coco", "val2017"),
        ("refcoco", "train"),
        ("refcoco", "val"),
        ("refcoco", "testA"),
    ]
    core += [
        ("refcoco", "testB"),
        ("vqav2", "train"),
        ("vqav2", "val"),
        ("nlvr2", "train"),
        ("nlvr2", "dev"),
    ]
    for name, split in (*COUNTS, *core, ("nlvr2", "test1")):
        if split != "all":
            never_trained = (
                name in ("pope", "coseg")
                or split in EVALUATED
                or split.startswith(("dev_", "test_"))
            )
            used[never_trained].update(images_of(world, name, split))
    digests = [
        {hashlib.sha1((world / path).read_bytes()).digest() for path in used[key]}
        for key in (False, True)
    ]
    assert len(digests[0]) > 500 and len(digests[1]) > 500
    assert not digests[0] & digests[1]
