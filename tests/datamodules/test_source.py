"""Sources: what does not fit together, what cannot be used, and what is tolerated of it."""

import json
import pickle
import shutil
import warnings
from itertools import chain
from pathlib import Path

import pytest

from datamodules.by_image import group_by_image
from datamodules.readers import READERS
from datamodules.readers.reader import Reader
from datamodules.source import Source, check_source
from tests.tiny import read_split
from vista.data import Annotation, InputError


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (Source("ress", "refcoco"), "source s: there is no task 'ress'; did you mean 'res'?"),
        (Source("zzz", "refcoco"), "source s: there is no task 'zzz'; there are attcoseg"),
        (
            Source("res", "refcocoo"),
            "source s: there is no dataset 'refcocoo'; did you mean 'refcoco'?",
        ),
        (
            Source("res", "vqav2"),
            "source s: task res needs expression, segmentations, sizes; reader vqav2 gives none",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(source, sentence):
    with pytest.raises(ValueError) as error:
        check_source("s", source)
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)


class Fake(Reader):
    """A reader of 200 questions about 100 images, with as many unsound records as wanted."""

    fields = frozenset({"question"})
    splits = ("train",)
    unsound = 0

    def _annotations(self):
        for k in range(self.unsound):
            self.leave_out(f"bad{k}", "its box lies outside the image")
        for k in range(200 - self.unsound):
            yield Annotation(id=str(k), images=(f"images/{k // 2}.png",))


@pytest.fixture
def fake(tmp_path, monkeypatch):
    monkeypatch.setitem(READERS, "fake", Fake)
    (tmp_path / "images").mkdir()
    for k in range(100):
        (tmp_path / "images" / f"{k}.png").touch()
    return tmp_path


def messages(root: Path, **settings: bool) -> tuple[int, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        annotations = read_split("fake", root, "train", root / "compiled", **settings)
    return len(annotations), [str(c.message) for c in caught]


def test_a_sound_source_warns_of_nothing(fake):
    assert messages(fake) == (200, [])


def test_one_per_cent_is_named_in_one_warning_and_keeps_its_place(fake):
    (fake / "images" / "7.png").unlink()
    head = "fake (train): 2 of 200 annotations cannot be used: "
    listed = "14: the image images/7.png is missing; 15: the image images/7.png is missing"
    assert messages(fake) == (200, [head + listed])
    assert messages(fake, allow_missing=True) == (198, [head + listed])


def test_more_than_one_per_cent_stops_with_the_list(fake, monkeypatch):
    monkeypatch.setattr(Fake, "unsound", 1)
    (fake / "images" / "7.png").unlink()
    with pytest.raises(ValueError) as error:
        messages(fake)
    text = str(error.value)
    assert text.startswith(
        "fake (train): 3 of 200 annotations cannot be used, set --data.allow_missing true to go on"
    )
    assert (
        "bad0: its box lies outside the image; 14: the image images/7.png is missing; 15:" in text
    )
    assert messages(fake, allow_missing=True)[0] == 197


def test_what_stands_twice_is_named_and_does_not_stop_a_run(fake, monkeypatch):
    once = Fake._annotations
    monkeypatch.setattr(Fake, "_annotations", lambda self: chain(once(self), once(self)))
    count, (message,) = messages(fake)
    assert count == 200
    assert message.startswith(
        "fake (train): 200 of 400 annotations cannot be used: 0: its id stands twice"
    )
    (fake / "images" / "7.png").unlink()
    assert messages(fake)[0] == 200
    monkeypatch.setattr("datamodules.missing.TOLERATED", 0.004)
    with pytest.raises(ValueError, match=r"set --data\.allow_missing"):  # of two missing images
        messages(fake)


def test_a_long_list_is_cut(fake):
    shutil.rmtree(fake / "images")
    with pytest.raises(ValueError, match="200 of 200") as error:
        messages(fake)
    assert str(error.value).count("is missing") == 20 and str(error.value).endswith("; ...")
    assert messages(fake, allow_missing=True)[0] == 0


def test_unsound_records_of_an_official_file_are_named_once(tiny_world, tmp_path):
    root = tmp_path / "broken"
    shutil.copytree(tiny_world, root)
    refs = root / "refer" / "refcoco" / "refs(unc).p"
    content = pickle.loads(refs.read_bytes())  # this test's own file
    first, second = [ref for ref in content if ref["split"] == "train"][:2]
    first["sentences"][0]["sent"] = "  "
    refs.write_bytes(pickle.dumps(content))
    instances = json.loads((refs.parent / "instances.json").read_text())
    boxed = next(a for a in instances["annotations"] if a["id"] == second["ann_id"])
    boxed["bbox"] = [5000.0, 5000.0, 10.0, 10.0]
    (refs.parent / "instances.json").write_text(json.dumps(instances))
    whole = read_split("refcoco", tiny_world, "train", tmp_path)
    with pytest.warns(UserWarning, match="2 of ") as caught:
        rest = read_split("refcoco", root, "train", tmp_path)
    assert len(caught) == 1 and "the expression is empty" in str(caught[0].message)
    assert str(second["ref_id"]) in str(caught[0].message)
    lost = {f"{first['ref_id']}_{first['sentences'][0]['sent_id']}"}
    lost |= {f"{second['ref_id']}_{sentence['sent_id']}" for sentence in second["sentences"]}
    assert {a.id for a in whole} - {a.id for a in rest} == lost


def test_groups_hold_annotations_of_the_same_images():
    names = "aabacbbbbb"
    annotations = [Annotation(id=str(i), images=(name,)) for i, name in enumerate(names)]
    groups = [group.tolist() for group in group_by_image(annotations, 4)]
    assert groups == [[0, 1, 3], [2, 5, 6, 7], [8, 9], [4]]
    pair = [Annotation(id="0", images=("a", "b")), Annotation(id="1", images=("b", "a"))]
    assert len(group_by_image(pair, 4)) == 2


@pytest.mark.parametrize("name", ["rec_val", "x.1", "rec-2", "_", "été", "a" * 100])
def test_names_of_sources_and_scores(name):
    check_source(name, Source("rec", "refcoco", test={name: "val"}))


@pytest.mark.parametrize(
    "name",
    ["../victim", "a/b", "/tmp/a", ".hidden", "..", "", "a b", "a\n", "[red]", "a\x1b", "a" * 101],
)
def test_what_is_no_name_is_refused_before_a_file_is_called_so(name):
    for source, its_name in (
        (Source("rec", "refcoco", test={name: "val"}), "s"),
        (Source("rec", "refcoco"), name),
    ):
        with pytest.raises(InputError, match="is no name of a source or a score: letters, digits"):
            check_source(its_name, source)
