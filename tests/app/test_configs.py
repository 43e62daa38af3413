"""Configs as they stack: sizes, stages and places, what is left unsaid, bases, and nothing of one size in another."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tiny import FLAGS, ROOT, run
from vista.app.runs import CONFIGS, find_config
from vista.app.settings import defaults, stack, with_bases
from vista.data import InputError

# What each stack said when one file held the tiny size and its world for all others to undo.
SETTLED = json.loads((ROOT / "tests/golden/settings.json").read_text())
PAPER = ["stage1", "vicuna_7b", "coinit", "fsdp"]
SIZE = "size: tiny (another one: --config vicuna_7b.yaml)"
PLACE = "place: world, which is generated (another one: --config coinit.yaml)"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def resolved(*configs: str) -> dict[str, Any]:
    """All settings of `fit` under some configs."""
    outcome = run("fit", *(f"--config={name}" for name in configs), "--print_config")
    assert outcome.code == 0, outcome.err
    settings: dict[str, Any] = yaml.safe_load(outcome.out)  # and nothing else is printed
    return settings


def flat(settings: dict[str, Any], group: str = "") -> dict[tuple[str, str], Any]:
    """Settings by their first and last name, whatever groups lie between; a dictionary of sources is one setting."""
    found: dict[tuple[str, str], Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict) and value and name not in ("sources", "strategy"):
            found |= flat(value, group or name)
        else:
            found[group, name] = value
    return found


@pytest.fixture
def plain(here: Path) -> dict[tuple[str, str], Any]:
    """What the classes themselves say: an empty size, and a place without data."""
    (here / "sizes").mkdir()
    (here / "sizes" / "none.yaml").touch()
    (here / "nowhere.yaml").write_text("data: {sources: {}}\ntokenizer: {folder: none}\n")
    return flat(resolved("sizes/none", "nowhere"))


@pytest.mark.parametrize("name", SETTLED)
def test_a_stack_says_what_it_has_always_said(name: str, plain: dict[tuple[str, str], Any]) -> None:
    wanted = {tuple(key.split(" ")): value for key, value in SETTLED[name].items()}
    now = flat(resolved(*name.split()))
    sources = now.pop(("data", "sources"))
    assert list(sources) == wanted.pop(("data", "sources"))
    differ = {
        key: value
        for key, value in now.items()
        if value != plain.get(key) and not key[1].startswith("num_queries")
    }
    assert differ == wanted


def test_nothing_of_the_tiny_size_is_in_another(plain: dict[tuple[str, str], Any]) -> None:
    """A setting of tiny that the named configs do not speak of is as the class has it."""
    named, now = flat(stack(PAPER)), flat(resolved(*PAPER))
    leaked = {
        key: now[key]
        for key in flat(stack(["tiny", "world"]))
        if key not in named and now[key] != plain[key]
    }
    assert leaked == {}


@pytest.mark.parametrize("size", ["vicuna_7b", "vicuna_13b"])
def test_a_size_undoes_nothing(size: str, plain: dict[tuple[str, str], Any]) -> None:
    own = flat(yaml.safe_load(find_config(size).read_text()))
    assert [key for key, value in own.items() if plain.get(key) == value] == []


def test_13b_is_7b_and_its_differences() -> None:
    seven, thirteen = flat(stack(["vicuna_7b"])), flat(stack(["vicuna_13b"]))
    assert seven.keys() == thirteen.keys()
    assert all("13b" in str(thirteen[k]) for k in seven if seven[k] != thirteen[k])
    assert thirteen["llm", "weights"] != seven["llm", "weights"]


def test_the_paper_size_is_never_trained_on_a_cpu_by_default() -> None:
    assert resolved(*PAPER[:3])["trainer"]["accelerator"] == "gpu"


def test_only_what_is_left_unsaid_is_read() -> None:
    assert defaults([]) == defaults(["stage1"]) == ["tiny", "world"]
    assert defaults(["stage1", "vicuna_13b"]) == ["world"]
    assert defaults(["coinit"]) == ["tiny"]
    assert defaults(PAPER) == []


def test_a_size_of_the_user_is_a_file_in_a_folder_named_sizes(here: Path) -> None:
    (here / "sizes").mkdir()
    (here / "sizes" / "small.yaml").write_text("llm: {num_layers: 1}\n")
    (here / "small.yaml").write_text("llm: {num_layers: 1}\n")
    assert defaults(["sizes/small"]) == ["world"]
    assert defaults(["small"]) == ["tiny", "world"]


def test_a_bare_name_is_enough() -> None:
    stage1 = CONFIGS / "stages" / "stage1.yaml"
    for name in ("stage1", "stage1.yaml", "stages/stage1", "stages/stage1.yaml"):
        assert find_config(name) == stage1
    names = [path.name for path in CONFIGS.glob("*/*.yaml") if path.parent.name != "ablations"]
    assert len(names) == len(set(names))  # so that none hides another


def test_a_base_is_read_just_before_its_config(here: Path) -> None:
    (here / "mine.yaml").write_text("base: yours\ntrainer: {max_epochs: 3}\n")
    (here / "yours.yaml").write_text("base: vicuna_7b.yaml\ntrainer: {max_epochs: 2, devices: 2}\n")
    files = [path.name for path in with_bases(["stage1", "mine"])]
    assert files == ["stage1.yaml", "vicuna_7b.yaml", "yours.yaml", "mine.yaml"]
    settings = stack(["stage1", "mine"])
    assert settings["trainer"] == {"max_epochs": 3, "devices": 2, "accelerator": "gpu"}
    assert "base" not in settings and defaults(["mine"]) == ["world"]


def test_a_config_that_is_its_own_base_is_one_sentence(here: Path) -> None:
    (here / "stage1.yaml").write_text("base: stage1.yaml\n")
    with pytest.raises(InputError, match=r"^the config stage1\.yaml is its own base$"):
        stack(["stage1"])


def test_a_run_says_what_nobody_named(tiny_world: Path) -> None:
    settings = [*FLAGS, f"--data.root={tiny_world}", "--trainer.fast_dev_run=true"]
    lines = run("fit", "--config", "stage1", *settings).out.splitlines()
    assert lines[:2] == [SIZE, PLACE]
    assert run("fit", *settings, "--config", "eval").out.splitlines()[0] == SIZE


@pytest.mark.parametrize("words", [["--help"], ["--print_config"]])
def test_help_and_printed_settings_are_themselves_alone(words: list[str]) -> None:
    assert "size: tiny" not in run("fit", *words).out


def test_only_the_first_process_says_it(monkeypatch, capsys) -> None:
    from lightning.pytorch.utilities import rank_zero_only

    from vista.app.arguments import resolve_arguments

    monkeypatch.setattr(rank_zero_only, "rank", 1)
    resolve_arguments("fit", [])
    assert capsys.readouterr().out == ""
