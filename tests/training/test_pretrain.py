"""Stage 0: dense targets of the world's scenes, and an encoder that `fit` can take."""

import numpy as np
import pytest
import torch

from datamodules.pretrain import PretrainingData
from datamodules.synthetic.world import write_pretraining
from tests.tiny import FLAGS, run
from vista.geometry import decode_segmentation
from vista.models.encoder import build_encoder
from vista.training.pretrain import box_of_waves, box_waves

SIZE, PATCH = 48, 8


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "pretrain"
    write_pretraining(root, num_scenes=24, image_size=SIZE, num_workers=1)
    return root


@pytest.fixture
def data(scenes) -> PretrainingData:
    data = PretrainingData(
        scenes,
        num_scenes=24,
        num_val=4,
        image_size=SIZE,
        grid=SIZE // PATCH,
        batch_size=5,
        num_workers=0,
    )
    data.prepare_data()
    data.setup()
    return data


def test_targets_of_a_patch_are_those_of_the_object_that_covers_most_of_it(data):
    item, annotation = data.train[3], data.train.annotations[3]
    masks = np.stack([decode_segmentation(s, (SIZE, SIZE)) for s in annotation.segmentations])
    assert item["pixel_values"].shape == (3, SIZE, SIZE)
    number = 0
    for row in range(SIZE // PATCH):
        for column in range(SIZE // PATCH):
            place = np.s_[:, row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
            cover = masks[place].sum(axis=(1, 2))
            best = int(cover.argmax())
            name = annotation.extra["categories"][best]
            said = [
                word
                for word, there in zip(data.train.words, item["words"][number], strict=True)
                if there
            ]
            assert said == (sorted(name.split()) if cover.any() else [])
            if cover.any():
                assert item["box"][number].tolist() == pytest.approx(
                    [v / SIZE for v in annotation.boxes[best]]
                )
            number += 1
    assert number == len(item["words"])


def test_waves_of_a_box_are_undone():
    box = torch.rand(50, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(box_of_waves(box_waves(box)), box, atol=1e-6, rtol=0)


def test_held_out_scenes_are_the_last_ones(data):
    assert len(data.train) == 20 and len(data.val) == 4
    assert not {a.id for a in data.train.annotations} & {a.id for a in data.val.annotations}
    assert len(data.train_dataloader()) == 4 and len(data.val_dataloader()) == 1
    with pytest.raises(ValueError, match="of 24 scenes, 24 cannot be held out"):
        PretrainingData(num_scenes=24, num_val=24)


def test_the_encoder_is_written_and_can_be_taken_by_fit(scenes, tiny_world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sizes = [
        "--encoder.hidden_size=32",
        "--encoder.num_layers=1",
        "--encoder.mlp_size=32",
        "--encoder.num_heads=2",
    ]
    here = ["--encoder.image_size=48", *sizes]
    settings = f"--data.root={scenes} --data.num_scenes=24 --data.num_val=4 --data.batch_size=5 --data.num_workers=0"
    arguments = [
        *here,
        *settings.split(),
        "--trainer.max_steps=8",
        "--model.out=new/encoder.safetensors",
    ]
    outcome = run("pretrain", "--config", "stage0", *arguments)
    assert outcome.code == 0, outcome.err
    assert [p.name for p in tmp_path.iterdir()] == ["new"]
    start, trained = (
        build_encoder(48, 8, 32, 1, 2, 32, weights)
        for weights in (None, tmp_path / "new/encoder.safetensors")
    )
    assert not torch.equal(
        start.embeddings.patch_embedding.weight, trained.embeddings.patch_embedding.weight
    )
    taken = [
        *FLAGS,
        *here,
        "--encoder.weights=new/encoder.safetensors",
        f"--data.root={tiny_world}",
    ]
    outcome = run(
        "fit", *taken, "--data.tasks=[rec]", "--data.batch_size=4", "--trainer.fast_dev_run=true"
    )
    assert outcome.code == 0, outcome.err
    outcome = run("fit", *taken, "--encoder.num_heads=4")
    assert "num_attention_heads is 2 there and --encoder.num_heads is 4" in outcome.err


def test_weights_of_another_size_are_one_sentence(tmp_path, monkeypatch):
    from safetensors.torch import save_file

    monkeypatch.chdir(tmp_path)
    weights = {
        name: tensor.contiguous()
        for name, tensor in build_encoder(32, 8, 32, 1, 2, 32).state_dict().items()
    }
    save_file(weights, "encoder.safetensors")
    outcome = run("fit", *FLAGS, "--encoder.weights=encoder.safetensors", "--encoder.mlp_size=64")
    assert outcome.code == 2
    assert "mlp.fc1.weight has shape (32, 32), the model needs (64, 32)" in outcome.err
    outcome = run("fit", *FLAGS, "--encoder.weights=encoder.safetensors", "--encoder.num_layers=2")
    assert (
        "lacks" in outcome.err
        and "parameters of InstructBlipVisionModel, the first is encoder.layers.1." in outcome.err
    )
    (tmp_path / "broken.safetensors").write_text("nothing")
    outcome = run("fit", *FLAGS, "--encoder.weights=broken.safetensors")
    assert outcome.code == 2 and outcome.err.strip().splitlines()[-1].startswith(
        "error: broken.safetensors"
    )
