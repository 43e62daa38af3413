"""Other encoders by a setting alone: what the built tower says reaches the QFormer and the data."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from datamodules.synthetic.world import write_pretraining
from tests.models.test_encoder import saved
from tests.tiny import FLAGS, run
from vista.models.encoder import build_encoder

PARTS = [flag for flag in FLAGS if not flag.startswith("--encoder")]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("siglip", "images are 28 x 28, mean and deviation those of SigLIP"),
        ("convnext", "images are 32 x 32, mean and deviation those of ImageNet"),
    ],
)
def test_a_folder_is_all_that_fit_needs(
    name: str, shown: str, tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encoder is trained along; without a class token, and with a feature map."""
    monkeypatch.chdir(tmp_path)
    saved(name, tmp_path / name)
    outcome = run(
        "fit", *PARTS, f"--encoder.weights={name}", f"--data.root={tiny_world}", "--data.tasks=[rec]",
        "--data.batch_size=4", "--model.trainable=[encoder,tokenizer]", "--trainer.fast_dev_run=true",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert shown in outcome.out and "vision_model" in outcome.out


@pytest.mark.parametrize("name", ["dinov3", "resnet"])
def test_stage_0_trains_any_of_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it writes is a tower of the same kind, read without its folder; a CNN has learned its statistics."""
    monkeypatch.chdir(tmp_path)
    write_pretraining(tmp_path / "scenes", num_scenes=12, image_size=32, num_workers=1)
    before = saved(name, tmp_path / name).state_dict()
    outcome = run(
        "pretrain", "--config", "stage0", f"--encoder.weights={name}", "--encoder.image_size=32",
        "--data.root=scenes", "--data.num_scenes=12", "--data.num_val=2", "--data.batch_size=5",
        "--data.num_workers=0", "--trainer.max_steps=2", "--model.out=new.safetensors",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    trained = build_encoder(weights=tmp_path / "new.safetensors")
    assert trained.config.model_type == TYPES[name]
    written = load_file("new.safetensors")
    assert trained.state_dict().keys() == written.keys()
    changed = [key for key, value in written.items() if not torch.equal(value, before[key])]
    assert any("running_mean" in key for key in changed) is (name == "resnet")
    assert len(changed) > len(written) / 2


TYPES = {"dinov3": "dinov3_vit", "resnet": "resnet"}
