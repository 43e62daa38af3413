"""What watches a run: pictures, speed, and samples that cannot be used."""

import csv
import json
import shutil
import time
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from callbacks.pictures import draw_question
from callbacks.scores import earlier_scores
from callbacks.throughput import Throughput
from datamodules.source import LoadedSource
from tasks import Task
from tests.tiny import FLAGS, run
from vista.app.report import print_table
from vista.codec.codec import Codec
from vista.data import Annotation, Prediction
from vista.draw import save_png

SIZE = (60, 90)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        save_png(tmp_path / f"{name}.png", np.full((*SIZE, 3), 200, dtype=np.uint8))
    return tmp_path


def source(root: Path, task: str) -> LoadedSource:
    return LoadedSource("s", Task.known[task](Codec()), root, [])


def blob(value: bool = True) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[20:40, 30:60] = value
    return mask


def test_the_answer_is_drawn_on_the_image(root):
    annotation = Annotation("1", ("a.png",), (SIZE,), expression="the blob")
    plain = draw_question(source(root, "res"), annotation, Prediction(text="x"))
    masked = draw_question(source(root, "res"), annotation, Prediction(text="x", masks=[blob()]))
    assert plain.shape == masked.shape and plain.shape[1] == 384
    changed = (plain != masked).any(axis=2)
    scale = 384 / 90
    assert changed[round(30 * scale), round(45 * scale)] and not changed[5, 5]
    # A mask of another size than the file, as after a wrong size in an official file, is left out.
    odd = Prediction(text="x", masks=[np.ones((5, 5), dtype=bool)])
    assert (draw_question(source(root, "res"), annotation, odd) == plain).all()


def test_several_images_stand_side_by_side_each_with_its_mask(root):
    annotation = Annotation("1", ("a.png", "b.png"), (SIZE, SIZE), expression="the blob")
    answers = [
        Prediction(text="x", masks=masks)
        for masks in ([blob(False), blob()], [blob(False), blob(False)])
    ]
    second, none = (draw_question(source(root, "coseg"), annotation, answer) for answer in answers)
    assert second.shape[1] > 2 * 384
    changed = np.flatnonzero((second != none).any(axis=(0, 2)))
    assert changed.min() > 384  # only the second image
    one = draw_question(source(root, "nlvr2"), annotation, Prediction(text="x", masks=[blob()]))
    changed = (one[:250] != none[:250]).any(axis=(0, 2))  # above the text, which differs
    assert np.flatnonzero(changed).max() < 400  # a single mask lies in the first


def test_an_image_that_cannot_be_read_is_grey(root):
    annotation = Annotation("1", ("missing.png",), (SIZE,), expression="the blob")
    picture = draw_question(source(root, "rec"), annotation, Prediction(malformed=True))
    assert (picture[:200] == 128).all()


