"""`plan`: what it says of the paper's runs, of real files, and of settings that do not fit together."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from transformers import (
    InstructBlipConfig,
    InstructBlipQFormerConfig,
    InstructBlipVisionConfig,
    LlamaConfig,
)

from datamodules.commands.bare import Vocabularies, bare_model, read_run, read_tokenizer
from datamodules.commands.configured import read_setup
from datamodules.commands.cost import PAPER_HOURS, card_batch, paper_hours, sample_flops, steps_of
from datamodules.commands.mixture_lengths import mixture_lengths
from datamodules.commands.plan import largest
from datamodules.dataset import Encoding, TrainingSet
from datamodules.mixture import MixtureData
from tests.tiny import run
from vista.images import ImageTransform
from vista.training.flops import step_flops, unit_flops
from vista.training.footprint import Memory, Sharing

LLAMAS = {  # of Vicuna
    "vicuna_7b": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32},
    "vicuna_13b": {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40},
}  # fmt: skip
PAPER = ("--config", "stage1", "--config", "vicuna_7b", "--config", "coinit", "--config", "fsdp")


def describe(folder: Path, size: str) -> None:
    """What `plan` needs of the paper's weights: the folder's `config.json`, as transformers writes it."""
    text = LlamaConfig(vocab_size=32_001, **LLAMAS[size]).to_dict()
    config = InstructBlipConfig(
        vision_config=InstructBlipVisionConfig().to_dict(),
        qformer_config=InstructBlipQFormerConfig(vocab_size=30_523).to_dict(),
        text_config=text,
        num_query_tokens=32,
    )
    config.save_pretrained(folder / f"checkpoints/instructblip-{size.replace('_', '-')}")


@pytest.fixture(scope="module")
def working_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `checkpoints/` holds what is known of the weights of both sizes, and no weights."""
    folder = tmp_path_factory.mktemp("plan")
    for size in LLAMAS:
        describe(folder, size)
    return folder


@pytest.fixture(scope="module")
def paper(working_folder: Path) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(working_folder)
        outcome = run("plan", *PAPER, "--nodes", "4")
    assert outcome.code == 0, outcome.err
    return outcome.out


def test_the_larger_size(working_folder, monkeypatch):
    monkeypatch.chdir(working_folder)
    outcome = run("plan", *[word.replace("7b", "13b") for word in PAPER], "--nodes", "4")
    assert outcome.code == 0, outcome.err
    assert re.search(r"^vision_model +985,952,256  0 %$", outcome.out, re.MULTILINE)
    assert re.search(r"^language_model +13,0\d\d,\d{3},\d{3}  100 %$", outcome.out, re.MULTILINE)
    assert "the paper: 72 hours on 32 A100" in outcome.out


def test_frozen_weights_in_half_precision_take_half(working_folder, monkeypatch):
    """That of stage 1's encoder, which is frozen; where nothing else is computed in it, plan says what fit would."""
    monkeypatch.chdir(working_folder)
    (working_folder / "half.yaml").write_text("model: {frozen_dtype: bfloat16}\n")
    words = (*PAPER, "--config", "half.yaml")
    weights = re.search(r"^    weights +([\d.]+)", run("plan", *words).out, re.MULTILINE)
    assert float(weights[1]) == pytest.approx((7.92 * 4 - 0.986 * 2) / 8, abs=0.01)
    (working_folder / "full.yaml").write_text("trainer: {precision: 32-true}\n")
    outcome = run("plan", *words, "--config", "full.yaml")
    assert outcome.code == 2 and "needs --trainer.precision bf16-mixed" in outcome.err


