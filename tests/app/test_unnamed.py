"""A config beside a checkpoint or answers that nobody named: plain settings are taken, and no code is run."""

import json
import types
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args

import lightning.pytorch.strategies  # noqa: F401  what a strategy is looked for among
import pytest
import yaml
from lightning import Trainer

from datamodules.commands import score as score_command
from datamodules.commands.options import parse_options
from datamodules.mixture import MixtureData
from tests.conftest import FinishedRun
from tests.tiny import run
from vista.app.arguments import resolve_arguments
from vista.app.parts import PARTS
from vista.app.settings import stack
from vista.app.strict_cli import settings_of_groups
from vista.app.unnamed import OBJECTS, read_unnamed
from vista.data import InputError
from vista.module import VistaModule

MARK = "open('ran', 'w').close()\n"
OURS = "vista.training.sharded_strategy.ShardedStrategy"
SHARDED = "lightning.pytorch.strategies.ModelParallelStrategy"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a Python file that leaves a mark when it is run or imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "marks.py").write_text(MARK + "class Thing:\n    pass\n")
    return tmp_path


def config(file: Path, content: dict[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content))
    return file


def copy_of(finished: FinishedRun, here: Path, content: dict[str, Any]) -> Path:
    """A run folder with the checkpoint of a finished run and something more in its config."""
    folder = here / "theirs"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "best.ckpt").symlink_to(finished.folder / "checkpoints" / "best.ckpt")
    settings = yaml.safe_load((finished.folder / "config.yaml").read_text())
    settings["data"]["scoring"]["max_test"] = 2
    settings["data"]["tasks"] = ["rec"]
    for group, values in content.items():
        old = settings.get(group)
        settings[group] = old | values if isinstance(old, dict) else values
    config(folder / "config.yaml", settings)
    return folder / "checkpoints" / "best.ckpt"


def test_plain_settings_are_taken_and_all_else_is_sorted_out(here: Path) -> None:
    file = config(
        here / "config.yaml",
        {
            "codec": {"num_points": 4},
            "trainer": {"max_epochs": 3, "callbacks": [{"class_path": "marks.Thing"}]},
            "data": {"sources": {"rec": {"task": "rec", "dataset": "refcoco"}, "x": "marks.Thing"}},
            "model": {"encoder": "marks.Thing", "trainable": ["llm"]},
            "optimizer": "marks.Thing",
            "plugin": "marks.py",
            "weights_only": False,
            "base": "stage1",
        },
    )
    beside = read_unnamed(file)
    assert beside.settings == {
        "codec": {"num_points": 4},
        "trainer": {"max_epochs": 3},
        "data": {"sources": {"rec": {"task": "rec", "dataset": "refcoco"}}},
        "model": {"trainable": ["llm"]},
    }
    names = {"trainer.callbacks", "data.sources.x", "model.encoder", "optimizer"}
    assert beside.objects.keys() == names
    assert beside.plugins == ["marks.py"]
    assert not (here / "ran").exists()


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("auto", True),
        ("ddp_find_unused_parameters_true", True),
        (None, True),
        ("marks.Thing", False),
        ({"class_path": SHARDED}, True),
        (
            {"class_path": OURS, "init_args": {"data_parallel_size": 1}},
            True,
        ),  # as fsdp.yaml names it
        ({"class_path": "vista.module.VistaModule"}, False),
        ({"class_path": SHARDED, "init_args": {"tensor_parallel_size": 2}}, True),
        ({"class_path": SHARDED, "init_args": {"timeout": "marks.Thing"}}, False),
        ({"class_path": SHARDED, "dict_kwargs": {"a": 1}}, False),
        ({"class_path": "marks.Thing"}, False),
        ({"class_path": "lightning.pytorch.callbacks.Timer"}, False),  # no strategy
        ({"class_path": "os.system"}, False),
    ],
)
def test_a_strategy_is_checked_against_its_type(value: object, plain: bool, here: Path) -> None:
    beside = read_unnamed(config(here / "config.yaml", {"trainer": {"strategy": value}}))
    assert ("trainer.strategy" not in beside.objects) is plain
    assert not (here / "ran").exists()


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        ("trainer", "logger.class_path", "marks.Thing"),
        ("trainer", "logger+", "marks.Thing"),
        ("trainer", "callbacks+", ["marks.Thing"]),
        ("trainer", "callbacks", "DeviceStatsMonitor"),  # a class that is found by its name
        ("trainer", "logger", "CSVLogger"),
        ("data", "codec.class_path", "marks.Thing"),
        ("data", "sources.rec", "marks.Thing"),
        ("data", "sources", {"rec.class_path": {"task": "rec"}}),
    ],
)
def test_no_other_spelling_of_an_object_is_taken(
    group: str, name: str, value: object, finished_run: FinishedRun, here: Path
) -> None:
    beside = read_unnamed(config(here / "config.yaml", {group: {name: value}}))
    objects = (
        [f"{group}.{name}"] if isinstance(value, str | list) else ["data.sources.rec.class_path"]
    )
    assert list(beside.objects) == objects
    checkpoint = copy_of(finished_run, here, {group: {name: value}})
    outcome = run("test", "--ckpt_path", checkpoint)
    assert outcome.code == 2 and f"an object as {objects[0]}" in outcome.err
    assert not (here / "ran").exists()


def test_names_of_sources_and_scores_may_hold_dots(here: Path) -> None:
    sources = {"rec.a": {"task": "rec", "dataset": "refcoco", "test": {"rec.testA": "testA"}}}
    beside = read_unnamed(config(here / "config.yaml", {"data": {"sources": sources}}))
    assert beside.settings == {"data": {"sources": sources}} and not beside.objects


