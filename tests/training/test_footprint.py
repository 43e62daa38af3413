"""Bytes of a plan against those of real models, real steps and a real file."""

from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn

from datamodules.commands.bare import Vocabularies, bare_model, read_run
from tests.tiny import QUERIES, picture, tiny_model, tokenizer
from vista.models.encoder import build_encoder
from vista.models.llm import build_llm
from vista.models.parts import QFormer
from vista.models.vistallm import VistaLLM, length_groups
from vista.tokens.batch import collate, encode_example
from vista.tokens.batch_types import Batch, Example
from vista.training.activations import CardBatch, Saved, activations
from vista.training.checkpoint_files import save
from vista.training.footprint import (
    Sharing,
    checkpoint_bytes,
    gathered,
    memory,
    shares,
    states,
    stepped_optimizer,
)
from vista.training.optimizer import Optimization, make_optimizer
from vista.training.sharding import recomputed_layers

FROZEN = [(), ("vision_model",), ("vision_model", "language_model")]
ANSWERS = ("the circle", "yes", "[1, 2, 3, 4]", "a long answer of many words " * 6)


def batch_of(rows: int) -> Batch:
    samples = []
    for row in range(rows):
        turns = (("<image> what is red?", ANSWERS[row % 4]),)
        samples.append(encode_example(Example(("abc"[row % 3],), turns), tokenizer()))
    return collate(samples, {name: picture(name) for name in "abc"}, tokenizer(), QUERIES)


def sizes_of(batch: Batch, groups: int) -> CardBatch:
    lengths = batch["attention_mask"].sum(1).tolist()
    padded = [(len(rows), lengths[rows[-1]]) for rows in length_groups(lengths, groups)]
    learned = int((batch["labels"] >= 0).sum())
    uses, instruction = len(batch["image_index"]), batch["instruction_ids"].shape[1]
    return CardBatch(len(batch["pixel_values"]), uses, instruction, padded, learned)


def frozen_model(frozen: tuple[str, ...], device: str = "cpu") -> VistaLLM:
    with torch.device(device):
        model = tiny_model().train()
    model.length_groups = 3
    for name in frozen:
        getattr(model, name).requires_grad_(False)
    return model


