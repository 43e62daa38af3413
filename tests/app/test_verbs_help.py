"""Help of the program and of its own verbs: a line a verb, true to what is accepted, and there at once."""

import functools
import re
import subprocess
import sys

import pytest

from datamodules.commands.options import (
    CheckTaskOptions,
    ConsolidateOptions,
    DataOptions,
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
    "plan": PlanOptions, "doctor": DoctorOptions,
}  # fmt: skip
OWN = tuple(TARGETS)
FIRST = {"score": ["--predictions", "a"], "check-task": ["res"], "data": ["audit"],
         "consolidate": ["a", "b"], "export": ["--out", "a"],
         "codec-bench": ["--masks", "a"], "plan": [], "doctor": []}  # fmt: skip
POSITIONS = {"data": {"action": "{audit,verify,show}"}, "consolidate": {"run": "run", "out": "out"}}
VALUES = {  # of options whose values are not free
    "--format": "vqa", "--methods": "fast", "--multipart": "bridge", "--min_box": "0.5", "--data": "{}",
    "--data.scoring": "{}", "--dtype": "bfloat16",
}  # fmt: skip


def test_every_verb_has_a_line():
    lines = run("--help").out.splitlines()
    for verb, summary in VERBS.items():
        assert lines.count(f"    {verb:12s} {summary}") == 1
    assert len(VERBS) == 14


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


def options_in(text: str) -> set[str]:
    """Names of the options that a help text explains."""
    names: set[str] = set()
    for line in re.findall(r"\n  (-[^\n]+)", text):
        names |= set(re.findall(r"(?<![\w-])(--[\w.+]+)", line))
    return names - {"--help"}


@pytest.fixture(params=OWN)
def verb(request, monkeypatch):
    """One of our verbs, whose words are parsed while nothing is done."""
    from datamodules.commands import check_task, consolidate, data, doctor, export, plan, score
    from vista.codec.bench import command

    @functools.wraps(command.codec_bench)  # the parser reads the signature of what it calls
    def nothing(**options: object) -> None:
        pass

    monkeypatch.setattr(command, "codec_bench", nothing)
    for module in (check_task, consolidate, data, doctor, export, plan, score):
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
        accepted = run(verb, *FIRST[verb], f"{option}=3").code == 0
        assert accepted == (option in options_in(text)), option
