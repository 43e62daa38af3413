"""Adapters: what is trained and what is not, with one table and with two; whole weights of it; shared and resumed."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from transformers import InstructBlipForConditionalGeneration, LlamaConfig, LlamaForCausalLM

from tests.tiny import FLAGS, QUERIES, ask, logits_of, run, tokenizer
from vista.codec.codec import Codec
from vista.data import InputError
from vista.models.adapters import Adapters, begin, put_on
from vista.models.encoder import build_encoder
from vista.models.laid_out import all_tensors, fill, without_memory
from vista.models.llm import build_llm
from vista.models.merged import MergedWeights
from vista.models.parts import QFormer
from vista.models.pixels import pixels_of
from vista.models.stored import Stored
from vista.models.vistallm import VistaLLM
from vista.module import VistaModule
from vista.tokens.batch_types import Example
from vista.training.checkpoints import (
    open_weights,
    read_checkpoint,
    read_states,
    write_checkpoint,
)
from vista.training.optimizer import parameter_groups
from vista.training.sharded_checkpoints import WEIGHTS, finish, write_shards
from vista.training.sharding import shard
from vista.training.write_folder import FolderWriter

pytest.importorskip("peft")

SIZES = {"hidden_size": 32, "num_heads": 2, "mlp_size": 40}
LLM = Adapters(rank=4, alpha=8, dropout=0.0, targets={"llm": ["all"]})
ALL = Adapters(
    rank=4, alpha=8, dropout=0.0,
    targets={"llm": ["q_proj", "v_proj"], "tokenizer": ["all"], "encoder": ["all"]},
)  # fmt: skip
ADDED = tokenizer().added_ids
OLD = [i for i in range(len(tokenizer())) if i not in set(ADDED)]
TABLE = "language_model.model.embed_tokens.weight"
HEAD = "language_model.lm_head.weight"


def build(
    tied: bool = True, weights: Path | None = None, lays_out: bool = False, **settings: Any
) -> VistaModule:
    torch.manual_seed(0)
    words = tokenizer()
    encoder = build_encoder(image_size=32, num_layers=1, **SIZES)
    qformer = QFormer(QUERIES, num_layers=1, encoder_hidden_size=32, vocab_size=len(words), **SIZES)
    with without_memory() if lays_out else nullcontext():
        llm = build_llm(len(words), num_layers=2, tie_embeddings=tied, weights=weights, **SIZES)
    settings = {"adapters": LLM} | settings
    return VistaModule(encoder, qformer, llm, words, Codec(num_points=4), **settings)


def question() -> dict[str, Tensor]:
    batch = ask(Example(("a",), (("<image> what is at [12, 345] ?", ""),)))
    batch["labels"] = batch["input_ids"]
    return batch


def trained(module: VistaModule, steps: int = 2) -> VistaModule:
    """After some steps with weight decay, as a run makes them."""
    head = module.tables[1]
    optimizer = torch.optim.AdamW(parameter_groups(module.model, head, 0.1), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=module.frozen_dtype == "bfloat16"):
            loss = module.model(question()).sum()
        loss.backward()
        optimizer.step()
    return module


def merged(module: VistaModule) -> MergedWeights:
    assert module.merging is not None
    return MergedWeights(module.model.state_dict(), module.merging)


def checkpoint_of(module: VistaModule) -> dict[str, Any]:
    checkpoint: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(checkpoint)
    return checkpoint


@pytest.mark.parametrize("tied", [True, False])
def test_adapters_and_new_rows_alone_are_trained(tied):
    """Weights of the LLM and old rows stay to the last bit; new ones move, in the head too, and one table stays one."""
    module = build(tied)
    plain = build(tied, adapters=Adapters()).model.state_dict()
    first = {name: tensor.clone() for name, tensor in merged(module).items()}
    assert first.keys() == plain.keys()
    for name, tensor in plain.items():
        assert torch.equal(first[name], tensor), name  # an adapter begins with nothing
    llm = [n for n, p in module.model.language_model.named_parameters() if p.requires_grad]
    assert all("lora_" in name or "trainable_tokens_delta" in name for name in llm)
    assert sum("lora_A" in name for name in llm) == 2 * 7
    assert sum("trainable_tokens_delta" in name for name in llm) == (1 if tied else 2)
    bare = {
        name: tensor.clone()
        for name, tensor in module.model.language_model.state_dict().items()
        if "base_layer" in name
    }
    trained(module)
    for name, tensor in bare.items():
        assert torch.equal(module.model.language_model.state_dict()[name], tensor), name
    after = merged(module)
    for table in (TABLE, HEAD):
        assert torch.equal(after[table][OLD], first[table][OLD])
        assert not torch.equal(after[table][ADDED], first[table][ADDED])
    assert torch.equal(after[TABLE], after[HEAD]) == tied
    assert not torch.equal(after["language_projection.weight"], first["language_projection.weight"])
    assert torch.equal(
        after["vision_model.embeddings.class_embedding"],
        first["vision_model.embeddings.class_embedding"],
    )


def test_new_rows_that_no_answer_holds_learn_to_be_unlikely_only_through_the_head():
    """Of two tables, the head's new rows have gradients even where the input's have none."""
    module = build(tied=False)
    module.model(question()).sum().backward()
    inputs, head = (
        next(iter(table.token_adapter.trainable_tokens_delta.values())).grad
        for table in (
            module.model.language_model.get_input_embeddings(),
            module.model.language_model.get_output_embeddings(),
        )
    )
    read = {i for i, row in zip(ADDED, inputs, strict=True) if row.any()}
    assert read == {tokenizer().number_ids[12], tokenizer().number_ids[345]}
    assert all(row.any() for row in head)


@pytest.mark.parametrize("tied", [True, False])
def test_numbers_do_not_begin_as_one_row(tied):
    """As they do after transformers' `resize_token_embeddings`."""
    table = merged(build(tied))[TABLE][tokenizer().number_ids]
    assert torch.pdist(table).min() > 0.01 * table.norm(dim=1).mean()


