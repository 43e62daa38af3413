"""The module: what is trained, what a checkpoint must fit, which words were learned, and the schedule."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.tiny import QUERIES, tokenizer
from vista.codec.codec import Codec
from vista.models.encoder import build_encoder
from vista.models.llm import build_llm
from vista.models.parts import QFormer
from vista.models.trained import PARTS
from vista.module import VistaModule
from vista.tokens.tokenizer import Tokenizer
from vista.training.optimizer import Optimization
from vista.training.schedule import warmup_cosine


def module(
    words: Tokenizer | None = None,
    codec: Codec | None = None,
    width: int = 32,
    kind: type[VistaModule] = VistaModule,
    **settings: Any,
) -> VistaModule:
    words = words or tokenizer()
    sizes = {"hidden_size": width, "num_heads": 2, "mlp_size": 32, "num_layers": 1}
    encoder = build_encoder(image_size=32, **sizes)
    qformer = QFormer(
        num_queries=QUERIES, encoder_hidden_size=width, vocab_size=len(words), **sizes
    )
    llm = build_llm(vocab_size=len(words), **sizes)
    return kind(encoder, qformer, llm, words, codec or Codec(num_points=4), **settings)


def saved(whole: VistaModule, path: Path) -> Path:
    checkpoint: dict[str, Any] = {"state_dict": whole.state_dict()}
    whole.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path)
    return path


@pytest.mark.parametrize(
    "trainable", [["encoder"], ["tokenizer"], ["llm"], ["tokenizer", "llm"], []]
)
def test_only_the_named_parts_are_trained(trainable):
    whole = module(trainable=trainable)
    wanted = {name for part in trainable for name in PARTS[part]}
    trained = {name.split(".")[1] for name, p in whole.named_parameters() if p.requires_grad}
    assert trained == wanted
    every = {name.split(".")[1] for name, _ in whole.named_parameters()}
    assert every == {
        name for names in PARTS.values() for name in names
    }  # no parameter belongs to no part


def test_an_unknown_part_is_refused():
    with pytest.raises(
        ValueError, match="there is no part 'qformer' to train; there are encoder, tokenizer, llm"
    ):
        module(trainable=["qformer"])


def test_norms_and_biases_are_not_decayed():
    whole = module(optimization=Optimization(weight_decay=0.1, betas=(0.8, 0.9)))
    whole._trainer = type("T", (), {"estimated_stepping_batches": 10})()  # all that it is asked for
    optimizer = whole.configure_optimizers()["optimizer"]
    *decayed, plain = optimizer.param_groups
    assert plain["weight_decay"] == 0 and all(p.dim() <= 1 for p in plain["params"])
    for group in decayed:
        assert group["weight_decay"] == 0.1 and group["betas"] == (0.8, 0.9)
        assert group["params"] and all(p.dim() > 1 for p in group["params"])


def test_muon_refuses_sharded_matrices(monkeypatch):
    sharded = module(optimization=Optimization(optimizer="muon"))
    monkeypatch.setattr(VistaModule, "device_mesh", object())
    with pytest.raises(
        ValueError, match=r"Muon needs whole matrices.*--model.optimization.optimizer adamw"
    ):
        sharded.configure_optimizers()


def test_numbers_begin_as_neighbours():
    rows = module().model.language_model.get_input_embeddings().weight[tokenizer().number_ids]
    near, far = (rows[500] - rows[501]).norm(), (rows[500] - rows[900]).norm()
    assert near < 0.5 * far


def test_weights_of_an_earlier_stage_are_taken(tmp_path):
    torch.manual_seed(1)
    earlier = module()
    earlier.learned_words[5] = True
    torch.manual_seed(2)
    later = module(init_from=saved(earlier, tmp_path / "a.ckpt"), trainable=["tokenizer"])
    assert all(
        torch.equal(a, b)
        for a, b in zip(earlier.state_dict().values(), later.state_dict().values(), strict=True)
    )
    assert (
        later.learned_words[5] and not next(later.model.language_model.parameters()).requires_grad
    )


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (
            lambda: module(words=tokenizer("paper")),
            "made with bracket_layout paper, this run has compact",
        ),
        (lambda: module(codec=Codec(num_points=8)), "made with num_points 8, this run has 4"),
        (
            lambda: module(codec=Codec(num_points=4, method="uniform")),
            "made with method uniform, this run has adaptive",
        ),
        (
            lambda: module(width=64),
            r"model.query_tokens has shape \(1, 3, 64\) in the checkpoint and \(1, 3, 32\)",
        ),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused(tmp_path, other, sentence):
    path = saved(other(), tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=sentence):
        module(init_from=path)


def test_a_checkpoint_of_another_tokenizer_is_refused(tmp_path):
    path = saved(module(), tmp_path / "a.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["vista"]["tokenizer"] = checkpoint["vista"]["tokenizer"].replace("circle", "zircle")
    torch.save(checkpoint, path)
    with pytest.raises(
        ValueError, match=r"made with another tokenizer; name its folder by --tokenizer\.folder"
    ):
        module(init_from=path)


def test_parameters_that_differ_in_name_are_named(tmp_path):
    whole = module()
    path = saved(whole, tmp_path / "a.ckpt")
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint["state_dict"]["model.query_tokens"]
    torch.save(checkpoint, path)
    with pytest.raises(
        ValueError, match=r"only this model has model\.query_tokens; 1 parameters differ"
    ):
        module(init_from=path)


def test_queries_and_projection_of_another_checkpoint(tmp_path):
    torch.manual_seed(3)
    other = module().model
    tensors = {"query_tokens": other.query_tokens, "unrelated": torch.zeros(3)}
    tensors |= {
        f"language_projection.{k}": v for k, v in other.language_projection.state_dict().items()
    }
    save_file({k: v.detach().clone() for k, v in tensors.items()}, tmp_path / "model.safetensors")
    own = module(weights=tmp_path).model
    assert torch.equal(own.query_tokens, other.query_tokens)
    assert torch.equal(own.language_projection.weight, other.language_projection.weight)
    with pytest.raises(
        ValueError, match=r"has query_tokens of shape \(1, 3, 32\), the model needs \(1, 3, 64\)"
    ):
        module(weights=tmp_path, width=64)
    save_file({"unrelated": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="has no query_tokens"):
        module(weights=tmp_path)


def test_words_that_a_frozen_llm_never_learned_are_named_once(monkeypatch):
    printed: list[str] = []
    monkeypatch.setattr(VistaModule, "print", lambda self, text: printed.append(text))
    yes, no = (tokenizer().encode(word)[0] for word in ("yes", "no"))
    trained = module()
    words = torch.arange(len(tokenizer()))
    trained._note_words(torch.isin(words, torch.tensor([yes, tokenizer().eos_id])))
    assert trained.learned_words.nonzero().flatten().tolist() == sorted([yes, tokenizer().eos_id])
    frozen = module(trainable=["tokenizer"])
    frozen.load_state_dict(trained.state_dict())
    for _ in range(2):
        frozen._note_words(torch.isin(words, torch.tensor([yes, no])))
    assert printed == [
        "warning: the frozen LLM is asked to say words it was never trained on: ['no']"
    ]
    assert not frozen.learned_words[no]


def test_the_schedule_rises_and_falls():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedule = warmup_cosine(optimizer, 100, warmup_share=0.1)["lr_scheduler"]
    assert schedule["interval"] == "step"
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule["scheduler"].step()
    assert rates[:10] == pytest.approx([0.2 * k for k in range(1, 11)])
    assert max(rates) == rates[9] == rates[10] == 2.0
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert rates[55] == pytest.approx(1.0, abs=0.02) and 0 < rates[-1] < 0.01


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_schedules(steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = warmup_cosine(optimizer, steps)["lr_scheduler"]["scheduler"]
    for _ in range(steps):
        assert optimizer.param_groups[0]["lr"] > 0
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.5, 0.125)])
def test_the_loss_is_the_weighted_mean_of_all_tokens(monkeypatch, weights):
    """Answers of 1 and of 8 tokens, whose tokens cost 3 and 1 nats; with weights of 1 the plain mean."""
    own = module()
    labels = torch.full((2, 11), -100)
    labels[0, 3:4], labels[1, 3:11] = 5, 6
    cost = (labels[:, 1:] >= 0) * torch.tensor([[3.0], [1.0]])
    monkeypatch.setattr(VistaModule, "_log_losses", lambda *_: None)
    monkeypatch.setattr(VistaModule, "log", lambda *_, **__: None)
    strategy = SimpleNamespace(reduce=lambda value, reduce_op: value)
    monkeypatch.setattr(type(own.model), "forward", lambda self, batch: cost)
    trainer = SimpleNamespace(strategy=strategy, accumulate_grad_batches=1)
    monkeypatch.setattr(VistaModule, "trainer", trainer)
    source = torch.zeros(2, dtype=torch.long)
    weighed = (labels >= 0) * torch.tensor(weights)[:, None]
    batch = {"labels": labels, "source_index": source, "loss_weights": weighed}
    total = own.training_step(batch, 0)
    first, second = weights
    assert total.item() == pytest.approx((3 * first + 8 * second) / (first + 8 * second))
