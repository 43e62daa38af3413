"""Help of the program and of its own verbs: a line a verb, true to what is accepted, and there at once."""

import functools
import os
import re
import subprocess
import sys

import pytest

from datamodules.commands.options import (
    CheckTaskOptions,
    ConsolidateOptions,
    DataOptions,
    DemoOptions,
    DoctorOptions,
    ExportOptions,
    PlanOptions,
    ScoreOptions,
)
from main import VERBS
from tests.tiny import ROOT, run
from vista.app.parser import settings_of
from vista.codec.bench.command import codec_bench

TARGETS = {
    "score": ScoreOptions, "check-task": CheckTaskOptions, "data": DataOptions,
    "consolidate": ConsolidateOptions, "export": ExportOptions, "codec-bench": codec_bench,
    "plan": PlanOptions, "doctor": DoctorOptions, "demo": DemoOptions,
}  # fmt: skip
OWN = tuple(TARGETS)
FIRST = {"score": ["--predictions", "a"], "check-task": ["res"], "data": ["audit"],
         "consolidate": ["a", "b"], "export": ["--out", "a"],
         "codec-bench": ["--masks", "a"], "plan": [], "doctor": [], "demo": []}  # fmt: skip
POSITIONS = {"data": {"action": "{audit,verify,show}"}, "consolidate": {"run": "run", "out": "out"}}
VALUES = {  # of options whose values are not free
    "--format": "vqa", "--methods": "fast", "--multipart": "bridge", "--min_box": "0.5", "--data": "{}",
    "--data.scoring": "{}", "--config": "eval", "--dtype": "bfloat16", "--limits": "{}",
}  # fmt: skip


def test_every_verb_has_a_line():
    lines = run("--help").out.splitlines()
    for verb, summary in VERBS.items():
        assert lines.count(f"    {verb:12s} {summary}") == 1
    assert len(VERBS) == 15


@pytest.mark.parametrize("verb", OWN)
def test_help_needs_neither_torch_nor_lightning(verb):
    code = (
        "import sys, main\n"
        f"try: main.main([{verb!r}, '--help'])\n"
        "except SystemExit as stop: print('status', stop.code)\n"
        "print(sorted({'torch', 'torchmetrics', 'lightning', 'transformers', 'tasks'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert f"usage: main.py {verb} " in done.stdout
    assert done.stdout.splitlines()[-2:] == ["status 0", "[]"]


WRONG = (
    "fit --config nope", "fit --config stage1 --ckpt_path nope", "fit --config {damaged}", "fit --config {based}",
    "validate --config nope", "test --ckpt_path nope", "predict --config nope", "pretrain --config nope",
    "score --config nope", "check-task res --config nope", "data audit --config nope", "plan --config nope",
    "doctor --config {based}", "export --out a --config nope", "test --answers_by hf --model a --config nope",
)  # fmt: skip


def test_a_name_that_is_wrong_is_told_before_torch_is_imported(tmp_path):
    """Its sentence comes in a second, not after the seconds in which all libraries are imported."""
    damaged, based = tmp_path / "damaged.yaml", tmp_path / "based.yaml"
    damaged.write_text("data: [")
    based.write_text("base: nope")
    wrong = [text.format(damaged=damaged, based=based) for text in WRONG]
    code = (
        "import sys, main\n"
        f"for text in {wrong!r}:\n"
        "    try: main.main(text.split())\n"
        "    except SystemExit as stop: status = stop.code\n"
        "    loaded = {'torch', 'torchmetrics', 'lightning', 'transformers', 'tasks'} & set(sys.modules)\n"
        "    print(status, sorted(loaded), text)"
    )
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"2 [] {text}" for text in wrong]
    sentences = done.stderr.splitlines()
    assert len(sentences) == len(wrong)
    assert all(line.startswith("error: ") for line in sentences)


def options_in(text: str) -> set[str]:
    """Names of the options that a help text explains."""
    names: set[str] = set()
    for line in re.findall(r"\n  (-[^\n]+)", text):
        names |= set(re.findall(r"(?<![\w-])(--[\w.+]+)", line))
    return names - {"--help"}


@pytest.fixture(params=OWN)
def verb(request, monkeypatch):
    """One of our verbs, whose words are parsed while nothing is done."""
    from datamodules.commands import (
        check_task,
        consolidate,
        data,
        demo,
        doctor,
        export,
        plan,
        score,
    )
    from vista.codec.bench import command

    @functools.wraps(command.codec_bench)  # the parser reads the signature of what it calls
    def nothing(**options: object) -> None:
        pass

    monkeypatch.setattr(command, "codec_bench", nothing)
    for module in (check_task, consolidate, data, demo, doctor, export, plan, score):
        monkeypatch.setattr(module, "main", lambda options: None)
    return request.param


def test_help_is_true(verb):
    """What it names is accepted; what is accepted, it names."""
    text = run(verb, "--help").out
    for option in options_in(text):
        value = VALUES.get(option.rstrip("+"), "3")
        outcome = run(verb, *FIRST[verb], f"{option}={value}")
        assert outcome.code == 0, outcome.err
    named = {option.removeprefix("--") for option in options_in(text) if not option.endswith("+")}
    positions = POSITIONS.get(verb, {})
    assert named | set(positions) == set(settings_of(TARGETS[verb]))
    assert all(f"\n  {word} " in text for word in positions.values())
    for option in {"--config", "--task", "--plugin", "--data.root", "--print_config"}:
        value = VALUES.get(option, "3")
        accepted = run(verb, *FIRST[verb], f"{option}={value}").code == 0
        assert accepted == (option in options_in(text)), option