def exported(model: VistaLLM, folder: Path) -> Path:
    """The folder that `export` makes of a checkpoint; `model` is of the same parts without adapters."""
    path = folder / "one.ckpt"
    states = read_states(path) | {
        "epoch": 1,
        "global_step": 2,
        "pytorch-lightning_version": "2.6.6",
    }
    weights, _ = open_weights(path)
    (folder / "exported").mkdir()
    writer = FolderWriter(model, weights, torch.float32, folder / "exported")
    writer.write(states, tokenizer(), pixels_of(model.vision_model.config))
    return folder / "exported"


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("settings", [LLM, ALL])
def test_merged_weights_give_the_same_logits(tied, settings, tmp_path):
    parts = ["encoder", "tokenizer", "llm"]
    module = trained(build(tied, adapters=settings, trainable=parts)).eval()
    write_checkpoint(checkpoint_of(module), tmp_path / "one.ckpt")
    with torch.no_grad():
        expected = logits_of(module.model, question())
        before = logits_of(build(tied, adapters=settings).model.eval(), question())
        assert not torch.allclose(expected, before, atol=1e-2)
        for begun in (Adapters(), settings):  # a stage without adapters, and one with new ones
            again = build(tied, init_from=tmp_path / "one.ckpt", adapters=begun, trainable=parts)
            found = logits_of(again.eval().model, question())
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
        folder = exported(build(tied, adapters=Adapters()).model, tmp_path)
        batch = question()
        theirs = InstructBlipForConditionalGeneration.from_pretrained(folder).eval()
        found = theirs(
            pixel_values=batch["pixel_values"],
            qformer_input_ids=batch["instruction_ids"],
            qformer_attention_mask=batch["instruction_mask"],
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
        ).logits
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
        again = build(tied, init_from=folder).model.eval()
        torch.testing.assert_close(logits_of(again, question()), expected, atol=1e-4, rtol=0)
    weights, shapes = open_weights(tmp_path / "one.ckpt")
    assert weights.keys() == shapes.keys() == build(tied, adapters=Adapters()).state_dict().keys()


def test_a_part_that_is_not_trained_gets_no_adapters():
    module = build(adapters=ALL, trainable=["tokenizer"])
    assert not any("lora" in name for name in module.model.language_model.state_dict())
    assert any("lora" in name for name in module.model.qformer.state_dict())
    module = build(adapters=LLM, trainable=["tokenizer"])
    assert module.merging is None and "adapters" not in checkpoint_of(module)["vista"]


def test_adapters_of_the_qformer_learn_its_new_words():
    """It reads the LLM's ids here; with a tokenizer of its own nothing is new to it."""
    module = build(adapters=ALL, trainable=["tokenizer"])
    rows = [n for n, p in module.model.qformer.named_parameters() if "tokens_delta" in n]
    assert rows == ["embeddings.word_embeddings.token_adapter.trainable_tokens_delta.default"]