def kinds(kind: Any) -> set[type]:
    """The classes in a type, and in the types that it is made of."""
    parts = get_args(kind)
    if not parts:
        return {kind} if isinstance(kind, type) else set()
    return set().union(*map(kinds, parts))


def test_every_setting_that_may_be_an_object_is_known() -> None:
    types_of = settings_of_groups(
        {"model": VistaModule, "data": MixtureData, **PARTS, "trainer": Trainer}
    )
    ours = {
        name
        for name, kind in types_of.items()
        if any(
            not is_dataclass(each)
            and each.__module__.split(".")[0]
            in ("lightning", "vista", "datamodules", "torch", "transformers")
            for each in kinds(kind)
            if each is not types.NoneType
        )
    }
    assert ours <= OBJECTS
    assert OBJECTS - ours == {"optimizer", "lr_scheduler"}  # Lightning's own, of no group


def test_named_settings_decide_over_those_that_nobody_named(here: Path) -> None:
    beside = read_unnamed(
        config(here / "run/config.yaml", {"codec": {"num_points": 4, "num_bins": 9}})
    )
    config(here / "mine.yaml", {"codec": {"num_points": 8}})
    assert stack(["mine.yaml"], beside)["codec"] == {"num_points": 8, "num_bins": 9}


def test_an_object_is_refused_unless_something_named_decides(here: Path) -> None:
    beside = read_unnamed(config(here / "config.yaml", {"trainer": {"logger": "marks.Thing"}}))
    with pytest.raises(InputError, match=r"an object as trainer\.logger.* add --config .*config\."):
        beside.refuse_objects({"trainer", "trainer.callbacks", "trainer.loggers"})
    for decided in ("trainer.logger", "trainer.logger.class_path"):
        beside.refuse_objects({decided})


@pytest.mark.parametrize("words", ["--trainer.logger=null", "--trainer.logger+=CSVLogger"])
def test_the_command_line_decides_about_an_object(here: Path, words: str) -> None:
    config(here / "run" / "config.yaml", {"trainer": {"logger": "marks.Thing"}})
    (here / "run" / "checkpoints").mkdir()
    checkpoint = here / "run" / "checkpoints" / "last.ckpt"
    checkpoint.touch()
    _, named, *_ = resolve_arguments("fit", ["--ckpt_path", str(checkpoint), words])[0]
    taken = yaml.safe_load(Path(named.removeprefix("--config=")).read_text())
    assert taken == {"trainer": {}} and not (here / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        {"trainer": {"callbacks": [{"class_path": "marks.Thing"}]}},
        {"trainer": {"logger": "marks.Thing"}},
        {"data": {"codec": "marks.Thing"}},
        {"optimizer": {"class_path": "marks.Thing"}},
    ],
)
def test_a_class_that_only_a_strangers_config_names_is_not_imported(
    finished_run: FinishedRun, here: Path, content: dict[str, Any]
) -> None:
    checkpoint = copy_of(finished_run, here, content)
    for words in (["test"], ["fit"], ["predict", "--task", "rec", "--images", "a.png"]):
        outcome = run(*words, "--ckpt_path", checkpoint)
        assert outcome.code == 2 and f"add --config {here}/theirs/config.yaml" in outcome.err
    assert not (here / "ran").exists()


def test_a_plugin_runs_only_when_it_is_named(finished_run: FinishedRun, here: Path) -> None:
    checkpoint = copy_of(finished_run, here, {"plugin": ["marks.py"]})
    outcome = run("test", "--ckpt_path", checkpoint)
    assert outcome.code == 0, outcome.err
    assert "the plug-in marks.py" in outcome.err and "add --plugin marks.py" in outcome.err
    assert not (here / "ran").exists()
    answers = here / "theirs" / "predictions" / "rec_refcoco_val.jsonl"
    score_command.main(parse_options("score", ["--predictions", str(answers), "--task", "rec"]))
    assert not (here / "ran").exists()
    assert "add --plugin" not in run("test", "--ckpt_path", checkpoint, "--plugin", "marks.py").err
    assert (here / "ran").exists()


def test_a_config_that_is_named_is_trusted(finished_run: FinishedRun, here: Path) -> None:
    checkpoint = copy_of(finished_run, here, {"plugin": ["marks.py"], "trainer": {"logger": False}})
    named = run("test", "--ckpt_path", checkpoint, "--config", "theirs/config.yaml")
    assert named.code == 0, named.err
    assert (here / "ran").exists() and "add --plugin" not in named.err


def test_score_takes_codec_and_sources_and_says_what_is_not_run(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    formats = Path(__file__).parents[1] / "formats"
    source = {"task": "rec", "dataset": "refcoco", "test": {"rec_val": "val"}}
    settings = {
        "codec": {"num_bins": 100},
        "data": {"root": str(formats), "sources": {"rec": source}, "cache": "compiled"},
        "trainer": {"logger": "marks.Thing"},  # which `score` has no use for
        "plugin": "marks.py",
    }
    config(here / "run" / "config.yaml", settings)
    answers = here / "run" / "predictions" / "rec_val.jsonl"
    answers.parent.mkdir()
    answers.write_text(json.dumps({"id": "1_2", "text": "[99, 0, 100, 3]"}) + "\n")
    score_command.main(parse_options("score", ["--predictions", str(answers)]))
    row = json.loads(answers.with_name("rec_val.scores.json").read_text())["table"][0]
    assert row["parse_failures"] == 2  # of 100 bins the last is 99; the other has no answer
    said = capsys.readouterr().err
    assert "the plug-in marks.py" in said and "add --plugin marks.py" in said
    assert not (here / "ran").exists()