def nbytes(tensors: list[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@pytest.mark.parametrize("frozen", FROZEN)
@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_weights_gradients_and_states_are_those_of_a_real_step(frozen, kind):
    model, settings = frozen_model(frozen), Optimization(optimizer=kind)
    batch = batch_of(8)
    optimizer = make_optimizer(model, settings)
    model(batch).sum().backward()
    optimizer.step()
    planned = memory(frozen_model(frozen, "meta"), settings, Sharing(), sizes_of(batch, 3))
    assert planned.weights == nbytes(list(model.parameters()))
    assert planned.gradients == nbytes([p.grad for p in model.parameters() if p.grad is not None])
    assert planned.optimizer == nbytes(states(optimizer))
    assert planned.gathered == 0  # one process in float32


@pytest.mark.parametrize("frozen", FROZEN)
@pytest.mark.parametrize("twice", [False, True])
def test_activations_are_those_that_autograd_saves(frozen, twice):
    """Within 5 %: a plan has a mask in every group of lengths; of one layer alone within 20 %."""
    model, batch = frozen_model(frozen), batch_of(16)
    bare = frozen_model(frozen, "meta")
    saved = Saved(model)
    saved.watch(recomputed_layers(model) if twice else [])
    with saved:
        model(batch)
    planned = activations(bare, sizes_of(batch, 3), recomputed_layers(bare) if twice else [])
    assert planned.kept + planned.head == pytest.approx(saved.bytes(), rel=0.05)
    assert planned.recomputed == pytest.approx(saved.most_inside(), rel=0.2)
    assert (planned.recomputed > 0) is twice


def test_layers_that_are_computed_twice_keep_less():
    bare, sizes = frozen_model((), "meta"), sizes_of(batch_of(16), 3)
    settings = Optimization()
    alone = memory(bare, settings, Sharing(), sizes)
    shared = memory(bare, settings, Sharing(2, 2, sharded=True), sizes)
    half = memory(bare, settings, Sharing(2, 2, bf16=True, sharded=True), sizes)
    assert half.activations < shared.activations < alone.activations
    # A row of 17 or 1 is padded to a multiple of two; all else is halved.
    assert alone.weights / 2 <= shared.weights < alone.weights / 2 * 1.01
    assert half.weights == shared.weights  # float32, whatever is computed in
    assert half.gathered < shared.gathered


def test_shares_are_those_of_fsdp():
    """Three rows on two cards: both keep two, as FSDP2 pads them; a number is on every card."""
    tensors = [torch.zeros(3, 5), torch.zeros(4), torch.zeros(())]
    assert shares(tensors, 2) == 4 * (2 * 5 + 2 + 1)
    assert shares(tensors, 1) == nbytes(tensors)


def test_copies_and_buckets_without_sharding():
    bare = frozen_model(("language_model",), "meta")
    trained = sum(p.numel() for p in bare.parameters() if p.requires_grad)
    assert gathered(bare, Sharing(cards=4)) == 4 * trained  # DDP's buckets
    assert gathered(bare, Sharing(cards=1, bf16=True)) == 2 * trained  # autocast's copies


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_a_checkpoint_has_the_size_of_its_file(finished_run, kind, tmp_path):
    """That of a run of the smallest model, whose tokenizer is a good part of it; then one with the other optimizer."""
    settings = yaml.safe_load((finished_run.folder / "config.yaml").read_text())
    file = finished_run.folder / "checkpoints" / "last.ckpt"
    content = torch.load(file, weights_only=True)
    text = len(content["vista"]["tokenizer"])
    size = len(tokenizer())
    bare = bare_model(settings, Vocabularies(size, size))
    assert read_run(settings).model["optimization"].optimizer == "muon"
    planned = checkpoint_bytes(bare, Optimization(optimizer=kind), text)
    if kind == "adamw":
        real = {name: torch.zeros(p.shape) for name, p in bare.named_parameters()}
        optimizer = torch.optim.AdamW(list(real.values()))
        trained = {name for name, p in bare.named_parameters() if p.requires_grad}
        for name in trained:
            real[name].grad = torch.zeros_like(real[name])
        optimizer.step()
        content["optimizer_states"] = [optimizer.state_dict()]
        file = tmp_path / "adamw.ckpt"
        save(content, file)
    assert planned == pytest.approx(file.stat().st_size, rel=0.01)


@pytest.mark.slow
def test_a_model_of_a_hundred_million(tmp_path: Path):
    """A real step and a real file, as large as planned; 2 GB of memory."""
    real, bare = hundred_million("cpu"), hundred_million("meta")
    assert sum(p.numel() for p in real.parameters()) == pytest.approx(1e8, rel=0.1)
    settings = Optimization()
    optimizer = make_optimizer(real, settings)
    batch = batch_of(4)
    real(batch).sum().backward()
    optimizer.step()
    planned = memory(bare, settings, Sharing(), sizes_of(batch, 8))
    assert planned.weights == nbytes(list(real.parameters()))
    assert planned.gradients == nbytes([p.grad for p in real.parameters() if p.grad is not None])
    assert planned.optimizer == nbytes(states(optimizer))
    content = {"state_dict": real.state_dict(), "optimizer_states": [optimizer.state_dict()]}
    save(content, tmp_path / "a.ckpt")
    planned_size = checkpoint_bytes(bare, settings)
    assert planned_size == pytest.approx((tmp_path / "a.ckpt").stat().st_size, rel=0.01)


def hundred_million(device: str) -> nn.Module:
    sizes = {"hidden_size": 768, "num_heads": 12, "mlp_size": 2048}
    with torch.device(device):
        encoder = build_encoder(image_size=32, num_layers=2, **sizes)
        qformer = QFormer(
            QUERIES, num_layers=2, encoder_hidden_size=768, vocab_size=len(tokenizer()), **sizes
        )
        llm = build_llm(vocab_size=len(tokenizer()), num_layers=10, **sizes)
        return VistaLLM(encoder, qformer, llm, tokenizer().image_id).train()


def test_the_step_leaves_the_model_as_it_was():
    bare = frozen_model((), "meta")
    stepped_optimizer(bare, Optimization())
    assert all(p.grad is None and p.device.type == "meta" for p in bare.parameters())
