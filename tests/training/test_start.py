"""What a model begins with: the same weights whether it is whole or shared, and wherever they come from."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

from tests.tiny import QUERIES, ask, tokenizer
from vista.app.parts import laid_out
from vista.codec.codec import Codec
from vista.data import InputError
from vista.models.encoder import build_encoder
from vista.models.laid_out import is_laid_out
from vista.models.llm import build_llm
from vista.models.parts import QFormer
from vista.module import VistaModule
from vista.tokens.batch_types import Example
from vista.training import sharded_checkpoints as sharded
from vista.training.checkpoints import write_checkpoint
from vista.training.sharding import repeated_layers, shard

SIZES = {"hidden_size": 32, "num_heads": 2, "mlp_size": 40}
ROWS = 301  # of the LLM's tables in the file; the vocabulary has more


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of all parts but the QFormer; and one file and one folder of an earlier stage."""
    root = tmp_path_factory.mktemp("weights")
    earlier = build(None, seed=5)
    state = {
        name: tensor.detach().bfloat16() for name, tensor in earlier.model.state_dict().items()
    }
    for table in ("model.embed_tokens.weight", "lm_head.weight"):
        state[f"language_model.{table}"] = state[f"language_model.{table}"][:ROWS].clone()
    save_file(
        {name: tensor for name, tensor in state.items() if not name.startswith("qformer.")},
        root / "model.safetensors",
    )
    stage = {"state_dict": earlier.state_dict()}
    earlier.on_save_checkpoint(stage)
    write_checkpoint(dict(stage), root / "stage.ckpt")
    tensors = {
        f"{sharded.WEIGHTS}{name}": tensor for name, tensor in stage.pop("state_dict").items()
    }
    (root / "shards.ckpt.unfinished").mkdir()
    sharded.write_shards(tensors, root / "shards.ckpt.unfinished")
    sharded.finish(stage, root / "shards.ckpt")
    return root


def build(weights: Path | None, seed: int = 0, **settings: Any) -> VistaModule:
    """A module as the command line builds it; a QFormer without weights stands between parts with some."""
    torch.manual_seed(seed)
    words = tokenizer()
    encoder = build_encoder(image_size=32, num_layers=2, weights=weights, **SIZES)
    qformer = QFormer(QUERIES, num_layers=2, encoder_hidden_size=32, vocab_size=len(words), **SIZES)
    llm = build_llm(len(words), num_layers=2, tie_embeddings=False, weights=weights, **SIZES)
    codec = Codec(num_points=4)
    return VistaModule(encoder, qformer, llm, words, codec, weights=weights, **settings)


def build_laid_out(weights: Path | None, **settings: Any) -> VistaModule:
    """The same, its parts laid out that have weights in files, or an earlier stage's."""
    torch.manual_seed(0)
    words = tokenizer()
    part: Any = partial(laid_out, "init_from" in settings)
    encoder = part(build_encoder, image_size=32, num_layers=2, weights=weights, **SIZES)
    qformer = part(
        QFormer, QUERIES, num_layers=2, encoder_hidden_size=32, vocab_size=len(words), **SIZES
    )
    assert is_laid_out(qformer) == ("init_from" in settings)
    sizes = SIZES | {"num_layers": 2, "tie_embeddings": False}
    llm = part(build_llm, len(words), weights=weights, **sizes)
    codec = Codec(num_points=4)
    return VistaModule(encoder, qformer, llm, words, codec, weights=weights, **settings)


def build_shared(size: int, weights: Path, **settings: Any) -> VistaModule:
    """The same, shared by processes, and filled."""
    module = build_laid_out(weights, **settings)
    assert is_laid_out(module.model)
    shard(module.model, init_device_mesh("cpu", (size,)))
    module.fill()
    return module


