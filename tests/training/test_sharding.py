"""FSDP2 on CPU processes (gloo): the same losses as one process, and checkpoints that any number of processes takes."""

import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy
from torch.distributed.device_mesh import init_device_mesh

from tests.tiny import FLAGS, ROOT, ask, logits_of, run, tiny_model
from tests.training.test_processes import losses
from vista.module import VistaModule
from vista.tokens.batch_types import Example
from vista.training.checkpoints import read_checkpoint
from vista.training.sharded_checkpoints import sound_metadata
from vista.training.sharding import gather, release, shard

SETTINGS = [
    "--data.tasks=[caption,rec]", "--data.batch_size=16", "--data.order.epoch_samples=128", "--data.scoring.max_val=6",
    "--trainer.max_epochs=1", "--trainer.log_every_n_steps=1", "--data.scoring.eval_batch_size=4",
    "--model.optimization.optimizer=adamw", "--model.optimization.learning_rate=1.5e-3",
]  # fmt: skip


class SaveInTheMiddle(Callback):
    """A checkpoint after three steps."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        if trainer.global_step == 3:
            trainer.save_checkpoint("middle.ckpt")


class FullDisk(Callback):
    """A second save of one checkpoint, while which the disk of one process is full."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        if trainer.global_step == 3 and trainer.global_rank == 1:
            os.fsync = fail  # called at the end of each file
        if trainer.global_step in (2, 3):
            trainer.save_checkpoint("again.ckpt")


def fail(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def sharded(
    command: list[str], nodes: int, devices: int, *more: str, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Runs on nodes x devices processes; one machine stands for all nodes."""
    count = nodes * devices
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={count}",
    ]
    strategy = "--trainer.strategy.init_args"
    settings = [
        f"--trainer.devices={count}",
        "--trainer.strategy.class_path=lightning.pytorch.strategies.ModelParallelStrategy",
        f"{strategy}.data_parallel_size={nodes}", f"{strategy}.tensor_parallel_size={devices}",
        f"{strategy}.process_group_backend=gloo",
    ]  # fmt: skip
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(ROOT),
    }
    words = [*launcher, str(ROOT / "main.py"), *command, *settings, *more]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == code, done.stderr[-3000:]
    return done


def test_sharded_processes_equal_one_and_exchange_checkpoints(tiny_world, tmp_path, monkeypatch):
    """Eight steps by one process, by two that share the weights; the last five by two pairs that go on from there."""
    monkeypatch.chdir(tmp_path)
    command = ["fit", "--config", "stage1", *FLAGS, *SETTINGS, f"--data.root={tiny_world}"]
    outcome = run(*command, "--name=one")
    assert outcome.code == 0, outcome.err
    sharded(
        command,
        1,
        2,
        "--name=two",
        "--trainer.callbacks+=tests.training.test_sharding.SaveInTheMiddle",
    )
    sharded(command, 2, 2, "--name=four", "--ckpt_path=middle.ckpt")
    one, two, four = (losses(tmp_path / "runs" / name) for name in ("one", "two", "four"))
    assert len(one) == len(two) == 8 and len(four) == 5
    assert "ShardedStrategy" in Path("runs/two/config.yaml").read_text(), (
        "in the place of Lightning's"
    )
    for alone, together in zip([*one, *one[3:]], [*two, *four], strict=True):
        assert together == pytest.approx(alone, rel=2e-4)
    ends = [
        read_checkpoint(tmp_path / "runs" / name / "checkpoints/last.ckpt")
        for name in ("one", "two", "four")
    ]
    for name, tensor in ends[0]["state_dict"].items():
        # A key's bias shifts all logits of a query alike: its gradient is rounding, which Adam makes into whole steps.
        if not name.endswith("key.bias"):
            for other in ends[1:]:
                torch.testing.assert_close(other["state_dict"][name], tensor, atol=2e-4, rtol=0)

    outcome = run("consolidate", "runs/two/checkpoints/last.ckpt", "whole.ckpt")
    assert outcome.code == 0 and "whole.ckpt" in outcome.out, outcome.err
    scores = []
    one_process = ["--trainer.devices=1", "--trainer.strategy=auto", "--data.scoring.max_val=6"]
    one_process.append("--trainer.callbacks=null")  # that of `two` is not Lightning's
    for checkpoint in ("whole.ckpt", "runs/two/checkpoints/last.ckpt"):
        words = ["--task", "rec", f"--ckpt_path={checkpoint}", f"--data.root={tiny_world}"]
        outcome = run("validate", *FLAGS, *words, *one_process)
        assert outcome.code == 0, outcome.err
        scores.append(outcome.out.splitlines()[-3:])
    assert scores[0] == scores[1]


@pytest.mark.slow  # two runs of two processes; of one process: test_a_full_disk_keeps_the_checkpoint_before
def test_a_disk_that_is_full_for_one_process_is_a_sentence_and_spoils_nothing(
    tiny_world, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    command = ["fit", "--config", "stage1", *FLAGS, *SETTINGS, f"--data.root={tiny_world}"]
    plugin = "--trainer.callbacks+=tests.training.test_sharding.FullDisk"
    done = sharded(command, 1, 2, "--name=full", plugin, code=1)  # torchrun's own
    assert "error: the disk of runs/full is full" in done.stderr
    # torchrun's own traceback tells of its children; that of the program would name the error.
    assert "OSError" not in done.stderr and "CheckpointException" not in done.stderr
    assert read_checkpoint(Path("again.ckpt"))["global_step"] == 2
    assert not list(tmp_path.rglob("*.unfinished"))


def test_a_model_that_has_answered_can_be_trained(tmp_path):
    """As where a resumed run makes up for a validation before its first step."""
    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        model, batch = tiny_model(), ask(Example(("a",), (("<image> what ?", ""),)))
        batch["labels"] = batch["input_ids"]
        shard(model, init_device_mesh("cpu", (1,)), bf16=False)
        gather(model)
        with torch.no_grad():
            logits_of(model, batch)
        release(model)
        model(batch).sum().backward()
        assert all(p.grad is not None for p in model.language_model.parameters())
    finally:
        dist.destroy_process_group()


def test_the_older_fsdp_is_refused():
    module: Any = SimpleNamespace(trainer=SimpleNamespace(strategy=FSDPStrategy()))
    with pytest.raises(ValueError, match=r"take FSDP2, as configs/places/fsdp\.yaml does"):
        VistaModule.configure_model(module)


def test_a_folder_that_is_no_sharded_checkpoint_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, ("touch " + str(tmp_path / "ran"),)

    for content, complaint in (
        (pickle.dumps(Evil()), "it asks for posix.system"),
        (b"none", "is damaged"),
    ):
        (tmp_path / ".metadata").write_bytes(content)
        with pytest.raises(ValueError, match=complaint):
            sound_metadata(tmp_path)
    with pytest.raises(ValueError, match="is no sharded checkpoint"):
        sound_metadata(Path(tmp_path / "nowhere"))
    assert not (tmp_path / "ran").exists()
