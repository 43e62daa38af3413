"""No test image is trained on, whatever it is called in which data set and wherever its file lies."""

import warnings
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from datamodules.compiled import decode, encode
from datamodules.leakage import Tested, find_leaks, images_tested, keep_clean
from datamodules.mixture import MixtureData
from datamodules.pictures import pictures
from datamodules.source import LoadedSource, Source
from tests.readers.test_formats import SOURCES, read
from tests.tiny import run, tokenizer
from vista.codec.codec import Codec
from vista.data import Annotation


def shown(*images: str, names: tuple[str, ...] = ()) -> Annotation:
    """An annotation of images, the last of which the reader calls by some names, and the others by their own."""
    photos = [(f"own {image}",) for image in images[:-1]]
    return Annotation(id=images[0], images=images, photos=(*photos, names))


def coco(number: int) -> tuple[str, ...]:
    return (f"coco {number}",)


def image_names(*annotations: Annotation) -> set[str]:
    """The names of all photographs that annotations show."""
    return set(map(decode, pictures(annotations).names.to_pylist()))


def names_in(dataset: str, split: str) -> set[str]:
    return image_names(*read(dataset, split))


def behind(**names: str) -> Tested:
    """Scores, each measured on one photograph."""
    return Tested({score: pa.chunked_array([[encode(name)]]) for score, name in names.items()})


def scores_by_name(tested: Tested) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for score, these in tested.behind.items():
        for name in tested.names.filter(pa.array(these)).to_pylist():
            found.setdefault(decode(name), set()).add(score)
    return found


def clean(annotations: list[Annotation], tested: Tested) -> tuple[list[Annotation], dict[str, int]]:
    """The annotations that are behind no score, and how many are behind each."""
    leaks = find_leaks(pictures(annotations), tested)
    return [annotations[row] for row in leaks.kept.tolist()], leaks.dropped


@pytest.mark.parametrize(("name", "split"), SOURCES)
def test_every_reader_says_which_photographs_its_images_are(name, split):
    for annotation in read(name, split):
        assert len(annotation.photos) == len(annotation.images)
        assert all(annotation.photos), "none is told by its path alone"
        elsewhere = [f"elsewhere/{k}.jpg" for k in range(len(annotation.images))]
        moved = replace(annotation, images=tuple(elsewhere))
        assert image_names(moved) == image_names(annotation)


def test_one_picture_has_one_name():
    of_coco = ["grefcoco", "llava_instruct", "refcoco", "refcocog", "refcocop", "vqav2"]
    for dataset in of_coco:
        assert names_in(dataset, "train") == {"coco 9"}
    for split in ("train2017", "karpathy_train"):
        assert names_in("coco", split) == {"coco 9", "coco 25"}
    assert names_in("coco_instances", "train2017") == {"coco 9", "coco 25"}
    assert names_in("pope", "random") == names_in("llava_instruct", "bench") == {"coco 139"}
    for dataset in ("localqa", "looktwice", "visual7w", "visual7w_telling", "visual_genome"):
        assert names_in(dataset, "val") == {"vg 2", "coco 139", "flickr 7"}
    assert names_in("flickr30k_entities", "train") == {"flickr 100"}
    unsaid = Annotation("1", ("vcr/a.jpg", "coco/train2017/000000000009.jpg"))
    assert image_names(unsaid) == set(unsaid.images), "nothing is guessed from a folder"


def test_a_photograph_is_known_by_its_number_on_flickr_too():
    flickr = shown("flickr30k-images/1000092795.jpg", names=("flickr 1000092795",))
    coco = shown("coco/val2017/25.jpg", names=("coco 25", "flickr 1000092795"))
    source = {"caption": Source("caption", "coco", test={"caption_coco": "val2017"})}
    tested, _ = images_tested(source, lambda *_: [coco])
    other = shown("flickr30k-images/5.jpg", names=("flickr 5",))
    assert clean([flickr, other], tested)[1] == {"caption_coco": 1}