def check(rank: int, size: int, folder: Path) -> None:
    """In each of `size` processes: every weight is what a model in one piece has, to the last bit."""
    store = dist.FileStore(str(folder / f"store{size}"), size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    try:
        stages = [folder / "stage.ckpt", folder / "shards.ckpt"]
        cases: list[dict[str, Any]] = [
            {},
            {"coordinate_init": "mean"},
            *({"init_from": stage} for stage in stages),
        ]
        for settings in cases:
            whole = build(folder, **settings).state_dict()
            shared = build_shared(size, folder, **settings)
            assert not is_laid_out(shared)
            for name, tensor in shared.state_dict().items():
                if isinstance(tensor, DTensor):
                    assert tensor.to_local().numel() <= -(-len(tensor) // size) * tensor[0].numel()
                    tensor = tensor.full_tensor()
                assert torch.equal(tensor, whole[name]), (settings, name)
        batch = ask(Example(("a",), (("<image> what ?", ""),)))
        batch["labels"] = batch["input_ids"]
        shared.model(batch).sum().backward()
        assert all(p.grad is not None for p in shared.model.language_model.parameters())
    finally:
        dist.destroy_process_group()


def test_a_model_that_is_read_in_shares_is_the_whole_one(folder):
    check(0, 1, folder)


@pytest.mark.slow  # processes; of one: the test above
@pytest.mark.parametrize("size", [2, 3])  # of three, the last ones have fewer rows
def test_processes_read_their_shares(folder, size):
    mp.spawn(check, (size, folder), nprocs=size)


def test_a_stage_begins_with_what_the_one_before_has_learned(folder):
    """Whole models read the same from one file, from shards, and into parts that were laid out."""
    expected = torch.load(folder / "stage.ckpt", weights_only=True)["state_dict"]
    for stage in ("stage.ckpt", "shards.ckpt"):
        for name, tensor in build(None, init_from=folder / stage).state_dict().items():
            assert torch.equal(tensor, expected[name])
        # Where no part has weights of its own, none is drawn before.
        drawn = build_laid_out(None, init_from=folder / stage)
        assert all(is_laid_out(part) for part in (drawn.model.qformer, drawn.model.language_model))
        drawn.fill()
        for name, tensor in drawn.state_dict().items():
            assert torch.equal(tensor, expected[name])


def test_layers_are_found_by_their_structure():
    module = build(None).model
    for part, count in (("vision_model", 2), ("qformer", 2), ("language_model", 2)):
        layers = repeated_layers(getattr(module, part))
        assert len(layers) == count and len({type(layer) for layer in layers}) == 1
    assert repeated_layers(module.language_projection) == []


def test_experts_are_no_layers():
    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(8))
            self.gate = torch.nn.Linear(4, 8)

    layers = torch.nn.ModuleList(Layer() for _ in range(3))
    model = torch.nn.Sequential(torch.nn.Embedding(1000, 4), layers)
    assert repeated_layers(model) == list(layers)


def test_frozen_weights_take_half_of_the_memory_where_asked(folder):
    """Trained ones stay as they are; buffers, such as rotary frequencies, too."""
    module = build(folder, frozen_dtype="bfloat16", trainable=["tokenizer"])
    for name, parameter in module.named_parameters():
        kind = torch.float32 if parameter.requires_grad else torch.bfloat16
        assert parameter.dtype == kind, name
    assert module.model.language_model.model.rotary_emb.inv_freq.dtype == torch.float32
    batch = ask(Example(("a",), (("<image> what ?", ""),)))
    batch["labels"] = batch["input_ids"]
    with torch.autocast("cpu", torch.bfloat16):
        assert module.model(batch).sum().isfinite()
    stand_in: Any = SimpleNamespace(
        trainer=SimpleNamespace(strategy=None, precision="32-true"), frozen_dtype="bfloat16"
    )
    with pytest.raises(InputError, match=r"needs --trainer\.precision bf16-mixed"):
        VistaModule.configure_model(stand_in)


def test_a_report_says_where_each_part_comes_from(folder):
    report = build(folder).weights_report()
    assert list(report) == [
        "vision_model", "qformer", "language_projection", "language_model", "query_tokens",
    ]  # fmt: skip
    assert report["qformer"] == "drawn at random"
    added = len(tokenizer()) - ROWS
    assert report["language_model"].endswith(
        f"new: {added} rows of the vocabulary, which was extended"
    )
    stage = folder / "stage.ckpt"
    assert set(build(None, init_from=stage).weights_report().values()) == {str(stage)}
