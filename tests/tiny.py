"""A model of some 50,000 parameters and what the tests of training ask of it."""

import io
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.listing import Listing
from datamodules.missing import check_split, with_images
from datamodules.source import Source
from datamodules.splits import Splits
from vista.codec.codec import Codec
from vista.data import Annotation
from vista.models.encoder import build_encoder
from vista.models.llm import build_llm
from vista.models.parts import QFormer
from vista.models.vistallm import VistaLLM
from vista.tokens.batch import collate, encode_example
from vista.tokens.batch_types import Example
from vista.tokens.tokenizer import Tokenizer

ROOT = Path(__file__).parents[1]
QUERIES = 3
# The sizes of `tiny_model` on the command line; no loader process, no weights, no scores in Java.
FLAGS = [
    "--encoder.weights=null", "--encoder.hidden_size=32", "--encoder.num_layers=1", "--encoder.mlp_size=32",
    "--encoder.image_size=32", "--encoder.num_heads=2", "--qformer.hidden_size=32", "--qformer.num_layers=1",
    "--qformer.mlp_size=32", "--qformer.num_heads=2", "--qformer.num_queries=3", "--llm.hidden_size=32",
    "--llm.num_layers=1", "--llm.mlp_size=32", "--llm.num_heads=2", "--codec.num_points=4", "--data.num_workers=0",
]  # fmt: skip


@lru_cache
def tokenizer(layout: str = "compact") -> Tokenizer:
    return Tokenizer(ROOT / "configs/tiny/tokenizer", bracket_layout=layout)  # type: ignore[arg-type]


def read_split(
    dataset: str, root: Path, split: str, folder: Path, allow_missing: bool = False
) -> Sequence[Annotation]:
    """A split as training reads it: compiled, its images looked for, without them left out where that is allowed."""
    listing = Listing()
    check = partial(check_split, listing=listing, allow_missing=allow_missing)
    splits = Splits(root, Codec(), folder, check)
    annotations = splits.read("s", Source("rec", dataset), split)
    return with_images(annotations, root, listing) if allow_missing else annotations


def tiny_model(seed: int = 0, vocab_size: int | None = None) -> VistaLLM:
    torch.manual_seed(seed)
    vocab_size = vocab_size or len(tokenizer())
    sizes = {"hidden_size": 32, "num_heads": 2, "mlp_size": 32}
    encoder = build_encoder(image_size=32, num_layers=1, **sizes)
    qformer = QFormer(
        num_queries=QUERIES, num_layers=1, encoder_hidden_size=32, vocab_size=vocab_size, **sizes
    )
    llm = build_llm(vocab_size=vocab_size, num_layers=2, **sizes)
    return VistaLLM(encoder, qformer, llm, tokenizer().image_id).eval()


def logits_of(model: VistaLLM, batch: dict[str, Tensor]) -> Tensor:
    """Logits of every position, float (B, T, V), by one pass without a cache."""
    embeds = model.embed(batch)  # type: ignore[arg-type]
    outputs = model.language_model(inputs_embeds=embeds, attention_mask=batch["attention_mask"])
    return outputs.logits  # type: ignore[no-any-return]


def picture(name: str) -> Tensor:
    """The same noise for the same name, float (3, 32, 32)."""
    return torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(sum(map(ord, name))))


def question(prompt: str, *images: str) -> Example:
    return Example(images, ((prompt, ""),))


def ask(*examples: Example, layout: str = "compact", pad_left: bool = True) -> dict:
    """A batch of prompts, as `EvaluationSet` makes it."""
    samples = [encode_example(e, tokenizer(layout), answer=False) for e in examples]
    images = {name: picture(name) for e in examples for name in e.images}
    return collate(samples, images, tokenizer(layout), QUERIES, pad_left=pad_left)


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def run(*arguments: object) -> Outcome:
    """The command line, in this process."""
    from main import main

    out, err = io.StringIO(), io.StringIO()
    code = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(a) for a in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())
