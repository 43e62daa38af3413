"""A CUDA device against the CPU: gradients, answers, training, checkpoints and sharding. Run by `make test-gpu`."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks import Task
from tests.decoding.test_decoder_tasks import ask_task
from tests.decoding.test_greedy import GRAMMARS, LIMIT, QUESTIONS
from tests.task_sources import ON_FORMATS, annotations
from tests.tiny import FLAGS, QUERIES, ROOT, ask, picture, run, tiny_model, tokenizer
from tests.training.test_processes import losses
from vista.codec.codec import Codec
from vista.decoding.beam import beam_search
from vista.decoding.decoder import Decoder
from vista.decoding.grammar import compile_grammar
from vista.decoding.greedy import Sampling, generate
from vista.decoding.options import option_probabilities
from vista.models.vistallm import VistaLLM
from vista.tokens.batch import collate, encode_example
from vista.tokens.batch_types import Example
from vista.training.checkpoints import read_checkpoint
from vista.training.optimizer import orthogonalize

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
DEVICE = "cuda"
GPU = ["--trainer.accelerator=gpu", "--trainer.devices=1"]
SETTINGS = [
    "--data.tasks=[caption,vqav2,rec,res]", "--data.batch_size=16", "--data.order.epoch_samples=160",
    "--trainer.max_epochs=1", "--trainer.log_every_n_steps=1",
    "--data.scoring.max_val=12", "--data.scoring.eval_batch_size=4",
]  # fmt: skip


def moved(
    batch: dict[str, Any], device: str = DEVICE, dtype: torch.dtype = torch.float64
) -> dict[str, Any]:
    """A batch with its pixels in another precision."""
    return {
        k: v.to(device, dtype) if v.is_floating_point() else v.to(device) for k, v in batch.items()
    }


def twins() -> tuple[VistaLLM, VistaLLM]:
    """The same model on the CPU and on the device, in float64."""
    return tiny_model().double(), tiny_model().double().to(DEVICE)


def test_loss_and_gradients():
    examples = [
        Example(("a",), (("<image> where is it ?", "[104, 250, 396, 541]"),)),
        Example(("a", "b"), (("<image> <image> is it true ?", "That is True."),)),
    ]
    samples = [encode_example(e, tokenizer()) for e in examples]
    batch = collate(samples, {name: picture(name) for name in "ab"}, tokenizer(), QUERIES)
    cpu, gpu = twins()
    for model, given in ((cpu, moved(batch, "cpu")), (gpu, moved(batch))):
        model(given).sum().backward()
    for (name, ours), theirs in zip(cpu.named_parameters(), gpu.parameters(), strict=True):
        if ours.grad is not None:  # norms and the loss are in float32 all the same
            difference = (theirs.grad.cpu() - ours.grad).abs().max() / ours.grad.abs().max().clamp(
                min=1e-3
            )
            assert difference < 1e-4, name


def test_muon_takes_the_same_step():
    matrices = torch.randn(3, 24, 40, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        orthogonalize(matrices.to(DEVICE)).cpu(), orthogonalize(matrices), atol=1e-4, rtol=1e-3
    )


@pytest.mark.parametrize("way", ["greedy", "sampled", "beams"])
def test_answers_token_for_token(way):
    """Rows in different states, of which some end early."""
    decode: dict[str, Callable[..., Any]] = {
        "greedy": generate,
        "sampled": lambda *given: generate(*given, Sampling(seed=3)),
        "beams": lambda *given: beam_search(*given, 3),
    }
    automata = [compile_grammar(g, tokenizer()) for g in GRAMMARS]
    batch = ask(*(QUESTIONS[i % len(QUESTIONS)] for i in range(len(GRAMMARS))))
    cpu, gpu = (
        decode[way](model, given, automata, LIMIT)
        for model, given in zip(twins(), (moved(batch, "cpu"), moved(batch)), strict=True)
    )
    for ours, theirs in zip(cpu, gpu, strict=True):
        assert theirs.token_ids == ours.token_ids
        assert theirs.spreads == pytest.approx(ours.spreads, abs=1e-3)
        assert theirs.confidence == pytest.approx(ours.confidence, abs=1e-4)


def test_probabilities_of_options():
    options = [
        [tokenizer().encode(text, eos=True) for text in texts]
        for texts in (("Yes", "No"), ("red", "blue one"))
    ]
    batch = ask(*QUESTIONS[:2])
    cpu, gpu = twins()
    ours, theirs = (
        option_probabilities(m, moved(batch, d), options) for m, d in ((cpu, "cpu"), (gpu, DEVICE))
    )
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "dataset", "split"), ON_FORMATS, ids=["-".join(source) for source in ON_FORMATS]
)
def test_every_task_in_bfloat16(name, dataset, split):
    """No answer of random weights is malformed, and the evaluator takes them on the device."""
    task = Task.known[name](Codec(num_points=8))
    asked = list(annotations(name, dataset, split))[:8]
    batch = moved(ask_task(task, asked, "compact"), dtype=torch.bfloat16)
    model = tiny_model().to(DEVICE, torch.bfloat16)
    preds = Decoder(tokenizer())(model, batch, [task] * len(asked), asked)
    assert not any(p.malformed for p in preds)
    evaluator = task.evaluator().to(DEVICE)
    evaluator.update(preds, [task.reference(a) for a in asked])
    assert int(evaluator.compute()["n"]) > 0


def fit(name: str, world: Path, *more: str) -> None:
    outcome = run(
        "fit",
        "--config",
        "stage1",
        *FLAGS,
        *SETTINGS,
        f"--data.root={world}",
        f"--name={name}",
        *more,
    )
    assert outcome.code == 0, outcome.err


def test_training_and_tests(tiny_world, tmp_path, monkeypatch):
    """Ten steps on each; the losses, and the scores of one checkpoint."""
    monkeypatch.chdir(tmp_path)
    fit("cpu", tiny_world)
    fit("gpu", tiny_world, *GPU)
    for ours, theirs in zip(losses(Path("runs/cpu")), losses(Path("runs/gpu")), strict=True):
        assert theirs == pytest.approx(ours, rel=2e-3)
    tables = []
    for place in ([], GPU):
        words = [
            "--ckpt_path=runs/gpu/checkpoints/last.ckpt",
            f"--data.root={tiny_world}",
            *FLAGS,
            SETTINGS[0],
        ]
        outcome = run("validate", *words, "--data.scoring.max_val=12", *place)
        assert outcome.code == 0, outcome.err
        tables.append(
            [line for line in outcome.out.splitlines() if "coco" in line or "vqav2" in line]
        )
    assert len(tables[0]) == 4 and tables[0] == tables[1]


def test_bfloat16_and_loader_processes(tiny_world, tmp_path, monkeypatch):
    """A run in mixed precision, fed by loader processes; its `test` in true bfloat16."""
    monkeypatch.chdir(tmp_path)
    words = [*GPU, "--trainer.precision=bf16-mixed", "--data.num_workers=2"]
    fit("half", tiny_world, *words)
    rows = losses(Path("runs/half"))
    assert len(rows) == 10 and rows[-1]["train/loss"] < rows[0]["train/loss"]
    outcome = run(
        "test",
        "--task",
        "rec",
        "res",
        "--data.scoring.max_test=8",
        *GPU,
        "--trainer.precision=bf16-true",
    )
    assert outcome.code == 0, outcome.err
    answers = [
        json.loads(line)
        for file in Path("runs/half/predictions").glob("*.jsonl")
        for line in file.open()
    ]
    assert answers and not any(answer.get("malformed") for answer in answers)


def test_a_sharded_run_on_one_device(tiny_world, tmp_path, monkeypatch):
    """`fsdp.yaml` as it is, of which one device is the smallest case: losses near those of a run without it."""
    monkeypatch.chdir(tmp_path)
    alike = ["--model.optimization.optimizer=adamw", "--model.optimization.learning_rate=1.5e-3"]
    fit("plain", tiny_world, *GPU, *alike, "--trainer.precision=bf16-mixed")
    launcher = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=1",
        ROOT / "main.py",
    ]
    words = [
        "fit",
        "--config=stage1",
        "--config=fsdp.yaml",
        *FLAGS,
        *SETTINGS,
        *alike,
        f"--data.root={tiny_world}",
    ]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    }
    done = subprocess.run(
        [*launcher, *words, "--name=sharded"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for ours, theirs in zip(losses(Path("runs/plain")), losses(Path("runs/sharded")), strict=True):
        assert theirs["train/loss"] == pytest.approx(ours["train/loss"], rel=3e-2)
    assert read_checkpoint(Path("runs/sharded/checkpoints/last.ckpt"))["state_dict"]
