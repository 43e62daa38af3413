"""No test image is trained on, whatever it is called in which data set."""

from pathlib import Path

import pytest

from datamodules.leakage import clean, image_names, images_tested, keep_clean, leaks
from datamodules.mixture import MixtureData
from datamodules.source import LoadedSource, Source
from tests.tiny import run, tokenizer
from vista.codec.codec import Codec
from vista.data import Annotation


def shown(*images: str, **extra: object) -> Annotation:
    return Annotation(id=images[0], images=images, extra=dict(extra))


def test_one_picture_has_one_name():
    coco = ["coco/train2017/000000000025.jpg", "coco/train2014/COCO_train2014_000000000025.jpg",
            "refer/images/mscoco/images/train2014/COCO_train2014_000000000025.jpg"]  # fmt: skip
    names = [image_names(shown(path)) for path in coco]
    names.append(image_names(shown("visual_genome/VG_100K/2406646.jpg", coco_id=25)))
    assert names == [{"coco 25"}] * 4
    genome = ["visual_genome/VG_100K_2/7.jpg", "visual7w/images/v7w_7.jpg"]
    assert [image_names(shown(path, coco_id=None)) for path in genome] == [{"vg 7"}] * 2
    others = "vcr/vcr1images/m/a@0.jpg", "nlvr2/dev/dev-0-0-img0.png"
    assert image_names(shown(*others)) == set(others)


def test_a_photograph_is_known_by_its_number_on_flickr_too():
    flickr = shown("flickr30k_entities/flickr30k-images/1000092795.jpg")
    coco = shown("coco/val2017/000000000025.jpg", flickr_id=1000092795)
    genome = shown("visual_genome/VG_100K/7.jpg", coco_id=25, flickr_id=1000092795)
    assert image_names(flickr) == {"flickr 1000092795"}
    assert image_names(coco) == image_names(genome) == {"coco 25", "flickr 1000092795"}
    source = {"caption": Source("caption", "coco", test={"caption_coco": "val2017"})}
    tested, _ = images_tested(source, lambda *_: [coco])
    assert clean([flickr, shown("flickr30k_entities/flickr30k-images/5.jpg")], tested)[1] == {
        "caption_coco": 1
    }


def test_samples_that_show_a_test_image_are_left_out_and_counted():
    sources = {
        "rec": Source("rec", "refcoco", test={"rec_val": "val", "rec_testA": "testA"}),
        "pope": Source("pope", "pope", test={"pope_random": "random"}),
    }
    splits = {
        "val": [shown("refer/images/mscoco/images/train2014/COCO_train2014_000000000001.jpg")],
        "testA": [shown("coco/train2017/000000000002.jpg")],
    }

    def read(name: str, source: Source, split: str) -> list[Annotation]:
        if split not in splits:
            raise FileNotFoundError(f"source {name}: no files")
        return splits[split]

    tested, absent = images_tested(sources, read)
    assert tested == {"coco 1": {"rec_val"}, "coco 2": {"rec_testA"}}
    assert absent == ["pope_random: source pope: no files"]
    train = [shown(f"coco/train2014/COCO_train2014_{i:012d}.jpg") for i in (1, 2, 3)]
    train.append(shown("nlvr2/x.png", "coco/train2017/000000000001.jpg"))
    assert leaks(train[3], tested) == {"rec_val"}
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
