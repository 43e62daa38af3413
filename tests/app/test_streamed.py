"""Processes that share the weights of a checkpoint of transformers, of which each reads its own rows."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from transformers import InstructBlipConfig, InstructBlipForConditionalGeneration

from tests.tiny import QUERIES, ROOT, run, tiny_model
from tests.training.test_processes import losses
from tests.training.test_sharding import sharded
from vista.training.checkpoints import read_checkpoint

ROWS = 1201  # of the language model's tables in the file; ours have more
STEPS = [
    "--data.order.epoch_samples=48", "--data.scoring.max_val=4", "--data.scoring.eval_batch_size=4",
    "--trainer.log_every_n_steps=1",
]  # fmt: skip


def write_instructblip(folder: Path) -> None:
    """A small InstructBLIP, as transformers saves it: in several files, with an index."""
    parts = tiny_model()
    config = InstructBlipConfig(
        vision_config=parts.vision_model.config.to_dict(),
        qformer_config=parts.qformer.config.to_dict(),
        text_config=parts.language_model.config.to_dict() | {"vocab_size": ROWS},
        num_query_tokens=QUERIES,
        image_token_index=None,
    )
    torch.manual_seed(1)
    model = InstructBlipForConditionalGeneration(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:  # its own first weights are zeros and next to nothing
                parameter.normal_(std=0.1)
    model.save_pretrained(folder, max_shard_size="100KB")
    assert len(json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]) > 50


@pytest.mark.slow  # two processes; what they read: tests/training/test_start.py
def test_a_composite_folder_is_trained_in_shares_as_in_one_piece(
    tiny_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loss for loss, and weight for weight; the shares are scored in one piece, and resumed."""
    monkeypatch.chdir(tmp_path)
    write_instructblip(tmp_path / "blip")
    content = {
        **{part: {"weights": "blip"} for part in ("encoder", "qformer", "llm")},
        "model": {"weights": "blip", "optimization": {"optimizer": "adamw", "learning_rate": 1.5e-3}},
        "tokenizer": {"folder": str(ROOT / "configs/tiny/tokenizer"), "bracket_layout": "compact"},
        "codec": {"num_points": 4},
        "trainer": {"accelerator": "cpu", "devices": 1, "max_epochs": 1},
        "data": {
            "root": str(tiny_world), "tasks": ["caption", "rec", "nlvr2"], "batch_size": 8, "num_workers": 0,
        },
    }  # fmt: skip
    (tmp_path / "sizes").mkdir()
    (tmp_path / "sizes/blip.yaml").write_text(yaml.safe_dump(content))
    command = ["fit", "--config", "sizes/blip.yaml", *STEPS]
    outcome = run(*command, "--name=one")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("tensors of blip") == 4 and "rows of the vocabulary" in outcome.out
    middle = "--trainer.callbacks+=tests.training.test_sharding.SaveInTheMiddle"
    printed = sharded(command, 1, 2, "--name=two", middle).stdout
    assert printed.count("tensors of blip") == 4, "said once"
    sharded(command, 1, 2, "--name=rest", "--ckpt_path=middle.ckpt")
    one, two, rest = (losses(Path("runs") / name) for name in ("one", "two", "rest"))
    assert len(one) == len(two) == 6 and len(rest) == 3
    for alone, together in zip(one, two, strict=True):
        assert together == pytest.approx(alone, rel=2e-4)
    for alone, together in zip(one[3:], rest, strict=True):  # a source may not have been met again
        assert together == pytest.approx({name: alone[name] for name in together}, rel=2e-4)
    ends = [read_checkpoint(Path(f"runs/{name}/checkpoints/last.ckpt")) for name in ("one", "two")]
    for name, tensor in ends[0]["state_dict"].items():
        # A key's bias shifts all logits of a query alike: its gradient is rounding, which Adam makes into whole steps.
        if not name.endswith("key.bias"):
            torch.testing.assert_close(ends[1]["state_dict"][name], tensor, atol=2e-4, rtol=0)
    outcome = run(
        "test", "--task=rec", "--ckpt_path=runs/two", "--trainer.strategy=auto", "--trainer.devices=1",
        "--trainer.callbacks=null", "--data.scoring.max_test=2",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