def test_dropout_is_for_training_alone():
    settings = Adapters(rank=4, alpha=8, dropout=0.9, targets={"llm": ["all"]})
    model = trained(build(adapters=settings)).model
    with torch.no_grad():
        model.eval()
        assert torch.equal(logits_of(model, question()), logits_of(model, question()))
        model.train()
        assert not torch.equal(logits_of(model, question()), logits_of(model, question()))


@pytest.mark.parametrize("tied", [True, False])
def test_parts_that_are_laid_out_begin_alike(tied, tmp_path):
    """Adapters are put on before there is memory, and begin with what a model in one piece has."""
    build_llm(len(tokenizer()), num_layers=2, tie_embeddings=tied, **SIZES).save_pretrained(
        tmp_path
    )
    whole = build(tied, tmp_path)
    module = build(tied, tmp_path, lays_out=True)
    assert any(p.is_meta for p in module.parameters())
    module.fill()
    llm, expected = (m.model.language_model.state_dict() for m in (module, whole))
    assert llm.keys() == expected.keys()
    for name, tensor in expected.items():
        if "lora_A" in name:
            assert llm[name].std() == pytest.approx(tensor.std().item(), rel=0.3)
        else:
            assert torch.equal(llm[name], tensor), name
    assert (tied) == (llm[TABLES[0]].data_ptr() == llm[TABLES[1]].data_ptr())
    trained(module)
    torch.testing.assert_close(
        merged(module)[TABLE][OLD], merged(whole)[TABLE][OLD], rtol=0, atol=0
    )


TABLES = [
    f"{name}.token_adapter.trainable_tokens_delta.default"
    for name in ("model.embed_tokens", "lm_head")
]


def check_shared(rank: int, size: int, folder: Path) -> None:
    """In each of `size` processes: sharded, a step is that of a model in one piece."""
    store = dist.FileStore(str(folder / f"store{size}"), size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    try:
        for tied in (True, False):
            first = build(tied).model.state_dict()
            whole = trained(build(tied)).model.state_dict()
            shared = build(tied)
            shard(shared.model, init_device_mesh("cpu", (size,)))
            shared.fill()
            trained(shared)
            for name, tensor in shared.model.state_dict().items():
                tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
                torch.testing.assert_close(tensor, whole[name], atol=1e-4, rtol=0, msg=name)
                moved = not torch.equal(tensor, first[name])
                assert moved != torch.equal(whole[name], first[name]), name
    finally:
        dist.destroy_process_group()


def test_adapters_are_sharded_with_their_part(tmp_path):
    check_shared(0, 1, tmp_path)


@pytest.mark.slow  # processes; of one: the test above
def test_processes_share_adapters(tmp_path):
    mp.spawn(check_shared, (2, tmp_path), nprocs=2)


def gradients(module: VistaModule, autocast: bool) -> dict[str, Tensor]:
    """Of all that is trained, once the adapters add something; whole, on every process."""
    llm = module.model.language_model
    for name, tensor in all_tensors(llm).items():
        if "lora_B" in name:
            draw = torch.Generator().manual_seed(len(name))
            fill(llm, {name: Stored.of(0.2 * torch.randn(tensor.shape, generator=draw))})
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = module.model(question()).sum()
    loss.backward()
    found = {n: p.grad for n, p in module.model.named_parameters() if p.requires_grad}
    return {
        name: grad.full_tensor() if isinstance(grad, DTensor) else grad
        for name, grad in found.items()
        if grad is not None
    }


def check_bfloat16(rank: int, size: int, folder: Path) -> None:
    """In each of `size` processes: below adapters, frozen weights of two bytes are sharded, and cost no gradient."""
    store = dist.FileStore(str(folder / f"store{size}"), size)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size)
    try:
        for tied in (True, False):
            exact = build(tied)  # the same weights, and all arithmetic in float32
            for parameter in exact.model.parameters():
                if not parameter.requires_grad:
                    parameter.data = parameter.data.bfloat16().float()
            expected = gradients(exact, autocast=False)
            alone = gradients(build(tied, frozen_dtype="bfloat16"), autocast=True)
            module = build(tied, frozen_dtype="bfloat16")
            shard(module.model, init_device_mesh("cpu", (size,)), bf16=True)
            module.fill()
            kinds = {p.dtype for p in module.model.parameters() if not p.requires_grad}
            assert kinds == {torch.bfloat16}
            shared = gradients(module, autocast=True)
            assert shared.keys() == alone.keys() == expected.keys()
            for name, grad in expected.items():
                least, norm = 1e-3 * max(g.norm() for g in expected.values()), grad.norm()
                assert (shared[name] - grad).norm() < 0.05 * norm + least, name
                assert (alone[name] - grad).norm() < 0.05 * norm + least, name
    finally:
        dist.destroy_process_group()


