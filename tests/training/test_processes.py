"""Two processes (gloo, DDP) against one on the same global batches: the same losses, scores and weights."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.tiny import FLAGS, ROOT, run

SETTINGS = [
    "--data.tasks=[caption,vqav2,rec]", "--data.batch_size=16", "--data.order.epoch_samples=160",
    "--trainer.max_epochs=1", "--trainer.log_every_n_steps=1",
    "--data.scoring.max_val=7", "--data.scoring.eval_batch_size=4",
]  # fmt: skip


def losses(folder: Path) -> list[dict[str, float]]:
    with (folder / "logs" / "metrics.csv").open() as file:
        rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
    return [
        {k: v for k, v in row.items() if k.startswith("train/")}
        for row in rows
        if "train/loss" in row
    ]


def test_two_processes_equal_one(tiny_world, tmp_path, monkeypatch):
    """Ten steps and one validation of about 7 questions a source; about 30 CPU-seconds, most of it imports; seed 0."""
    monkeypatch.chdir(tmp_path)
    command = ["fit", "--config", "stage1", *FLAGS, *SETTINGS, f"--data.root={tiny_world}"]
    outcome = run(*command, "--name=one")
    assert outcome.code == 0, outcome.err
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        ROOT / "main.py",
    ]
    two = ["--name=two", "--trainer.devices=2", "--trainer.strategy=ddp"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*launcher, *command, *two], env=environment, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two_ = tmp_path / "runs" / "one", tmp_path / "runs" / "two"
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {"one", "two"}
    assert done.stdout.count("run: ") == 1 and done.stdout.count("language_model") == 1
    for alone, together in zip(losses(one), losses(two_), strict=True):
        assert together == pytest.approx(alone, rel=2e-4)
    tables = [json.loads((folder / "scores_val.json").read_text()) for folder in (one, two_)]
    assert tables[0]["all"] == pytest.approx(tables[1]["all"], abs=1e-3)
    assert tables[0]["table"] == tables[1]["table"]  # the baselines, too
    assert [row["n"] for row in tables[0]["table"]] == [7, 5, 10]
    ends = [
        torch.load(f / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for f in (one, two_)
    ]
    for name, tensor in ends[0].items():
        # A key's bias shifts all logits of a query alike: its gradient is rounding, which Adam makes into whole steps.
        if name != "learned_words" and not name.endswith("key.bias"):
            assert torch.allclose(tensor, ends[1][name], atol=2e-4), name
    assert json.loads((two_ / "done.json").read_text())["step"] == 10
