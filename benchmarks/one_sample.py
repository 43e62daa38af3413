"""The way of one RES sample: which files run from the official file to the loss, and from the answer to the score.

    python -m benchmarks.one_sample         prints both lists; `docs/one_sample.md` explains them

A file is on the way when one of its functions runs. What chooses samples (sources, order, the audit of test images) is
the way of a run, not of a sample, and is left out.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import torch

from datamodules.dataset import Encoding, TrainingSet
from datamodules.source import LoadedSource, Source
from datamodules.splits import Splits
from datamodules.synthetic.world import write_world
from vista.codec.codec import Codec
from vista.images import ImageTransform
from vista.models.encoder import build_encoder
from vista.models.llm import build_llm
from vista.models.parts import QFormer
from vista.module import VistaModule
from vista.tokens.tokenizer import Tokenizer

ROOT = Path(__file__).parents[1]
HOUSES = ("vista", "tasks", "datamodules")
IMAGE_SIZE, NUM_QUERIES = 32, 3
Way = dict[str, set[str]]  # file -> its functions that ran


@contextmanager
def traced() -> Iterator[Way]:
    """Notes every file of the product of which a function runs."""
    way: Way = {}

    def note(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        file = Path(code.co_filename)
        if event != "call" or code.co_name.startswith("<") or not file.is_relative_to(ROOT):
            return
        name = str(file.relative_to(ROOT))
        if name.partition("/")[0] in HOUSES:
            way.setdefault(name, set()).add(code.co_qualname)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield way
    finally:
        sys.setprofile(before)


def small_module(codec: Codec) -> VistaModule:
    """A model of one layer a part, with what its training step asks of a trainer."""
    tokenizer = Tokenizer(ROOT / "configs/tiny/tokenizer")
    sizes: dict[str, Any] = {"hidden_size": 32, "num_heads": 2, "mlp_size": 32, "num_layers": 1}
    vocabulary = len(tokenizer)
    qformer = QFormer(
        num_queries=NUM_QUERIES, encoder_hidden_size=32, vocab_size=vocabulary, **sizes
    )
    encoder = build_encoder(image_size=IMAGE_SIZE, **sizes)
    module = VistaModule(
        encoder, qformer, build_llm(vocab_size=vocabulary, **sizes), tokenizer, codec
    )
    one_process = SimpleNamespace(reduce=lambda value, **_: value)
    data = SimpleNamespace(train_sources=[None])
    module._trainer = SimpleNamespace(  # type: ignore[assignment]
        strategy=one_process,
        datamodule=data,
        accumulate_grad_batches=1,
        log_every_n_steps=0,
        is_last_batch=False,
        barebones=True,
    )
    module.log = lambda *_, **__: None  # type: ignore[method-assign,assignment]
    module.on_train_start()
    return module


def to_loss(root: Path, cache: Path) -> tuple[Way, torch.Tensor]:
    """From RefCOCO's official files below `root` to the loss of the first sample of its training split."""
    codec = Codec(num_points=8)
    module = small_module(codec)
    encoding = Encoding(module.tokenizer, ImageTransform(IMAGE_SIZE), NUM_QUERIES)
    source = Source(task="res", dataset="refcoco", train="train")
    splits = Splits(root, codec, cache)
    with traced() as way:
        loaded = splits.load({"res_refcoco": source}, "train")
        batch = TrainingSet(loaded, encoding).__getitems__([(0, 0, 0, 0)])
        batch["pixel_values"] = encoding.transform.normalised(batch["pixel_values"])
        loss = module.training_step(batch, 0)
    return way, loss


def to_score(root: Path, cache: Path) -> tuple[Way, float]:
    """From the text of an answer (the right one) to its score."""
    codec = Codec(num_points=8)
    source = Source(task="res", dataset="refcoco", val="val")
    (loaded,) = Splits(root, codec, cache).load({"res_refcoco": source}, "val")
    annotation = loaded.annotations[0]
    text = loaded.task.target(annotation)
    with traced() as way:
        score = score_of(loaded, text)
    return way, score


def score_of(loaded: LoadedSource, text: str) -> float:
    """The headline score of a text as the answer to a source's first question."""
    annotation, task = loaded.annotations[0], loaded.task
    evaluator = task.evaluator()
    evaluator.update([task.parse(text, annotation)], [task.reference(annotation)])
    return float(evaluator.compute()[task.headline])


def both_ways() -> tuple[Way, Way]:
    """Both on a small world of its own, in a folder that is removed."""
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder, "world"), Path(folder, "compiled")
        write_world(root, num_train=8, num_val=4, num_test=4, num_workers=1)
        return to_loss(root, cache)[0], to_score(root, cache)[0]


def line_count(file: str) -> int:
    """Whole lines of a file."""
    return len((ROOT / file).read_text().splitlines())


def way_table(way: Way) -> str:
    """The files of a way as a Markdown table, with its sums in the last row."""
    lines = ["| file | lines | functions that run |", "| --- | --- | --- |"]
    for file in sorted(way):
        lines.append(f"| `{file}` | {line_count(file)} | {len(way[file])} |")
    functions = sum(len(names) for names in way.values())
    lines.append(f"| {len(way)} files | {sum(map(line_count, way))} | {functions} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for way in both_ways():
        print(way_table(way))