def test_adapters_are_sharded_with_a_base_of_two_bytes(tmp_path):
    check_bfloat16(0, 1, tmp_path)


@pytest.mark.slow  # processes; of one: the test above
def test_processes_share_adapters_and_a_base_of_two_bytes(tmp_path):
    mp.spawn(check_bfloat16, (2, tmp_path), nprocs=2)


def test_a_stage_begins_with_merged_shards(tmp_path):
    module = trained(build())
    checkpoint = checkpoint_of(module)
    tensors = {f"{WEIGHTS}{name}": tensor for name, tensor in checkpoint.pop("state_dict").items()}
    (tmp_path / "shards.ckpt.unfinished").mkdir()
    write_shards(tensors, tmp_path / "shards.ckpt.unfinished")
    finish(checkpoint, tmp_path / "shards.ckpt")
    found = build(adapters=Adapters(), init_from=tmp_path / "shards.ckpt").model.state_dict()
    for name, tensor in merged(module).items():
        assert torch.equal(found[name], tensor), name


def test_names_of_layers_are_checked():
    with pytest.raises(
        InputError, match=r"no linear layer 'query' for an adapter; it has down_proj, "
    ):
        build(adapters=Adapters(targets={"llm": ["q_proj", "query"]}))
    with pytest.raises(
        InputError, match=r"there is no part 'qformer' to train; there are encoder, "
    ):
        build(adapters=Adapters(targets={"qformer": ["all"]}))


def test_the_head_is_no_target_and_its_biases_are_not_lost():
    """peft leaves them out where it trains rows of a head."""
    config = LlamaConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    llm = LlamaForCausalLM(config)
    llm.lm_head = torch.nn.Linear(8, 8)
    with pytest.raises(InputError, match="the head of LlamaForCausalLM has biases"):
        put_on(llm, Adapters(), ["all"], [6, 7])
    begin(llm, put_on(llm, Adapters(), ["all"]))
    assert not any("lora" in name for name in llm.lm_head.state_dict())
    with pytest.raises(InputError, match="no linear layer 'lm_head'"):
        put_on(LlamaForCausalLM(config), Adapters(), ["lm_head"])


def test_a_run_is_made_and_resumed(tiny_world, tmp_path, monkeypatch):
    """By the config alone; the resumed run has what the whole one has."""
    monkeypatch.chdir(tmp_path)
    few = [
        "--data.tasks=[rec]", "--data.batch_size=8", "--data.order.epoch_samples=32", "--trainer.max_epochs=1",
        "--data.scoring.max_val=2", "--trainer.precision=32-true", "--model.frozen_dtype=float32",
        "--model.adapters.rank=2", "--model.adapters.dropout=0", f"--data.root={tiny_world}",
    ]  # fmt: skip
    command = ["fit", "--config", "stage1", "--config", "lora", *FLAGS, *few]
    assert run(*command, "--name=whole", "--save_every=2").code == 0
    whole = read_checkpoint(Path("runs/whole/checkpoints/last.ckpt"))
    middle = next(p for p in Path("runs/whole/checkpoints").glob("*.ckpt") if "2" in p.stem)
    outcome = run(*command, "--name=again", f"--ckpt_path={middle}")
    assert outcome.code == 0, outcome.err
    again = read_checkpoint(Path("runs/again/checkpoints/last.ckpt"))
    for name, tensor in whole["state_dict"].items():
        torch.testing.assert_close(again["state_dict"][name], tensor, atol=1e-6, rtol=0, msg=name)
    rates = {group["initial_lr"] for group in whole["optimizer_states"][0]["param_groups"]}
    assert rates == {4.0e-3, 2.0e-4}  # of the size and of lora.yaml
    other = run(*command, f"--ckpt_path={middle}", "--model.adapters.alpha=4")
    assert "--model.adapters.alpha is 4.0, but it was 32.0" in other.err
