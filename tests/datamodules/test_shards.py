"""Training on images in tar shards: the order, the batches, resuming and the audit are those of files."""

from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.mixture import MixtureData
from datamodules.order import GlobalBatches
from datamodules.readers.own_settings import OwnData
from datamodules.settings import SampleOrder
from datamodules.source import Source
from tests.own_data import of_world, write_jsonl
from tests.shards import pack_folder
from tests.tiny import QUERIES, tokenizer
from vista.codec.codec import Codec
from vista.data import InputError

SPLITS = {"train": "train.jsonl", "val": "val.jsonl", "test": "test.jsonl"}
SHARDS = "packed/photos-{000000..000004}.tar"


@pytest.fixture(scope="module")
def root(tiny_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Expressions of the world, its images in files and in five shards."""
    root = tmp_path_factory.mktemp("shards")
    photos = tiny_world / "coco/train2017"
    (root / "photos").symlink_to(photos)
    pack_folder(photos, root / "packed/photos", 5)
    annotations = of_world(tiny_world)
    for name, part in (("train", annotations), ("val", annotations[:9]), ("test", annotations[:1])):
        write_jsonl(root / f"{name}.jsonl", "ms-swift", part, "pixels")
        path = root / f"{name}.jsonl"
        path.write_text(path.read_text().replace("coco/train2017/", ""))
    return root


def mixture(root: Path, images: str, cache: Path, **settings: Any) -> MixtureData:
    own = OwnData(files=SPLITS, images=images)
    sources = {"mine": Source("grec", "jsonl", "train", "val", own=own)}
    settings = {"sources": sources, "batch_size": 16, "num_workers": 0} | settings
    data = MixtureData(
        tokenizer(), Codec(), root=root, cache=cache, num_queries=QUERIES, image_size=32, **settings
    )
    data.setup("fit")
    return data


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[key], other[key]) if torch.is_tensor(one[key]) else one[key] == other[key]
        for key in one
    )


@pytest.mark.parametrize("order", [SampleOrder(96), SampleOrder(sorted_epochs=1, epoch_samples=96)])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_files_also_from_the_middle_on(root, tmp_path, order, workers):
    batches = {}
    for images in ("photos", SHARDS):
        data = mixture(root, images, tmp_path, order=order, num_workers=workers)
        whole = data.train_dataloader()
        resumed = data._loader(whole.dataset, GlobalBatches(data.train_order, 16, epoch=1, start=2))
        batches[images] = [list(whole), list(resumed)]
    for one, other in zip(batches["photos"], batches[SHARDS], strict=True):
        assert len(one) == len(other) >= 4
        assert all(same(a, b) for a, b in zip(one, other, strict=True))
    first = batches[SHARDS][0][0]
    assert (
        first["pixel_values"].float().std() > 10 and not first["unusable"]
    )  # bytes, not of one grey


def test_a_test_image_in_a_shard_is_left_out(root, tmp_path):
    """By its shard and name where both are read in shards, and by COCO's number wherever the file lies."""
    own = OwnData(files=SPLITS, images=SHARDS)
    tested = {
        "shards": Source("grec", "jsonl", "train", "", {"of_shards": "test"}, own=own),
        "files": Source(
            "grec",
            "jsonl",
            "",
            "",
            {"of_files": "test"},
            own=OwnData(files=SPLITS, images="photos"),
        ),
    }
    clean = len(mixture(root, SHARDS, tmp_path).train_sources[0].annotations)
    for chosen in (["shards"], ["files"]):
        train = {"shards": Source("grec", "jsonl", "train", own=own)}
        sources = train | {name: tested[name] for name in chosen}
        data = mixture(root, SHARDS, tmp_path, sources=sources)
        (source,) = data.train_sources
        (shown,) = {a.images for a in data.splits.read("x", tested[chosen[0]], "test")}
        number = Path(shown[0]).name
        lost = clean - len(source.annotations)
        assert lost >= 1 and not [a for a in source.annotations if a.images[0].endswith(number)]


def test_a_shard_that_is_gone_or_lacks_images_is_named(root, tmp_path):
    lines = (root / "train.jsonl").read_text().splitlines()
    (root / "lacking.jsonl").write_text(
        "\n".join([lines[0].replace(".jpg", "x.jpg"), *lines[1:]]) + "\n"
    )
    own = OwnData(files={"train": "lacking.jsonl"}, images=SHARDS)
    sources = {"mine": Source("grec", "jsonl", "train", own=own)}
    with pytest.warns(
        UserWarning, match=r"the image packed/photos-000000\.tar/.*x\.jpg is missing"
    ):
        mixture(root, SHARDS, tmp_path, sources=sources, allow_missing=True)
    own = OwnData(files=SPLITS, images="packed/photos-{000000..000005}.tar")
    with pytest.raises(InputError, match=r"needs .*photos-000005\.tar, which is not there"):
        mixture(root, SHARDS, tmp_path, sources={"mine": Source("grec", "jsonl", "train", own=own)})
