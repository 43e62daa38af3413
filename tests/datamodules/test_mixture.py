"""The data of a run: which sources are read, how often each is seen, what is scored."""

import errno
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datamodules import missing
from datamodules.mixture import MixtureData
from datamodules.settings import SampleOrder, Scoring
from datamodules.source import Source
from datamodules.synthetic.world import write_world
from tests.tiny import QUERIES, tokenizer
from vista.codec.codec import Codec
from vista.data import InputError
from vista.leftovers import held
from vista.prompts import NUM_UNSEEN

SOURCES = {
    "caption_coco": Source("caption", "coco", "train2017", "val2017", {"caption_coco": "val2017"}),
    "vqav2": Source("vqav2", "vqav2", "train", "val", {"vqav2_val": "val"}),
    "rec_refcoco": Source(
        "rec", "refcoco", "train", "val", {"rec_val": "val", "rec_testA": "testA"}
    ),
    "res_refcoco": Source("res", "refcoco", "train", "val", {"res_val": "val"}),
    "nlvr2": Source("nlvr2", "nlvr2", "train", "dev", {"nlvr2_dev": "dev"}),
}


def mixture(root: Path, **settings: Any) -> MixtureData:
    settings = {
        "sources": SOURCES,
        "cache": root.parent / "compiled",
        "num_workers": 0,
        "num_queries": QUERIES,
        "image_size": 32,
    } | settings
    return MixtureData(tokenizer(), Codec(num_points=4), root=root, **settings)


def counts(data: MixtureData) -> dict[str, int]:
    data.setup("fit")
    return dict(zip([s.name for s in data.train_sources], data.train_order.counts, strict=True))


def test_every_sample_once_where_nothing_else_is_said(tiny_world):
    data = mixture(tiny_world, tasks=["vqav2", "rec", "res"])
    lengths = {"vqav2": 320, "rec_refcoco": 239, "res_refcoco": 239}
    assert counts(data) == lengths
    assert {s.name: len(s.annotations) for s in data.train_sources} == lengths
    read = data.splits.read("res_refcoco", SOURCES["res_refcoco"], "train")
    assert data.train_sources[1].annotations is read  # once, for both


def test_weights_and_the_length_of_an_epoch(tiny_world):
    weighted = SOURCES | {"vqav2": Source("vqav2", "vqav2", "train", weight=0.25)}
    assert counts(mixture(tiny_world, sources=weighted, tasks=["vqav2", "rec"])) == {
        "vqav2": 80,
        "rec_refcoco": 239,
    }
    scaled = counts(
        mixture(tiny_world, sources=weighted, tasks=["vqav2", "rec"], order=SampleOrder(77))
    )
    assert scaled == {"vqav2": 19, "rec_refcoco": 58}


def test_replay_gets_its_share(tiny_world):
    earlier = ["vqav2", "res"]
    half = counts(
        mixture(
            tiny_world, tasks=["nlvr2"], replay_tasks=earlier, replay=0.5, order=SampleOrder(80)
        )
    )
    assert half["nlvr2"] == 40 and half["vqav2"] + half["res_refcoco"] == pytest.approx(40, abs=1)
    assert half["vqav2"] / half["res_refcoco"] == pytest.approx(320 / 239, abs=0.15)
    assert counts(mixture(tiny_world, tasks=["nlvr2"], replay_tasks=earlier)) == {"nlvr2": 128}
    also = counts(mixture(tiny_world, tasks=["vqav2"], replay_tasks=["vqav2", "res"], replay=0.5))
    assert also["vqav2"] == also["res_refcoco"]  # a task that is trained on anyway is not replayed
    with pytest.raises(
        InputError, match=r"replay_tasks have no source .* beside those of data.tasks"
    ):
        mixture(tiny_world, tasks=["vqav2"], replay_tasks=["vqav2"], replay=0.5).setup("fit")
    with pytest.raises(ValueError, match="at least 0 and below 1, not 1"):
        mixture(tiny_world, replay=1.0)


def test_what_is_scored(tiny_world):
    data = mixture(tiny_world, tasks=["rec"], replay_tasks=["vqav2"])
    data.setup("validate")
    assert [s.name for s in data.eval_sources] == [
        "vqav2",
        "rec_refcoco",
    ]  # replayed tasks are watched too
    data.setup("test")
    assert [s.name for s in data.eval_sources] == ["vqav2_val", "rec_val", "rec_testA"]
    everything = mixture(tiny_world)
    everything.setup("test")
    assert len(everything.eval_sources) == 6


def test_unseen_wordings_are_scored_beside(tiny_world):
    data = mixture(tiny_world, tasks=["rec"], scoring=Scoring(unseen_prompts=8))
    data.setup("test")
    names = [s.name for s in data.eval_sources]
    assert names == ["rec_val", "rec_testA", "rec_val_unseen_wording", "rec_testA_unseen_wording"]
    seen, _, unseen, _ = data.eval_sources
    assert 0 < len(unseen.annotations) <= 12 < len(seen.annotations)
    annotation = unseen.annotations[0]
    assert annotation in seen.annotations
    trained_on = {seen.task.prompt(annotation, np.random.default_rng(seed)) for seed in range(300)}
    assert (
        seen.task.prompt(annotation) in trained_on
        and unseen.task.prompt(annotation) not in trained_on
    )
    asked = {unseen.question(replace(annotation, id=str(k)))[0][0] for k in range(100)}
    assert len(asked) == NUM_UNSEEN and not asked & trained_on