def test_adapters_on_one_card(working_folder, monkeypatch):
    """Stage 1 at 7B: the LLM in two bytes a number, no gradient or moment of it, and a card of 80 GB is enough."""
    pytest.importorskip("peft")
    monkeypatch.chdir(working_folder)
    one = {
        "data": {"batch_size": 8},
        "trainer": {"accelerator": "gpu", "accumulate_grad_batches": 32},
    }
    (working_folder / "one.yaml").write_text(yaml.safe_dump(one))
    stack = [
        word
        for name in ("stage1", "vicuna_7b", "coinit", "lora", "one.yaml")
        for word in ("--config", name)
    ]
    outcome = run("plan", *stack, "--cards", "1", "--card_gb", "80")
    assert outcome.code == 0, outcome.err
    found = dict(re.findall(r"^    (\w+) +([\d.]+)", outcome.out, re.MULTILINE))
    size = {kind: float(number) for kind, number in found.items()}
    # Rank 16 on four matrices of D x D and three of D x 11,008 in 32 layers, 993 rows of two tables; the QFormer whole.
    adapters = 32 * 16 * (4 * 2 * 4096 + 3 * (4096 + 11008)) + 2 * 993 * 4096
    assert re.search(
        r"^language_model +6,7\d\d,\d{3},\d{3}  0\.\d\d % by adapters$", outcome.out, re.MULTILINE
    )
    trained = size["gradients"] * 1e9 / 4
    assert trained - adapters == pytest.approx(0.19e9, rel=0.1)  # of the QFormer and the projection
    assert size["optimizer"] == pytest.approx(2 * size["gradients"], abs=0.02)
    assert size["weights"] == pytest.approx(2 * (6.75 + 0.986) + 4 * trained / 1e9, abs=0.1)
    assert re.search(r"^    all +[\d.]+  fits into 80$", outcome.out, re.MULTILINE)


