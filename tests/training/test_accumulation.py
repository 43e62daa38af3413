"""A step of several batches has the gradient of one batch that holds them all, on any number of processes."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Callback, LightningDataModule, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor
from torch.utils.data import DataLoader

from tests.tiny import QUERIES, ROOT, picture, tokenizer
from tests.training.test_module import module
from vista.module import VistaModule
from vista.tokens.batch import collate, encode_example
from vista.tokens.batch_types import Example
from vista.training.optimizer import Optimization

ANSWERS = ["yes", "a red circle left of a blue square", "no", "[1, 2, 3, 4]"]
Weights = tuple[float, float, float, float]  # of a token of each answer's source
ALIKE, BY_LENGTH = (1.0, 1.0, 1.0, 1.0), (1 / 2, 1 / 9, 1 / 2, 1 / 7)
STEPS = [range(8), range(8, 12)]  # of twelve samples, one after the other, eight a step

Gradients = list[dict[str, Tensor]]


def batch_of(numbers: Sequence[int], weights: Weights) -> dict[str, Any]:
    """Some of twelve samples."""
    examples = [Example((f"image{n}",), (("<image> what ?", ANSWERS[n % 4]),)) for n in numbers]
    samples = [encode_example(example, tokenizer()) for example in examples]
    images = {f"image{n}": picture(f"image{n}") for n in numbers}
    batch = collate(samples, images, tokenizer(), QUERIES)
    weighed = torch.tensor([weights[n % 4] for n in numbers])[:, None]
    return {
        **batch,
        "source_index": torch.tensor([n % 4 for n in numbers]),
        "loss_weights": (batch["labels"] >= 0) * weighed,
        "ids": [f"s:{n}" for n in numbers],
    }


class Batches(LightningDataModule):
    """Batches that are made already."""

    train_sources = tuple(SimpleNamespace(name=f"source{k}") for k in range(4))

    def __init__(self, batches: Sequence[Sequence[int]], weights: Weights = ALIKE) -> None:
        super().__init__()
        self.batches, self.weights = batches, weights

    def train_dataloader(self) -> DataLoader[Any]:
        """This process's share of each: every n-th sample, where n processes learn."""
        assert self.trainer is not None
        rank, size = self.trainer.global_rank, self.trainer.world_size
        shares = [batch_of(list(batch)[rank::size], self.weights) for batch in self.batches]
        return DataLoader(shares, batch_size=None)  # type: ignore[arg-type]


class Keep(Callback):
    """The gradients that the optimizer is given: what `Faults` looks at and clipping comes after."""

    def __init__(self) -> None:
        self.steps: Gradients = []
        self.losses: list[float] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        named = pl_module.named_parameters()
        self.steps.append({name: p.grad.clone() for name, p in named if p.grad is not None})

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == len(self.losses) + 1:
            self.losses.append(float(trainer.callback_metrics["train/loss"]))


def train(batches: Sequence[Sequence[int]], weights: Weights, each: int, **settings: Any) -> Keep:
    """One epoch in which no weight changes."""
    torch.manual_seed(0)
    whole: VistaModule = module(
        optimization=Optimization(learning_rate=0.0), trainable=["tokenizer", "llm"]
    )  # fmt: skip
    keep = Keep()
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, callbacks=[keep], accumulate_grad_batches=each,
        **settings,
    )  # fmt: skip
    trainer.fit(whole, datamodule=Batches(batches, weights))
    return keep


def one_by_one(weights: Weights, **settings: Any) -> Keep:
    """Twelve batches of one sample, eight of them a step: the last step has but four."""
    return train([[n] for n in range(12)], weights, 8, **settings)


def compare(found: Gradients, wanted: Gradients, within: float = 1e-6) -> None:
    """Direction and length are the same."""
    assert len(found) == len(wanted)
    for some, others in zip(found, wanted, strict=True):
        assert some.keys() == others.keys()
        a = torch.cat([some[name].flatten() for name in others]).double()
        b = torch.cat([gradient.flatten() for gradient in others.values()]).double()
        assert float(a @ b / (a.norm() * b.norm())) > 1 - within
        assert float(a.norm() / b.norm()) == pytest.approx(1, abs=10 * within)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("weights", [ALIKE, BY_LENGTH])
def test_eight_batches_of_one_are_one_batch_of_eight(weights):
    """And the last window of an epoch, which has only four; the loss that is logged is that of the whole step."""
    accumulated, at_once = one_by_one(weights), train(STEPS, weights, 1)
    compare(accumulated.steps, at_once.steps)
    assert accumulated.losses == pytest.approx(at_once.losses, rel=1e-5)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_batch_without_a_token_changes_nothing(monkeypatch):
    """Also where it is the first one, by whose weight the others are divided until all is known."""
    at_once = train([range(1, 8), range(9, 12)], ALIKE, 1)
    whole = batch_of

    def without(numbers: Sequence[int], weights: Weights) -> dict[str, Any]:
        batch = whole(numbers, weights)
        empty = torch.tensor([n in (0, 8) for n in numbers])
        batch["labels"][empty], batch["loss_weights"][empty] = -100, 0.0
        return batch

    monkeypatch.setattr("tests.training.test_accumulation.batch_of", without)
    compare(one_by_one(ALIKE).steps, at_once.steps)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_scaler_of_fp16_and_clipping_see_the_gradient_of_the_step():
    """The scale is off before gradients are clipped, and what is clipped is as long as it would be at once."""

    class Norms(Callback):
        def __init__(self) -> None:
            self.norms: list[float] = []

        def on_before_zero_grad(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
            gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
            if gradients:
                self.norms.append(float(torch.stack([g.norm() for g in gradients]).norm()))

    def scaled() -> MixedPrecision:
        return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=64.0))

    accumulated = one_by_one(ALIKE, plugins=[scaled()])
    compare(accumulated.steps, train(STEPS, ALIKE, 1, plugins=[scaled()]).steps, within=1e-3)
    norms = Norms()
    torch.manual_seed(0)
    trainer = Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[norms], accumulate_grad_batches=8, plugins=[scaled()],
        gradient_clip_val=1e-2,
    )  # fmt: skip
    still = Optimization(learning_rate=0.0)
    trainer.fit(module(optimization=still), datamodule=Batches([[n] for n in range(12)]))
    assert norms.norms == pytest.approx([1e-2] * len(norms.norms), rel=1e-3) and norms.norms


def test_two_processes_accumulate_as_one_does(tmp_path):
    """Batches of two, one sample on each process, four batches a step."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "tests.training.test_accumulation",
        str(tmp_path / "gradients.pt"),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr[-3000:]
    together = torch.load(tmp_path / "gradients.pt", weights_only=True)
    for weights, gradients in zip((ALIKE, BY_LENGTH), together, strict=True):
        compare(gradients, train(STEPS, weights, 1).steps)


def two_processes(out: Path) -> None:
    """What each of the two processes does."""
    pairs = [[n, n + 1] for n in range(0, 12, 2)]
    ddp = {"devices": 2, "strategy": "ddp_find_unused_parameters_true"}
    found = [train(pairs, weights, 4, **ddp).steps for weights in (ALIKE, BY_LENGTH)]
    if torch.distributed.get_rank() == 0:
        torch.save(found, out)


if __name__ == "__main__":
    two_processes(Path(sys.argv[1]))