def test_a_limit_takes_whole_images_from_all_over_the_file(tiny_world):
    data = mixture(tiny_world, tasks=["vqav2"], scoring=Scoring(max_val=20))
    data.setup("validate")
    limited = data.eval_sources[0].annotations
    data.scoring = Scoring(max_val=None)
    data.setup("validate")
    whole = data.eval_sources[0].annotations
    assert len(limited) == 20 and len(whole) == 60
    images = [a.images for a in limited]
    assert len(set(images)) == 4
    assert images[0] == whole[0].images and images[-1] == whole[-1].images


def test_processes_share_the_questions(tiny_world, monkeypatch):
    data = mixture(tiny_world, tasks=["vqav2"], scoring=Scoring(eval_batch_size=7))
    data.setup("validate")
    seen: list[str] = []
    for rank in range(4):
        monkeypatch.setattr(data, "trainer", type("T", (), {"global_rank": rank, "world_size": 4}))
        seen += [a.id for batch in data.val_dataloader()[0] for a in batch["annotations"]]
    assert sorted(seen) == sorted(a.id for a in data.eval_sources[0].annotations)


def test_batches_of_the_loader_with_and_without_workers(tiny_world):
    batches = []
    for workers in (0, 1):
        data = mixture(tiny_world, num_workers=workers, batch_size=32, order=SampleOrder(70))
        data.setup("fit")
        batches.append(list(data.train_dataloader()))
    assert len(batches[0]) == 2
    for one, other in zip(*batches, strict=True):
        assert all(
            np.array_equal(one[key], other[key])
            for key in ("input_ids", "labels", "pixel_values", "source_index")
        )


def test_a_person_asks(tiny_world):
    data = mixture(tiny_world, tasks=["rec"])
    image = next((tiny_world / "coco" / "val2017").iterdir())
    data.question_images, data.question_text = [str(image)], "the red circle"
    data.setup("predict")
    (batch,) = data.predict_dataloader()[0]
    assert "the red circle" in tokenizer().decode(batch["input_ids"][0].tolist())
    assert batch["annotations"][0].sizes == ((96, 96),) and batch["pixel_values"].float().std() > 0
    data.choice.tasks = ["rec", "res"]
    with pytest.raises(ValueError, match="a question is of one task, not of rec, res"):
        data.setup("predict")


def test_missing_images_leave_training_where_that_is_allowed(tiny_world, tmp_path, monkeypatch):
    root = tmp_path / "copy"
    shutil.copytree(tiny_world, root)
    sources = {task: Source(task, "refcoco", "train", "train") for task in ("res", "reg")}
    settings = {
        "sources": sources,
        "cache": tmp_path / "compiled",
        "scoring": Scoring(max_val=None),
    }
    whole = mixture(root, **settings)
    whole.setup("fit")
    image = whole.train_sources[0].annotations[0].images[0]
    (root / image).unlink()
    monkeypatch.setattr(missing, "TOLERATED", 1.0)
    for allowed in (False, True):
        data = mixture(root, allow_missing=allowed, **settings)
        with pytest.warns(UserWarning, match="the image .* is missing") as caught:
            data.setup("fit")
        assert [each.category for each in caught].count(UserWarning) == 1
        for before, trained, scored in zip(
            whole.train_sources, data.train_sources, data.eval_sources, strict=True
        ):
            every = [a.id for a in before.annotations]
            left = [a.id for a in before.annotations if a.images != (image,)]
            assert len(left) < len(every)
            assert [a.id for a in trained.annotations] == (left if allowed else every)
            assert [a.id for a in scored.annotations] == every


@pytest.mark.parametrize(
    ("settings", "stage", "sentence"),
    [
        ({"tasks": ["ress"]}, "fit", "there is no task 'ress'; did you mean 'res'?"),
        ({"replay_tasks": ["capton"]}, "fit", "there is no task 'capton'; did you mean 'caption'?"),
        ({"tasks": ["gres"]}, "fit", "task gres has no source; add one under data.sources"),
        (
            {"sources": {"a": Source("res", "refcoco", val="val")}},
            "fit",
            "none of the chosen tasks has a source with",
        ),
        (
            {"sources": {"a": Source("res", "refcoco", train="train")}},
            "test",
            "with a split to test",
        ),
        (
            {"sources": {"a": Source("res", "refcoco", train="trian")}},
            "fit",
            "refcoco has no split 'trian'; it has",
        ),
    ],
)
def test_what_cannot_be_set_up_is_one_sentence(tiny_world, settings, stage, sentence):
    with pytest.raises(ValueError) as error:
        mixture(tiny_world, **settings).setup(stage)
    assert sentence in str(error.value) and "\n" not in str(error.value)


def test_a_missing_data_root_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere is not there; name it by --data\.root"):
        mixture(tmp_path / "nowhere").prepare_data()


def test_a_full_disk_of_the_generated_world_is_named(tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("datamodules.mixture.write_world", fail)
    with pytest.raises(InputError, match=rf"^the disk of {tmp_path} is full; free some space, or"):
        mixture(tmp_path / "world").prepare_data()


def test_half_a_world_of_a_killed_process_is_removed(tmp_path):
    live = tmp_path / ".world-unfinished-live"
    live.mkdir()
    (tmp_path / ".world-unfinished-killed/world").mkdir(parents=True)
    write_world(tmp_path / "world", num_train=1, num_val=1, num_test=1, num_workers=1)
    other = tmp_path / ".world-of-somebody"
    other.mkdir()
    with held(live), pytest.raises(InputError, match="holds a world of other settings"):
        mixture(tmp_path / "world").prepare_data()
    assert set(tmp_path.iterdir()) == {tmp_path / "world", live, other}
