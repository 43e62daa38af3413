"""Stage 3 in a trainer: processes in step, the same answers after a kill, several updates a batch, what is refused."""

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
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from tasks import Task
from tests.tiny import QUERIES, ROOT, picture, tokenizer
from tests.training.test_accumulation import Gradients, Keep, compare
from tests.training.test_module import module
from vista.codec.codec import Codec
from vista.data import Annotation
from vista.reinforced import ReinforcedModule
from vista.tokens.batch import collate, encode_example
from vista.tokens.batch_types import Example
from vista.training.optimizer import Optimization
from vista.training.policy import Reinforcement

CODEC = Codec(num_points=4)
BOXES = (
    (2.0, 3.0, 20.0, 25.0),
    (10.0, 1.0, 30.0, 12.0),
    (0.0, 0.0, 31.0, 31.0),
    (5.0, 9.0, 9.0, 30.0),
)
STILL = Optimization(learning_rate=0.0)


def sources(names: Sequence[str]) -> list[Any]:
    """Each task on four annotations."""
    made = []
    for name in names:
        annotations = []
        for k, box in enumerate(BOXES):
            shown: dict[str, Any] = {
                "images": (f"image{k}",),
                "sizes": ((32, 32),),
                "boxes": (box,),
            }
            words = {"expression": "it", "question": "is there a dog ?", "label": "yes"}
            annotations.append(Annotation(str(k), **shown, **words))
        made.append(
            SimpleNamespace(name=name, task=Task.known[name](CODEC), annotations=annotations)
        )
    return made


class Epochs(LightningDataModule):
    """One batch an epoch, whose questions are counted through all tasks and annotations."""

    def __init__(
        self, names: Sequence[str], batch: Sequence[int], unusable: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.train_sources = sources(names)
        self.batch, self.unusable = batch, unusable

    def train_dataloader(self) -> DataLoader[Any]:
        """This process's share: every n-th sample, where n processes learn."""
        assert self.trainer is not None
        rank, size = self.trainer.global_rank, self.trainer.world_size
        share = self._batch(list(self.batch)[rank::size], self.trainer.current_epoch)
        return DataLoader([share], batch_size=None)  # type: ignore[arg-type]

    def _batch(self, numbers: Sequence[int], epoch: int) -> dict[str, Any]:
        keys, samples, images = [], [], {}
        for n in numbers:
            which, index = n % len(self.train_sources), n // len(self.train_sources) % len(BOXES)
            source = self.train_sources[which]
            annotation = source.annotations[index]
            turns = ((f"<image> {source.name}", source.task.target(annotation)),)
            samples.append(encode_example(Example(annotation.images, turns), tokenizer()))
            images[annotation.images[0]] = picture(annotation.images[0])
            keys.append((epoch, n, which, index))
        batch = collate(samples, images, tokenizer(), QUERIES)
        weights = (batch["labels"] >= 0).float()
        weights[[n in self.unusable for n in numbers]] = 0.0
        return {
            **batch, "keys": keys, "loss_weights": weights, "ids": [f"s:{n}" for n in numbers],
            "source_index": torch.tensor([source for _, _, source, _ in keys]),
        }  # fmt: skip


class Drawn(Callback):
    """What was drawn and rewarded in each step, and the loss of each update."""

    def __init__(self) -> None:
        self.answers: list[list[list[int]]] = []
        self.rewards: list[float] = []
        self.moved: list[float] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        if len(self.answers) <= trainer.global_step - self.began:
            self.answers.append([answer.token_ids for answer in pl_module.rollout.answers])
            self.rewards.append(float(pl_module.rewards.mean()))
        self.moved.append(float(trainer.callback_metrics.get("train/beyond_clip", 0)))

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.began = trainer.global_step


def reinforced(settings: Reinforcement, optimization: Optimization = STILL) -> ReinforcedModule:
    torch.manual_seed(0)
    made = module(
        codec=CODEC, kind=ReinforcedModule, trainable=["tokenizer", "llm"], optimization=optimization,
        reinforcement=settings,
    )  # fmt: skip
    assert isinstance(made, ReinforcedModule)
    return made


def train(
    whole: ReinforcedModule,
    data: Epochs,
    epochs: int = 1,
    resumed: Path | None = None,
    **settings: Any,
) -> Trainer:
    quiet: dict[str, Any] = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", use_distributed_sampler=False, log_every_n_steps=1,
        reload_dataloaders_every_n_epochs=1, **quiet, **{"enable_checkpointing": False, **settings},
    )  # fmt: skip
    trainer.fit(whole, datamodule=data, ckpt_path=resumed, weights_only=True)
    return trainer


pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
RLOO = Reinforcement(group=4, temperature=0.8, kl=0.1, entropy=0.01)