def test_a_reader_that_says_nothing_is_named():
    silent, told = Annotation("1", ("mine/000000000025.jpg",)), shown("a.jpg", names=coco(25))
    source = {"mine": Source("rec", "mine", test={"rec_mine": "val"})}
    with pytest.warns(UserWarning, match="rec_mine: its reader does not say which photographs"):
        _, absent = images_tested(source, lambda *_: [silent])
    assert absent == []
    loaded = [LoadedSource(name, None, Path(), [a]) for name, a in (("s", silent), ("t", told))]  # type: ignore[arg-type]
    notes = keep_clean(loaded, behind(x="coco 25"), [])
    assert [note.partition(":")[0] for note in notes] == ["s", "t"]
    assert "only their paths are compared" in notes[0] and "1 of 1 samples left out" in notes[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images_tested(source, lambda *_: [told])


def test_samples_that_show_a_test_image_are_left_out_and_counted():
    sources = {
        "rec": Source("rec", "refcoco", test={"rec_val": "val", "rec_testA": "testA"}),
        "pope": Source("pope", "pope", test={"pope_random": "random"}),
    }
    splits = {
        "val": [shown("refer/COCO_train2014_000000000001.jpg", names=coco(1))],
        "testA": [shown("a/b.jpg", names=coco(2))],
    }

    def read(name: str, source: Source, split: str) -> list[Annotation]:
        if split not in splits:
            raise FileNotFoundError(f"source {name}: no files")
        return splits[split]

    tested, absent = images_tested(sources, read)
    assert scores_by_name(tested) == {"coco 1": {"rec_val"}, "coco 2": {"rec_testA"}}
    assert absent == ["pope_random: source pope: no files"]
    train = [shown(f"another/folder/{i}.jpg", names=coco(i)) for i in (1, 2, 3)]
    train.append(shown("nlvr2/x.png", "coco/train2017/000000000001.jpg", names=coco(1)))
    assert clean(train[3:], tested) == ([], {"rec_val": 1})
    assert clean(train, tested) == ([train[2]], {"rec_val": 2, "rec_testA": 1})
    loaded = LoadedSource("caption", None, Path(), list(train))  # type: ignore[arg-type]
    notes = keep_clean([loaded], tested, absent)
    assert loaded.annotations == [train[2]]
    assert (
        notes[1]
        == "caption: 3 of 4 samples left out, their images are tested on (rec_testA 1, rec_val 2)"
    )
    assert "since its files are not there: pope_random" in notes[0]


@pytest.fixture
def sources() -> dict[str, Source]:
    """RefCOCO's validation images are tested on; the same file's training split is given as a leaking one."""
    return {
        "rec": Source("rec", "refcoco", train="train", test={"rec_train": "train"}),
        "caption": Source("caption", "coco", train="train2017"),
    }


def test_the_mixture_leaves_them_out(tiny_world, tmp_path, sources, capsys):
    sources["rec"].test = {}
    settings = {"root": tiny_world, "cache": tmp_path, "image_size": 32}
    whole = MixtureData(tokenizer(), Codec(), sources, **settings)
    whole.setup("fit")
    assert capsys.readouterr().out == ""
    sources["rec"].train, sources["rec"].test = "", {"rec_train": "train"}
    for drop, left in ((True, 0), (False, len(whole.train_sources[1].annotations))):
        data = MixtureData(tokenizer(), Codec(), sources, drop_test_images=drop, **settings)
        if left:
            data.setup("fit")
            assert len(data.train_sources[0].annotations) == left
        else:
            with pytest.raises(ValueError, match="an epoch has 0 samples"):
                data.setup("fit")
                data.train_dataloader()
            assert (
                "samples left out, their images are tested on (rec_train" in capsys.readouterr().out
            )


def test_the_verb_data(tiny_world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "leaky.yaml").write_text(
        "data:\n  sources:\n"
        "    rec: {task: rec, dataset: refcoco, train: val, test: {rec_train: train}}\n"
        "    caption: {task: caption, dataset: coco, train: train2017}\n"
        "    pope: {task: pope, dataset: pope, test: {pope_random: random}}\n"
    )
    outcome = run("data", "audit", "--config", "leaky.yaml", "--data.root", str(tiny_world))
    assert outcome.code == 0, outcome.err
    caption = next(
        line for line in outcome.out.splitlines() if line.startswith("caption (train2017)")
    )
    samples, everything = (int(n) for n in (caption.split()[2], caption.split()[4]))
    assert 0 < samples <= everything and f"rec_train: {samples}" in outcome.out
    assert "rec (val): 0 of" in outcome.out and "not looked at: pope_random" in outcome.out
    outcome = run("data", "verify", "--config", "leaky.yaml", "--data.root", str(tiny_world))
    assert "refcoco (train): " in outcome.out and ", 120,624 are stated" in outcome.out, outcome.out
