"""A small model learns a few samples by heart: the loss goes to zero and decoding returns the targets."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from lightning import LightningDataModule, Trainer
from torch.utils.data import DataLoader

from datamodules.dataset import Encoding, TrainingSet
from datamodules.questions import EvaluationSet
from datamodules.source import LoadedSource
from tasks import Task
from tests.tiny import tokenizer
from vista.codec.codec import Codec
from vista.data import Annotation
from vista.images import ImageTransform
from vista.models.encoder import build_encoder
from vista.models.llm import build_llm
from vista.models.parts import QFormer
from vista.module import VistaModule
from vista.training.optimizer import Optimization

WIDTH, QUERIES, SIZE = 64, 4, 32
CODEC = Codec(num_points=4)
COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 200, 40),
    "blue": (40, 60, 220),
    "yellow": (230, 220, 40),
}


class ByHeart(LightningDataModule):
    """The same batches in every epoch."""

    def __init__(
        self, sources: list[LoadedSource], batches: list[list[tuple[int, int, int, int]]]
    ) -> None:
        super().__init__()
        self.train_sources, self.eval_sources = sources, []  # type: ignore[var-annotated]
        self.encoding, self.batches = Encoding(tokenizer(), ImageTransform(SIZE), QUERIES), batches

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(
            TrainingSet(self.train_sources, self.encoding),
            batch_sampler=self.batches,
            collate_fn=lambda batch: batch,
        )

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Images as the encoder is shown them, as `MixtureData` gives them."""
        return {**batch, "pixel_values": self.encoding.transform.normalised(batch["pixel_values"])}


def small_module() -> VistaModule:
    torch.manual_seed(0)
    sizes = {"hidden_size": WIDTH, "num_heads": 4, "mlp_size": 128}
    encoder = build_encoder(image_size=SIZE, num_layers=1, **sizes)
    vocabulary = len(tokenizer())
    qformer = QFormer(
        num_queries=QUERIES, num_layers=1, encoder_hidden_size=WIDTH, vocab_size=vocabulary, **sizes
    )
    llm = build_llm(vocab_size=vocabulary, num_layers=2, **sizes)
    optimization = Optimization(learning_rate=3e-3, weight_decay=0.0)
    return VistaModule(encoder, qformer, llm, tokenizer(), CODEC, optimization=optimization)


def learn(data: ByHeart, steps: int) -> tuple[VistaModule, float]:
    """The module after so many steps, and its last loss."""
    module = small_module()
    trainer = Trainer(
        max_steps=steps, max_epochs=-1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, gradient_clip_val=1.0,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    return module.eval(), float(trainer.callback_metrics["train/loss"])


@torch.no_grad()
def answers(module: VistaModule, data: ByHeart, source: LoadedSource) -> list[str]:
    questions = EvaluationSet(source, data.encoding)
    batch = questions.__getitems__(list(range(len(source.annotations))))
    batch = data.on_after_batch_transfer(batch, 0)
    return [p.text for p in module.answer(batch, [source.task] * len(source.annotations))]


def one_instruction(task: Task) -> Task:
    """The task with the instruction of evaluation alone, so that what was learned is what is asked."""
    task.templates = task.templates[:1]
    return task


def draw(path: Path, colour: str, box: tuple[int, int, int, int] | None = None) -> None:
    image = np.full((SIZE, SIZE, 3), 255, dtype=np.uint8)
    x0, y0, x1, y1 = box or (4, 4, 28, 28)
    image[y0:y1, x0:x1] = COLOURS[colour]
    cv2.imwrite(str(path), image[..., ::-1])


def test_64_pairs_of_images_are_learned_by_heart(tmp_path):
    """64 pairs of coloured squares, true where one of them is of the named colour; seed 0, 18 CPU-seconds."""
    for colour in COLOURS:
        draw(tmp_path / f"{colour}.png", colour)
    names = list(COLOURS)
    pairs = [(left, right, named) for named in names for left in names for right in names]
    annotations = [
        Annotation(
            str(k),
            (f"{a}.png", f"{b}.png"),
            expression=f"one of the squares is {c}",
            label=str(c in (a, b)),
        )
        for k, (a, b, c) in enumerate(pairs)
    ]
    source = LoadedSource(
        "pairs", one_instruction(Task.known["nlvr2"](CODEC)), tmp_path, annotations
    )
    keys = [(0, k, 0, k) for k in range(64)]
    data = ByHeart([source], [keys])
    module, loss = learn(data, 170)
    assert answers(module, data, source) == [f"That is {a.label}." for a in annotations]
    assert loss < 0.03  # 0.14 where all but the truth value is known


def test_one_batch_of_several_tasks_is_learned_by_heart(tmp_path):
    """Boxes, masks and words of eight images; seed 0, 8 CPU-seconds."""
    rng = np.random.default_rng(0)
    boxes, masks, words = [], [], []
    for k in range(8):
        colour = list(COLOURS)[k % 4]
        x0, y0 = (int(v) for v in rng.integers(0, 12, 2))
        x1, y1 = x0 + int(rng.integers(8, 20)), y0 + int(rng.integers(8, 20))
        draw(tmp_path / f"{k}.png", colour, (x0, y0, x1, y1))
        common = {
            "images": (f"{k}.png",),
            "sizes": ((SIZE, SIZE),),
            "expression": f"the {colour} square",
        }
        box = (float(x0), float(y0), float(x1), float(y1))
        outline = [[x0, y0, x1, y0, x1, y1, x0, y1]]
        boxes.append(Annotation(str(k), boxes=(box,), **common))
        masks.append(Annotation(str(k), segmentations=(outline,), **common))
        words.append(
            Annotation(
                str(k),
                question="what color is the square ?",
                answers=(colour,),
                label=colour,
                **common,
            )
        )
    named = {"rec": boxes, "res": masks, "vqav2": words}
    sources = [
        LoadedSource(n, one_instruction(Task.known[n](CODEC)), tmp_path, a)
        for n, a in named.items()
    ]
    keys = [(0, 8 * s + k, s, k) for s in range(3) for k in range(8)]
    data = ByHeart(sources, [keys])
    module, loss = learn(data, 130)
    for source in sources:
        assert answers(module, data, source) == [source.task.target(a) for a in source.annotations]
    assert loss < 0.1
