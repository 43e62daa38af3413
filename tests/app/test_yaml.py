"""What a YAML file says: no key twice, and nothing where the lines of a group are commented out."""

from dataclasses import is_dataclass
from pathlib import Path

import pytest
import yaml

from datamodules.commands.configured import read_setup
from datamodules.mixture import MixtureData
from tests.tiny import FLAGS, run
from vista.app.parts import PARTS
from vista.app.settings import GROUPS, stack
from vista.app.strict_cli import settings_of_groups
from vista.app.strict_yaml import load_yaml, read_config
from vista.data import InputError
from vista.module import VistaModule

COMMENTED_OUT = """
trainer:
#  max_epochs: 3
encoder:
qformer:
llm:
tokenizer:
codec:
model:
  optimization:
#    learning_rate: 1.0
  decoding:
data:
  order:
  scoring:
  world:
  sources:
#    rec_refcoco: {task: rec, dataset: refcoco}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(*words: str) -> dict:
    """All settings of `fit` under some words."""
    outcome = run("fit", *words, "--print_config")
    assert outcome.code == 0, outcome.err
    return yaml.safe_load(outcome.out) | {"name": ""}


def test_a_group_without_lines_changes_nothing(here: Path) -> None:
    (here / "empty.yaml").write_text(COMMENTED_OUT)
    assert printed("--config", "stage1", "empty") == printed("--config", "stage1")
    assert printed("--config", "empty", "stage1") == printed("--config", "stage1")
    assert stack(["empty"]) == {"model": {}, "data": {}}


@pytest.mark.parametrize("line", COMMENTED_OUT.split("\n"))
def test_each_group_by_itself(here: Path, line: str) -> None:
    """The finding: `trainer:` took clipping, accelerator and epochs away."""
    if not line or "#" in line:
        return
    group = line if not line.startswith(" ") else f"model:\n{line}"
    if line.strip() in ("order:", "scoring:", "world:", "sources:"):
        group = f"data:\n{line}"
    (here / "empty.yaml").write_text(f"{group}\n")
    assert stack(["tiny", "world", "stage1", "empty"]) == stack(["tiny", "world", "stage1"])


def test_groups_are_those_of_the_classes() -> None:
    groups = {"model": VistaModule, "data": MixtureData}
    types = settings_of_groups(groups)
    nested = {name for name, kind in types.items() if is_dataclass(kind) and "." in name}
    by_name = {"data.sources", "model.optimization.rates", "model.adapters.targets"}
    assert {*PARTS, *groups, *nested, *by_name, "trainer"} == GROUPS


def test_null_is_a_value_of_a_setting(here: Path) -> None:
    """Where lines are no group, `null` is what is meant: no weights, all questions, no profiler any more."""
    (here / "mine.yaml").write_text(
        "encoder: {weights: null}\ndata: {scoring: {max_val: null}, tasks: null}\n"
        "trainer: {profiler: {class_path: lightning.pytorch.profilers.SimpleProfiler}}\n"
    )
    (here / "yours.yaml").write_text("trainer: {profiler: null}\n")
    settings = printed("--config", "stage1", "mine", "yours")
    assert settings["encoder"]["weights"] is None and settings["trainer"]["profiler"] is None
    assert settings["data"]["scoring"]["max_val"] is None and settings["data"]["tasks"] is None


def test_the_arguments_of_an_object_may_be_commented_out(here: Path) -> None:
    profiler = "trainer:\n  profiler:\n    class_path: lightning.pytorch.profilers.SimpleProfiler\n"
    (here / "mine.yaml").write_text(f"{profiler}    init_args:\n#      dirpath: x\n")
    assert "init_args" not in stack(["mine"])["trainer"]["profiler"]
    assert printed("--config", "mine")["trainer"]["profiler"]["class_path"].endswith("Profiler")


def test_what_is_empty_in_a_source_is_not_given(here: Path) -> None:
    lines = [
        "data:", "  sources:", "    mine:", "      task: rec", "      dataset: refcoco", "      train:",
        "      val: val", "      test:", "      weight:", "      root:", "    yours:",
    ]  # fmt: skip
    (here / "mine.yaml").write_text("\n".join(lines))
    assert stack(["mine"])["data"]["sources"] == {
        "mine": {"task": "rec", "dataset": "refcoco", "val": "val"}
    }
    (source,) = printed("--config", "mine")["data"]["sources"].values()
    assert (source["train"], source["test"], source["weight"]) == ("", {}, 1.0)
    (source,) = read_setup(["mine"], None, []).sources.values()
    assert (source.train, source.test, source.weight, source.root) == ("", {}, 1.0, None)


TWICE = [
    ("trainer: {max_epochs: 1}\ndata: {replay: 1}\ntrainer: {max_steps: 3}\n", "'trainer'", 1, 3),
    ("trainer:\n  max_epochs: 1\n  max_steps: 2\n  max_epochs: 2\n", "'max_epochs'", 2, 4),
    ("data:\n  sources:\n    a: {task: rec}\n    a: {task: res}\n", "'a'", 3, 4),
    ("model:\n  optimization:\n    betas: [0, 0]\n    'betas': [0, 0]\n", "'betas'", 3, 4),
]


@pytest.mark.parametrize(("text", "key", "first", "second"), TWICE)
@pytest.mark.parametrize("verb", [["fit"], ["pretrain"], ["check-task", "rec"], ["data", "verify"]])
def test_a_key_that_stands_twice_is_named(here: Path, verb, text, key, first, second) -> None:
    (here / "mine.yaml").write_text(text)
    outcome = run(*verb, "--config", "mine")
    assert outcome.code == 2 and not (here / "runs").exists()
    wanted = f"error: the config mine.yaml: {key} stands twice, in lines {first} and {second}"
    assert outcome.err.splitlines()[-1] == wanted


def test_a_key_that_stands_twice_in_a_base_or_in_a_value_is_named(here: Path) -> None:
    (here / "yours.yaml").write_text("name: a\nname: b\n")
    (here / "mine.yaml").write_text("base: yours\n")
    outcome = run("fit", "--config", "mine")
    assert "the config yours.yaml: 'name' stands twice, in lines 1 and 2" in outcome.err
    outcome = run("fit", "--model.decoding={num_beams: 2, num_beams: 3}")
    assert "'num_beams' stands twice, in line 1" in outcome.err and outcome.code == 2


def test_merged_keys_may_be_said_anew() -> None:
    content = load_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: *a, x: 4}\n")
    assert content["b"] == {"x": 1, "y": 3} and content["c"] == {"x": 4, "y": 2}


def test_the_loader_makes_no_objects() -> None:
    with pytest.raises(yaml.YAMLError, match="could not determine a constructor"):
        load_yaml("a: !!python/object:pathlib.Path {}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("data: many\n", "the config mine.yaml: data is 'many', it must hold settings"),
        ("model:\n  optimization: 3\n", "model.optimization is 3, it must hold settings"),
        ("data:\n  batch_size:  # 64\n", "data.batch_size has no value; write one, or leave the"),
        (
            "trainer:\n  devices: 1\n  max_time:\ncodec:\n  num_points:\n",
            "codec.num_points has no value",
        ),
    ],
)
def test_a_group_and_a_value_that_are_none_are_a_sentence(here: Path, text, sentence) -> None:
    (here / "mine.yaml").write_text(text)
    outcome = run("fit", "--config", "mine", *FLAGS)
    assert outcome.code == 2 and sentence in outcome.err.splitlines()[-1]


def test_what_is_no_settings_is_refused(here: Path) -> None:
    (here / "mine.yaml").write_text("[]\n")
    with pytest.raises(InputError, match="holds no settings but list"):
        stack(["mine"])
    (here / "mine.yaml").write_text("# nothing\n")
    assert stack(["mine"]) == {}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1000,
        "a: " + "{b: " * 1000,
        "\n".join(" " * depth + "a:" for depth in range(1000)),
        "a: &a [*a]",  # holds itself
        "a: &a {b: {c: *a}}",
        "a: &a0 [1]\n" + "".join(f"a{k}: &a{k} [*a{k - 1}]\n" for k in range(1, 50)),
        "x: &x0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"  # a hundred thousand in five lines
        + "".join(f"x{k}: &x{k} [{', '.join([f'*x{k - 1}'] * 10)}]\n" for k in range(1, 6)),
    ],
)
def test_what_is_too_deep_or_too_large_is_a_sentence(here: Path, text: str) -> None:
    (here / "deep.yaml").write_text(text)
    with pytest.raises(
        InputError, match=r"the config deep\.yaml: line \d+ (lies|holds|has) "
    ) as error:
        read_config(Path("deep.yaml"))
    assert "\n" not in str(error.value)
    outcome = run("fit", "--config", "deep", "--print_config")
    assert outcome.code == 2 and outcome.err.startswith("error: the config deep.yaml: line")


def test_a_deep_value_on_the_command_line_is_a_sentence() -> None:
    outcome = run("fit", "--data.tasks=" + "[" * 1000, "--print_config")
    assert outcome.code == 2 and "levels deep" in outcome.err
    assert "Traceback" not in outcome.err


def test_names_for_values_are_still_understood() -> None:
    assert load_yaml("a: &a {b: 1}\nc: {<<: *a, d: [*a, *a]}") == {
        "a": {"b": 1},
        "c": {"b": 1, "d": [{"b": 1}, {"b": 1}]},
    }