def test_the_reward_rises():
    """Yes or no, of which one is always right: after 40 steps little else is said."""
    settings = Reinforcement(group=4, updates=2)
    drawn = Drawn()
    fast = Optimization(learning_rate=1e-2)
    trainer = train(
        reinforced(settings, fast), Epochs(["pope"], range(4)), epochs=40, callbacks=[drawn]
    )
    assert len(drawn.rewards) == 40 == trainer.global_step
    assert drawn.rewards[0] < 0.8 and sum(drawn.rewards[-5:]) / 5 > 0.95, drawn.rewards
    logged = trainer.callback_metrics
    for name in ("reward", "pope/reward", "no_signal", "length", "entropy", "beyond_clip", "loss"):
        assert f"train/{name}" in logged
    assert logged["train/reward"] > 0.9 and logged["train/no_signal"] > 0.5
    assert logged["speed/drawn_per_s"] > 0 and logged["speed/learned_per_s"] > 0


def test_each_update_goes_from_where_the_last_one_ended():
    """Three updates of a batch: the answers are drawn once, at the first nothing has moved, later much has."""
    drawn, settings = Drawn(), Reinforcement(group=4, updates=3)
    fast = Optimization(learning_rate=1e-2, warmup_share=0.0)
    trainer = train(reinforced(settings, fast), Epochs(["rec"], range(4)), 2, callbacks=[drawn])
    assert trainer.global_step == 2 and len(drawn.answers) == 2 and len(drawn.moved) == 6
    assert drawn.moved[0] == 0 == drawn.moved[3] and min(drawn.moved[1], drawn.moved[4]) > 0


def test_a_sample_that_cannot_be_used_teaches_nothing():
    """Of five questions the third has an image that cannot be read: the gradient is that of the others."""
    kept = [Keep(), Keep()]
    plain = Reinforcement(group=4)
    train(reinforced(plain), Epochs(["rec"], range(5), [2]), callbacks=[kept[0]])
    train(reinforced(plain), Epochs(["rec"], [0, 1, 3, 4]), callbacks=[kept[1]])
    compare(kept[0].steps, kept[1].steps)


def test_a_resumed_run_draws_the_same_answers(tmp_path):
    """Killed after the second of four batches; and it is held to the weights that the stage began with."""
    learning = Optimization(learning_rate=3e-3)
    data = lambda: Epochs(["rec", "pope"], range(6))  # noqa: E731
    saving = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{epoch}")
    whole, drawn = reinforced(RLOO, learning), Drawn()
    train(whole, data(), 4, callbacks=[drawn, saving], enable_checkpointing=True)
    again, later = reinforced(RLOO, learning), Drawn()
    torch.nn.init.normal_(
        again.model.query_tokens
    )  # a resumed run knows its weights from the checkpoint alone
    train(again, data(), 4, tmp_path / "epoch=1.ckpt", callbacks=[later])
    assert later.answers == drawn.answers[2:] and len(later.answers) == 2
    assert drawn.answers[0] != drawn.answers[1]
    assert again.start is not None and whole.start is not None
    for one, other in zip(again.start, whole.start, strict=True):
        assert torch.equal(one, other)
    for one, other in zip(again.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_new_stage_is_held_to_its_own_beginning(tmp_path):
    whole = reinforced(RLOO, Optimization(learning_rate=3e-3))
    saving = ModelCheckpoint(tmp_path, filename="{epoch}")
    train(whole, Epochs(["rec"], range(2)), callbacks=[saving], enable_checkpointing=True)
    later = module(codec=CODEC, kind=ReinforcedModule, init_from=tmp_path / "epoch=0.ckpt")
    assert later.start is None


@pytest.mark.parametrize(
    ("settings", "trainer", "sentence"),
    [
        ({"group": 1}, {}, "answers are compared: --model.reinforcement.group must be 2 or more"),
        ({"group": 2}, {"accumulate_grad_batches": 2}, "a step is one batch"),
    ],
)
def test_what_is_not_there_is_refused(settings, trainer, sentence):
    with pytest.raises(ValueError, match=sentence):
        train(reinforced(Reinforcement(**settings)), Epochs(["rec"], range(2)), **trainer)


def one_update(devices: int = 1, **settings: Any) -> Gradients:
    keep = Keep()
    train(
        reinforced(RLOO),
        Epochs(["rec", "pope"], range(6)),
        callbacks=[keep],
        devices=devices,
        **settings,
    )
    return keep.steps


def test_an_update_on_two_processes_is_that_of_one(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "tests.training.test_reinforced", str(tmp_path / "gradients.pt")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr[-3000:]
    compare(torch.load(tmp_path / "gradients.pt", weights_only=True), one_update())


if __name__ == "__main__":
    found = one_update(2, strategy="ddp_find_unused_parameters_true")
    if torch.distributed.get_rank() == 0:
        torch.save(found, sys.argv[1])