def test_a_config_of_the_weights_must_be_there(tmp_path, monkeypatch):
    """Neither the tiny size nor a traceback stands in for it."""
    monkeypatch.chdir(tmp_path)
    for folder in ("", "checkpoints/instructblip-vicuna-7b"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        outcome = run("plan", *PAPER)
        assert outcome.code == 2 and outcome.err.count("\n") == 1, outcome.err
        expected = "checkpoints/instructblip-vicuna-7b holds no config.json, which says the sizes of the encoder"
        assert expected in outcome.err


def test_the_paper_s_first_stage(paper):
    assert re.search(r"^vision_model +985,952,256  0 %$", paper, re.MULTILINE)
    assert re.search(r"^language_model +6,\d{3},\d{3},\d{3}  100 %$", paper, re.MULTILINE)
    assert "the tokenizer is not there: taken as" in paper
    assert "as stated for the paper's mixture" in paper
    assert re.search("not counted, .*: .*bqa_visual7w", paper)
    kinds = ("weights", "gradients", "optimizer", "gathered", "activations", "logits")
    sizes = {}
    for kind in (*kinds, "all"):
        sizes[kind] = float(re.search(rf"^    {kind} +([\d.]+)", paper, re.MULTILINE)[1])
    assert sum(sizes[kind] for kind in kinds) == pytest.approx(sizes["all"], abs=0.03)
    # Adam's two moments of the trained weights, all of them shared by the eight cards of a node.
    assert sizes["weights"] == pytest.approx(7.92 * 4 / 8, abs=0.01)
    assert sizes["optimizer"] == pytest.approx(2 * sizes["gradients"], abs=0.01)
    assert re.search("the paper: 48 hours on 32 A100, of these operations an MFU of", paper)


def test_hours_are_operations_by_speed(paper):
    step = float(re.search(r"a step: 256 samples, ([\d,.]+) TFLOPs", paper)[1].replace(",", ""))
    steps, hours = re.search(r"^([\d,]+) steps: ([\d.,]+) hours", paper, re.MULTILINE).groups()
    steps = int(steps.replace(",", ""))
    assert steps == 2 * (2_252_634 // 256)
    assert float(hours) == pytest.approx(steps * step / (32 * 312 * 0.4) / 3600, abs=0.06)
    implied = float(re.search(r"an MFU of ([\d.]+)%\n", paper)[1]) / 100
    assert implied == pytest.approx(steps * step / (48 * 3600 * 32 * 312), abs=0.0006)


def test_the_paper_s_hours_are_told_by_size_and_stage():
    assert [paper_hours(n, True) for n in (6_746_558_464, 13_026_042_880)] == [48, 72]
    assert [paper_hours(n, False) for n in (6_746_558_464, 13_026_042_880)] == [22, 30]
    assert paper_hours(2_000_000, True) is None and len(PAPER_HOURS) == 4


def test_lengths_and_operations_are_those_of_the_batches(tiny_world, tmp_path):
    """All batches of an epoch, encoded, against the plan's means: steps exactly, operations within 1 %.

    Those of images within 5 %: of 64 scenes, some stand in a batch twice and are encoded once.
    """
    config = tmp_path / "place.yaml"
    config.write_text(
        f"data: {{cache: {tmp_path}, batch_size: 32, tasks: [caption, rec], order: {{epoch_samples: null}}}}\n"
    )
    setup = read_setup(["stage1", "world", str(config)], tiny_world, [])
    own = read_run(setup.settings)
    tokenizer = read_tokenizer(setup)
    model = bare_model(setup.settings, Vocabularies(len(tokenizer), tokenizer.instruction_size))
    queries = model.query_tokens.shape[1]
    mixture = mixture_lengths(setup, own, tokenizer, queries)
    assert all(source.measured for source in mixture.sources) and not mixture.absent
    data = MixtureData(
        tokenizer, setup.codec, setup.sources, tiny_world, cache=tmp_path, batch_size=32, num_queries=queries,
        tasks=["caption", "rec"],
    )  # fmt: skip
    data.setup("fit")
    assert sorted(mixture.counts) == sorted(data.train_order.counts)
    assert steps_of(own, mixture.epoch) == 2 * (data.train_order.length // 32)
    unit = unit_flops(model)
    encoding = Encoding(tokenizer, ImageTransform(96), queries)
    loader = TrainingSet(data.train_sources, encoding)
    batches = list(data.train_dataloader().batch_sampler)
    epoch = [loader.__getitems__(keys) for keys in batches]
    samples = 32 * len(batches)
    text = replace(unit, image=0)
    real = sum(step_flops(text, batch) for batch in epoch)
    assert sample_flops(text, mixture) * samples == pytest.approx(real, rel=0.01)
    real = sum(step_flops(unit, batch) for batch in epoch)
    assert sample_flops(unit, mixture) * samples == pytest.approx(real, rel=0.05)


def test_a_batch_for_memory_is_none_of_the_light_ones(tiny_world, tmp_path):
    config = tmp_path / "place.yaml"
    config.write_text(f"data: {{cache: {tmp_path}}}\n")
    setup = read_setup(["stage1", "world", str(config)], tiny_world, [])
    mixture = mixture_lengths(setup, read_run(setup.settings), read_tokenizer(setup), 8)
    tokens = {}
    for rows in (1, 16):
        batch = card_batch(mixture, rows, 3)
        assert sum(count for count, _ in batch.groups) == rows
        tokens[rows] = sum(count * length for count, length in batch.groups)
    mean = np.average([s.text.mean() for s in mixture.sources], weights=mixture.counts)
    assert tokens[16] > 16 * mean and tokens[1] > mean


def test_what_does_not_fit_is_one_sentence(working_folder, monkeypatch):
    monkeypatch.chdir(working_folder)
    for words, sentence in (
        (("--mfu", "40"), "--mfu 40.0 is no share of a card's peak"),
        (("--nodes", "3"), "256 samples cannot be divided among 24 cards"),
    ):
        outcome = run("plan", *PAPER, *words)
        assert outcome.code == 2 and sentence in outcome.err and outcome.err.count("\n") == 1
    used = Memory(3 * 10**9, 0, 0, 0, 4 * 10**9, 0)
    assert largest(used, 8, Sharing(32), 5.0) == (
        "the largest batch that fits: 4 samples a card, data.batch_size 128"
    )
    assert largest(used, 8, Sharing(32), 3.1).startswith("no sample fits: 3.0 GB of a card")
