"""Encoders, language models and tokenizers of today by folders alone: trained, resumed, scored, asked, built upon."""

import json
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from datamodules.synthetic.world import write_world
from tests.models.families import family_config
from tests.models.test_encoder import saved
from tests.tiny import run
from tests.tokens.families import save_family
from tests.training.test_processes import losses
from vista.models.encoder import build_encoder
from vista.training.checkpoints import read_checkpoint

# name -> tower, language model, tokenizer
BACKBONES = {
    "siglip_qwen3": ("siglip", "qwen3", "qwen"),
    "dinov2_qwen3": ("dinov2", "qwen3", "qwen"),
    "dinov2_smollm2": ("dinov2_registers", "smollm2", "smollm2"),
}
SOURCES = {
    "rec": {"task": "rec", "dataset": "refcoco", "train": "train", "val": "val", "test": {"rec": "testA"}},
    "nlvr2": {"task": "nlvr2", "dataset": "nlvr2", "train": "train", "val": "dev", "test": {"nlvr2": "test1"}},
    "coseg_groups": {"task": "coseg", "dataset": "coseg_groups", "train": "train2014"},
    "coseg": {"task": "coseg", "dataset": "coseg", "val": "pascal", "test": {"coseg": "msrc"}},
}  # fmt: skip
FEW = ["--data.scoring.max_val=2", "--data.scoring.max_test=2"]
STEPS = ["--data.order.epoch_samples=24", "--trainer.log_every_n_steps=1"]


class Backbones(NamedTuple):
    """A working folder with folders of parts, and the config that names them."""

    cwd: Path
    config: str
    tower: str
    llm: str


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions of one image, of two, and of three and more."""
    folder = tmp_path_factory.mktemp("data") / "some"
    write_world(folder, num_train=48, num_val=6, num_test=6, num_workers=1, formats=["coseg"])
    return folder


@pytest.fixture(params=BACKBONES)
def backbones(
    request: pytest.FixtureRequest, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Backbones:
    """What a user has: two folders that transformers wrote, and a config of their names."""
    monkeypatch.chdir(tmp_path)
    tower, llm, words = BACKBONES[request.param]
    saved(tower, tmp_path / "tower")
    save_family(words, tmp_path / "llm")
    size = len(PreTrainedTokenizerFast.from_pretrained(tmp_path / "llm"))
    config = family_config(llm, size + 7)  # tables are padded
    config.max_position_embeddings = 2048
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "llm")
    content = {
        "encoder": {"weights": "tower"},
        "llm": {"weights": "llm"},
        "tokenizer": {"folder": "llm", "bracket_layout": "compact"},
        "codec": {"num_points": 4},
        "model": {"optimization": {"learning_rate": 2e-3}},
        "trainer": {"accelerator": "cpu", "devices": 1, "max_epochs": 1},
        "data": {
            "root": str(root), "template": "own", "batch_size": 4, "num_workers": 0, "sources": SOURCES,
        },
    }  # fmt: skip
    (tmp_path / "sizes").mkdir()
    (tmp_path / "sizes/mine.yaml").write_text(yaml.safe_dump(content))
    return Backbones(tmp_path, "sizes/mine.yaml", tower, llm)


def done(*words: object) -> str:
    """What a command printed that ended well."""
    outcome = run(*words)
    assert outcome.code == 0, outcome.err
    return outcome.out


@pytest.mark.slow  # three trainings, scores and answers of each
def test_folders_alone_are_trained_scored_and_asked(backbones: Backbones, root: Path) -> None:
    command = ["fit", "--config", backbones.config, *STEPS, *FEW]
    middle = "--trainer.callbacks+=tests.training.test_sharding.SaveInTheMiddle"
    printed = done(*command, "--name=whole", middle)
    assert "tensors of tower" in printed and "tensors of llm" in printed

    # A resumed run ends as the unbroken one.
    done(*command, "--name=rest", "--ckpt_path=middle.ckpt")
    whole, rest = losses(Path("runs/whole")), losses(Path("runs/rest"))
    assert len(whole) == 6 and len(rest) == 3
    for before, after in zip(whole[3:], rest, strict=True):  # a source may not have been met again
        assert after == {name: before[name] for name in after}
    asked_of = {key for row in whole for key in row}
    assert asked_of >= {f"train/{name}/loss" for name in ("rec", "nlvr2", "coseg_groups")}
    ends = [
        read_checkpoint(Path(f"runs/{name}/checkpoints/last.ckpt")) for name in ("whole", "rest")
    ]
    states = [end["state_dict"] for end in ends]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])

    # The tower stayed as it was, without the weights that have no use.
    tower = build_encoder(weights=backbones.cwd / "tower").state_dict()
    assert all(torch.equal(states[0][f"model.vision_model.{n}"], t) for n, t in tower.items())

    # Scored and asked by the run's name alone: its folder says what it is made of.
    assert "coseg" in done("test", "--ckpt_path=rest", *FEW)
    answered = json.loads(Path("runs/rest/scores_test.json").read_text())["all"]
    assert {key.split("/")[1] for key in answered} >= {"rec", "nlvr2", "coseg"}
    images = sorted((root / "coco/val2017").iterdir())
    for task, count in (("rec", 1), ("nlvr2", 2), ("coseg", 3)):
        asked = ["predict", "--ckpt_path=rest", "--task", task, "--text", "the red circle"]
        answer = done(*asked, "--images", *images[:count], "--out", f"{task}.png").strip()
        assert answer and Path(f"{task}.png").is_file()
        assert task != "coseg" or answer.count("[") == 3

    # Another stage takes its weights by name.
    printed = done(*command, "--name=next", "--model.init_from=rest", "--trainer.fast_dev_run=true")
    assert printed.count("runs/rest/checkpoints/") == 4  # a line for each part


@pytest.mark.slow  # fifty steps, scores and an answer of each
def test_fifty_steps_teach(backbones: Backbones, root: Path) -> None:
    """Random weights from transformers' own configs; by the config of their folders alone."""
    longer = [
        "--data.order.epoch_samples=400",
        "--data.batch_size=8",
        "--trainer.log_every_n_steps=1",
    ]
    done("fit", "--config", backbones.config, *longer, *FEW, "--name=fifty")
    seen = [row["train/loss"] for row in losses(Path("runs/fifty"))]
    assert len(seen) == 50 and mean(seen[-5:]) < 0.8 * mean(seen[:5])
    assert "coseg" in done("test", "--ckpt_path=fifty", *FEW)
    image = next((root / "coco/val2017").iterdir())
    asked = ["predict", "--ckpt_path=fifty", "--task=rec", "--text", "the red circle"]
    assert done(*asked, "--images", image, "--out=rec.png").strip()