class Log:
    """In the place of the module: keeps what is logged."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.model = SimpleNamespace(length_groups=2)

    def log_dict(self, values: dict[str, float], **_: Any) -> None:
        self.rows.append(values)


@pytest.mark.parametrize("halves", [1, 2])
def test_speed_leaves_out_validation(monkeypatch, capsys, halves):
    """Four steps, each of one batch or of two that are accumulated."""
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    trainer: Any = SimpleNamespace(
        global_step=0, log_every_n_steps=2, is_global_zero=True, sanity_checking=False,
        state=SimpleNamespace(fn="fit"), callback_metrics={"train/loss": 1.5}, estimated_stepping_batches=4,
        precision="32-true", strategy=SimpleNamespace(reduce=lambda counts, reduce_op: 3 * counts),  # three processes
        train_dataloader=SimpleNamespace(waited=7.0),
    )  # fmt: skip
    speed, log = Throughput(print_every=4), Log()
    lengths = torch.tensor([5, 2, 2, 9, 5, 2, 2, 9])  # in two groups: padded to 2 and to 9
    batch = {
        "input_ids": torch.zeros(8, 9),
        "attention_mask": (torch.arange(9) < lengths[:, None]).long(),
    }
    half = {key: value[:4] for key, value in batch.items()}
    speed.on_train_start(trainer, log)  # type: ignore[arg-type]
    for step in range(1, 5):
        clock[0] += 1
        trainer.train_dataloader.waited += 1
        speed.on_train_batch_start(trainer, log, batch, step)  # type: ignore[arg-type]
        clock[0] += 1.5  # half of the training
        if halves == 2:
            speed.on_train_batch_end(trainer, log, None, half, step)  # type: ignore[arg-type]
            speed.on_train_batch_start(trainer, log, half, step)  # type: ignore[arg-type]
        clock[0] += 1.5
        trainer.global_step = step
        speed.on_train_batch_end(trainer, log, None, half if halves == 2 else batch, step)  # type: ignore[arg-type]
        if step == 2:
            speed.on_validation_start(trainer, log)  # type: ignore[arg-type]
            clock[0] += 100
            speed.on_validation_end(trainer, log)  # type: ignore[arg-type]
    wanted = {
        "speed/samples_per_s": 3 * 2.0, "speed/tokens_per_s": 3 * 9.0, "speed/data_wait": 0.25,
        "speed/packing_efficiency": 36 / (4 * 2 + 4 * 9),
    }  # fmt: skip
    for row in log.rows:
        assert 0.1 < row.pop("speed/memory_gb") < 20
    assert log.rows == [pytest.approx(wanted)] * 2
    assert capsys.readouterr().out == "step 4/4 116 s loss 1.500\n"


@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_images_are_named_once_and_counted(tiny_world, tmp_path, monkeypatch, workers):
    """A corrupt image for training and one for validation: two epochs, with and without a loader process."""
    world = tmp_path / "broken"
    shutil.copytree(tiny_world, world)
    monkeypatch.chdir(tmp_path)
    bad = {}
    for split in ("train", "val"):
        file = f"refer_{split}"
        questions = json.loads(
            (world / f"vqav2/v2_OpenEnded_mscoco_{split}2014_questions.json").read_text()
        )["questions"]
        number = questions[0]["image_id"]
        bad[split] = next(p for p in (world / "coco").rglob(f"*{number:012d}.jpg"))
        bad[split].write_text(f"not an image: {file}")
    settings = f"--data.root={world} --data.tasks=[vqav2] --data.batch_size=32 --trainer.log_every_n_steps=10"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outcome = run("fit", "--config", "stage1", *FLAGS, f"--data.num_workers={workers}",
                      "--data.order.epoch_samples=320", *settings.split())  # fmt: skip
    assert outcome.code == 0, outcome.err
    texts = [str(c.message) for c in caught if "no BMP" in str(c.message)]
    assert len(texts) == 2
    assert all(sum(str(path) in text for text in texts) == 1 for path in bad.values())
    with (tmp_path / "runs/stage1/logs/metrics.csv").open() as stream:
        counts = [
            float(row["data/unusable_samples"])
            for row in csv.DictReader(stream)
            if row["data/unusable_samples"]
        ]
    assert counts == [5, 10]  # five questions about the image, in each epoch of all 320 questions
    scores = json.loads((tmp_path / "runs/stage1/scores_val.json").read_text())
    assert scores["table"][0]["n"] == 60 and scores["table"][0]["parse_failures"] == 5


def test_scores_of_the_stage_before_stand_beside(tmp_path, capsys):
    checkpoint = tmp_path / "runs/stage1/checkpoints/best.ckpt"
    checkpoint.parent.mkdir(parents=True)
    assert earlier_scores(None) == earlier_scores(checkpoint) == {}
    (tmp_path / "runs/stage1/config.yaml").touch()
    assert earlier_scores(checkpoint) == {}
    row = {
        "name": "rec",
        "metric": "pr50",
        "score": 61.24,
        "baseline": 40,
        "what": "box",
        "n": 9,
        "parse_failures": 0,
    }
    (tmp_path / "runs/stage1/scores_val.json").write_text(json.dumps({"table": [row]}))
    assert earlier_scores(checkpoint) == {"rec": 61.24}
    print_table([row | {"score": 55.5, "stage before": 61.24}, row | {"name": "nlvr2"}])
    said = capsys.readouterr().out
    assert "stage before" in said and "55.5" in said and said.count("61.2") == 2
    print_table([row])
    assert "stage before" not in capsys.readouterr().out
