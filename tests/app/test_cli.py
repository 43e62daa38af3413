"""The command line: help, configs, and every mistake as one sentence with the nearest right word."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from tests.conftest import FinishedRun
from tests.tiny import FLAGS, ROOT, Outcome, run
from vista.app.arguments import plugins, resolve_arguments
from vista.app.explain import explain
from vista.app.settings import stack

HERE = ["--encoder.weights=null"]
CONFIGS = sorted(
    path.name for path in (ROOT / "configs").glob("[ps]*s/*.yaml")
)  # places, sizes, stages
STACKS = {  # as each file would be used, on top of what is left unsaid
    "fsdp.yaml": ["stage1", "vicuna_7b", "coinit", "fsdp"],
    "tiny_all.yaml": ["stage1", "tiny_all"],
    "tiny_refresh.yaml": ["stage2", "tiny_refresh"],
    "tiny_several.yaml": ["stage2", "tiny_several"],
    "tiny_stage2.yaml": ["stage2", "tiny_all", "tiny_stage2"],
    "vicuna_7b.yaml": ["stage1", "vicuna_7b"],
    "siglip2_qwen3.yaml": ["stage1", "siglip2_qwen3"],
    "vicuna_13b.yaml": ["stage1", "vicuna_13b", "coinit"],
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_one_sentence(outcome: Outcome, sentence: str) -> None:
    assert outcome.code == 2, outcome
    lines = [line for line in outcome.err.splitlines() if line and not line.startswith("Seed set")]
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("error: ") and sentence in lines[0]
    assert "usage:" not in outcome.out + outcome.err


def test_help_is_fast_and_loads_no_framework():
    """Once in a process of its own: what `main.py --help` imports."""
    code = (
        "import sys, main; main.main(['--help']); "
        "print(sorted({'torch', 'lightning', 'transformers', 'cv2', 'jsonargparse', 'datasets'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "    fit          train the model" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_arguments_are_a_cry_for_help():
    assert run() == run("--help") == run("-h")
    assert run().code == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fitt"], "there is no verb 'fitt'; did you mean 'fit'?"),
        (["qqqq"], "there is no verb 'qqqq'; there are fit, validate, test, predict"),
        (
            ["fit", "--trainer.max_stepz", "1"],
            "no setting 'trainer.max_stepz'; did you mean 'trainer.max_steps'?",
        ),
        (
            ["fit", "--trainer.max_step", "1"],
            "no setting 'trainer.max_step'; did you mean 'trainer.max_steps'?",
        ),
        (
            ["fit", "--trainer.max_step=1"],
            "no setting 'trainer.max_step'; did you mean 'trainer.max_steps'?",
        ),
        (
            ["fit", "--data.bach_size", "3"],
            "no setting 'data.bach_size'; did you mean 'data.batch_size'?",
        ),
        (
            ["fit", "--model.optimization.learning_rat=1"],
            "did you mean 'model.optimization.learning_rate'?",
        ),
        (
            ["fit", "--model.decoding.num_beams=few"],
            "model.decoding.num_beams is 'few'; it must be int",
        ),
        (
            ["fit", "--model.decoding={num_beams: 2, temperature: 1}", *FLAGS],
            "decode with num_beams 2 or with temperature 1.0, not with both",
        ),
        (["fit", "--encoder.size=3"], "there is no setting 'encoder.size'"),
        (["fit", "--config=stage1", "word"], "'word' is no setting; settings begin with --"),
        (["fit", "--name", "a", "word"], "'word' is no setting; settings begin with --"),
        (["fit", "--config", "stage1", "word"], "there is no config 'word' here or in configs/"),
        (["fit", "--data.batch_size", "abc"], "data.batch_size is 'abc'; it must be int"),
        (["fit", "--data.replay", "much"], "data.replay is 'much'; it must be float"),
        (
            ["fit", "--data.order.epoch_samples", "1.5"],
            "data.order.epoch_samples is '1.5'; it must be int or null",
        ),
        (
            ["fit", "--data.scoring.max_vall=3"],
            "no setting 'data.scoring.max_vall'; did you mean 'data.scoring.max_val'?",
        ),
        (["fit", "--codec.method", "adaptve"], "or optimal, did you mean 'adaptive'?"),
        (
            ["fit", "--tokenizer.bracket_layout=big"],
            "tokenizer.bracket_layout is 'big'; it must be paper or compact",
        ),
        (
            ["fit", "--trainer.precision", "7"],
            "trainer.precision is '7'; it must be 64 or 32 or 16 or transformer",
        ),
        (["fit", "--seed_everything", "x"], "seed_everything is 'x'; it must be bool or int"),
        (
            ["fit", "--config", "nope.yaml"],
            "there is no config 'nope.yaml' here or in configs/; configs/ holds",
        ),
        (
            ["fit", "--config=stagge1"],
            "there is no config 'stagge1' here or in configs/; did you mean 'stage1.yaml'?",
        ),
        (["fit", "--config"], "--config needs a value"),
        (["fit", "--task"], "--task needs a value"),
        (["fit", "--task", "ress", *FLAGS], "there is no task 'ress'; did you mean 'res'?"),
        (["fit", "--tas=res"], "there is no setting 'tas'; did you mean 'task'?"),
        (["fit", "--plugin", "nope.py"], "there is no plugin nope.py"),
        (["fit", "--tokenizer.folder", "nope", *HERE], "nope holds no tokenizer.json"),
        (
            ["fit", "--encoder.weights", "nope.safetensors"],
            "no .safetensors file at nope.safetensors",
        ),
        (["fit", "--data.tasks", "[ress]", *FLAGS], "there is no task 'ress'; did you mean 'res'?"),
        (
            ["fit", "--model.trainable", "[lm]", *FLAGS],
            "there is no part 'lm' to train; there are encoder, tokenizer",
        ),
        (
            ["fit", "--llm.max_positions=1024", *FLAGS],
            "--data.max_tokens is 2048, more than the LLM's 1024",
        ),
        (
            ["fit", "--data.root", "nope", *FLAGS],
            "the data root nope is not there; name it by --data.root",
        ),
        (
            ["fit", "--data.sources", "{a: {task: resz, dataset: refcoco}}", *FLAGS],
            "source a: there is no task 'resz'",
        ),
        (
            ["fit", "--data.sources", "{a: {task: res, dataset: x}}", *FLAGS],
            "source a: there is no dataset 'x'; there",
        ),
        (
            ["fit", "--data.sources", "{a: {tsk: res, dataset: x}}"],
            "there is no setting 'tsk'; did you mean 'task'?",
        ),
        (["fit", "--data.sources", "{a: {task: res}}"], "data.sources lacks dataset"),
        (
            ["fit", "--data.sources", "{a: {task: res, dataset: x, weight: y}}"],
            "data.sources.weight is 'y'; it must be",
        ),
        (["fit", "--trainer.accelerator=gpuu", *FLAGS], "gpuu"),
        (["fit", "--trainer.devices=0", *FLAGS], "devices"),
        (
            ["fit", "--model.init_from", "stage7", *FLAGS],
            "there is no finished run 'stage7' under runs/; train one by",
        ),
        (["fit", "--model.init_from", "nope.ckpt", *FLAGS], "there is no checkpoint nope.ckpt"),
        (["fit", "--ckpt_path", "nope.ckpt", *FLAGS], "there is no checkpoint nope.ckpt"),
        (
            ["test"],
            "there is no finished run under runs/; train one by `python main.py fit --config stage1.yaml`",
        ),
        (["test", "--ckpt_path=nope.ckpt"], "there is no checkpoint nope.ckpt"),
        (["predict", "--task", "res"], "there is no finished run under runs/"),
        (["pretrain", "--task", "res"], "there is no setting 'task'"),
        (["fit", "--images", "a.png"], "there is no setting 'images'"),
        (["pretrain", "--model.learning_rat=1"], "did you mean 'model.learning_rate'?"),
        (
            ["pretrain", "--config", "stag0"],
            "there is no config 'stag0' here or in configs/; did you mean",
        ),
    ],
)
def test_a_mistake_is_one_sentence(arguments, sentence, here, monkeypatch):
    monkeypatch.setattr("vista.app.runs.OWN_WEIGHTS", here / "none")  # a clone without weights
    assert_one_sentence(run(*arguments), sentence)
    assert not (here / "runs").exists()  # nothing is left behind


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("trainer: {max_epochs: [}\n", "is not YAML"),
        ("- 1\n- 2\n", "holds no settings but list"),
        (
            "data: {bach_size: 3}\n",
            "there is no setting 'data.bach_size'; did you mean 'data.batch_size'?",
        ),
        ("data: {batch_size: many}\n", "data.batch_size is 'many'; it must be int"),
    ],
)
def test_a_mistake_in_a_config_is_one_sentence(text, sentence, here):
    (here / "mine.yaml").write_text(text)
    assert_one_sentence(run("fit", "--config", "mine"), sentence)


@pytest.fixture
def trained(finished_run: FinishedRun, monkeypatch: pytest.MonkeyPatch) -> FinishedRun:
    monkeypatch.chdir(finished_run.cwd)
    return finished_run


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["test", "--task", "ress"], "there is no task 'ress'; did you mean 'res'?"),
        (["test", "--task", "gres"], "task gres has no source; add one under data.sources"),
        (
            ["test", "--ckpt_path", "stgae1"],
            "there is no finished run 'stgae1' under runs/; did you mean 'stage1'?",
        ),
        (
            ["test", "--tokenizer.bracket_layout=paper"],
            "made with bracket_layout compact, this run has paper",
        ),
        (["test", "--codec.num_points=8"], "made with num_points 4, this run has 8"),
        (
            ["test", "--llm.num_heads=4"],
            "made with language_model.num_attention_heads 2, this run has 4",
        ),
        (
            ["test", "--llm.num_layers=2"],
            "only this model has model.language_model.model.layers.1.",
        ),
        (
            ["test", "--qformer.num_queries=5"],
            "model.query_tokens has shape (1, 3, 32) in the checkpoint and (1, 5, 32)",
        ),
        (["test", "--data.root", "nope"], "the data root nope is not there"),
        (
            ["predict", "--task", "res"],
            "predict needs --images FILE ... and --task NAME, and --text for what is asked",
        ),
        (["predict", "--images", "nope.png"], "predict needs --images FILE"),
        (
            ["predict", "--images", "nope.png", "--task", "res"],
            "nope.png cannot be read: No such file or directory",
        ),
        (
            ["predict", "--images", "notes.png", "--task", "res"],
            "notes.png is empty, damaged or no ",
        ),
        (
            ["predict", "--image", "notes.png", "--task", "res"],
            "no setting 'image'; did you mean 'images'?",
        ),
        (
            ["predict", "--images", "notes.png", "--task", "res", "rec"],
            "a question is of one task, not of res, rec",
        ),
    ],
)
def test_a_mistake_against_a_run_is_one_sentence(trained, arguments, sentence):
    (trained.cwd / "notes.png").write_text("this is no image")
    assert_one_sentence(run(*arguments), sentence)


def test_a_damaged_checkpoint_is_one_sentence(trained, tmp_path):
    best = trained.folder / "checkpoints" / "best.ckpt"
    cut = tmp_path / "cut.ckpt"
    cut.write_bytes(best.read_bytes()[:1000])
    for arguments in (
        ["test", "--ckpt_path", cut],
        ["fit", "--model.init_from", cut, *FLAGS],
        ["fit", "--ckpt_path", cut],
    ):
        assert_one_sentence(run(*arguments), f"{cut} is no checkpoint, or is damaged")
    content = bytearray(best.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "best.ckpt").write_bytes(content)
    (tmp_path / "best.ckpt.sha256").write_text(Path(f"{best}.sha256").read_text())
    for arguments in (["test"], ["predict", "--task", "rec", "--images", "a.png"]):
        flipped = run(*arguments, "--ckpt_path", tmp_path / "best.ckpt")
        assert_one_sentence(flipped, "its sum is not that in best.ckpt.sha256")
    torch.save({"weights": 1}, tmp_path / "other.ckpt")
    assert_one_sentence(
        run("test", "--ckpt_path", tmp_path / "other.ckpt"),
        "other.ckpt is no checkpoint of VistaLLM",
    )
    other_size = [*FLAGS, "--model.init_from", best, "--llm.hidden_size=64"]
    assert_one_sentence(run("fit", *other_size), "has shape")


def test_help_explains_every_setting():
    outcome = run("predict", "--help")
    assert outcome.code == 0
    words = " ".join(outcome.out.split())
    for text in ("--images", "image files, in the prompt's order", "--text", "the expression, question or statement",
                 "--out", "--task", "--name", "--plugin"):  # fmt: skip
        assert text in words
    assert undocumented(
        "\n  --a.b C\n        what it is\n  --a.c D\n        (type: int)\n  --a.d E\n"
    ) == [
        "--a.c",
        "--a.d",
    ]
    missing = undocumented(run("fit", "--help").out)
    assert not [
        name for name in missing if not name.startswith("--trainer.") and not name.endswith(".help")
    ]


def undocumented(text: str) -> list[str]:
    """Settings of a help text of which nothing is said but type and default."""
    entries = re.findall(r"\n  (--[^\n]+(?:\n   +[^\n]+)*)", text)
    names = {entry: entry.split()[0] for entry in entries if "." in entry.split()[0]}
    return [
        name
        for entry, name in names.items()
        if not re.search(r"\n +[^ (]", entry) and "CONFIG" not in entry
    ]


def test_the_printed_config_can_be_read_back(here):
    outcome = run("fit", "--config", "stage1", *FLAGS, "--data.batch_size=7", "--print_config")
    assert outcome.code == 0
    config = yaml.safe_load(outcome.out)
    assert config["data"]["batch_size"] == 7 and config["data"]["tasks"] == ["single_image"]
    (here / "printed.yaml").write_text(outcome.out)
    again = run("fit", "--config", "printed", "--print_config")
    assert yaml.safe_load(again.out) | {"name": ""} == config | {"name": ""}


@pytest.mark.parametrize("name", [n for n in CONFIGS if n != "stage0.yaml"])
def test_every_config_fits_the_signatures(name):
    configs = STACKS.get(name, [name])
    outcome = run("fit", *(f"--config={config}" for config in configs), "--print_config")
    assert outcome.code == 0, outcome.err
    assert_says(yaml.safe_load(outcome.out), stack([name]), "")


def assert_says(parsed: dict, wanted: dict, prefix: str) -> None:
    """Every setting of a config stands in what was parsed; sources and strategies are filled up by the parser."""
    for key, value in wanted.items():
        if not isinstance(value, dict):
            assert parsed[key] == value, f"{prefix}{key}"
        elif key not in ("sources", "strategy"):
            assert_says(parsed[key], value, f"{prefix}{key}.")


def test_the_config_of_stage_0_fits_the_signatures():
    outcome = run("pretrain", "--config", "stage0", "--print_config")
    assert outcome.code == 0, outcome.err
    assert yaml.safe_load(outcome.out)["model"]["out"] == "configs/tiny/encoder.safetensors"


def test_words_that_are_left_unsaid(here):
    arguments, name = resolve_arguments(
        "fit", ["--config", "stage2", "--config=tiny_stage2.yaml", "--data.order.seed=1"]
    )
    assert name == "stage2"
    settings = yaml.safe_load(Path(arguments[1].partition("=")[2]).read_text())
    assert settings == stack(["tiny", "world", "stage2", "tiny_stage2"]) and arguments[2:] == [
        "--data.order.seed=1"
    ]
    assert resolve_arguments("fit", [])[1] == "default"
    assert resolve_arguments("test", ["--help"])[0][2:] == ["--help"]  # without a run, too


@pytest.mark.parametrize("size", ["tiny", "vicuna_7b"])
def test_processes_that_a_run_starts_read_the_same_settings(size):
    words = ["--config", "stage1", size, "fsdp", "--data.order.seed=1"]
    first, name = resolve_arguments("fit", words)
    again, name_again = resolve_arguments("fit", first[1:])
    written, read = (Path(words[1].partition("=")[2]) for words in (first, again))
    assert yaml.safe_load(read.read_text()) == yaml.safe_load(written.read_text())
    assert (name_again, again[2:]) == (name, first[2:])


def test_a_source_takes_nothing_from_an_earlier_one_of_its_name(here):
    source = {"task": "res", "dataset": "refcoco", "val": "val"}
    (here / "mine.yaml").write_text(yaml.safe_dump({"data": {"sources": {"res_refcoco": source}}}))
    outcome = run("fit", "--config=mine.yaml", "--print_config")
    assert outcome.code == 0, outcome.err
    (parsed,) = yaml.safe_load(outcome.out)["data"]["sources"].values()
    assert (parsed["val"], parsed["train"], parsed["test"], parsed["weight"]) == (
        "val",
        "",
        {},
        1.0,
    )


def test_plugins_are_found_before_parsing(here):
    (here / "mine.yaml").write_text("plugin: [c.py]\n")
    (here / "yours.yaml").write_text("plugin: d.py\n")
    words = [
        "--plugin",
        "a.py",
        "b.py",
        "--x",
        "y",
        "--config=mine.yaml",
        "--config=yours.yaml",
        "--plugin=a.py",
    ]
    assert plugins(words) == ["a.py", "b.py", "c.py", "d.py"]
    (here / "none.yaml").write_text("plugin: null\n")
    assert plugins(["--config=none.yaml"]) == []


def test_the_advice_is_never_what_was_typed():
    complaint = ValueError("Unrecognized arguments: --task")
    assert explain(complaint, ["task"]) == "there is no setting 'task'"
    assert explain(complaint, ["task", "data.tasks", "tasks"]).endswith("did you mean 'tasks'?")


@pytest.mark.parametrize(
    "words", [["--task", "res", "rec"], ["--task=[res,rec]"], ["--data.tasks", "res", "rec"]]
)
def test_tasks_to_train_on_are_chosen_by_their_names(tiny_world, here, words):
    short = ["--trainer.max_steps=1", "--trainer.limit_val_batches=0", "--data.batch_size=4"]
    outcome = run("fit", *FLAGS, f"--data.root={tiny_world}", *short, *words, "--name=chosen")
    assert outcome.code == 0, outcome.err
    written = yaml.safe_load((here / "runs" / "chosen" / "config.yaml").read_text())
    assert written["data"]["tasks"] == ["res", "rec"] and not written["task"]


def test_an_unknown_complaint_is_passed_on_in_one_line():
    assert explain(ValueError("something\n  else"), []) == "something else"
