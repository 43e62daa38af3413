"""`doctor` finds what is planted, and nothing where nothing is."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from datamodules.commands import doctor as command
from tests.tiny import ROOT, Outcome, run, tokenizer
from vista.models.llm import build_llm

REFCOCO = {"task": "rec", "dataset": "refcoco", "train": "train", "val": "val"}
CAPTION = {"task": "caption", "dataset": "coco", "train": "train2017", "val": "val2017"}
SIZES = {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "mlp_size": 32}


@pytest.fixture
def world(tiny_world: Path, tmp_path: Path) -> Path:
    """A copy of the generated world, in which something may be spoilt."""
    return shutil.copytree(tiny_world, tmp_path / "copy")


@pytest.fixture
def place(world: Path, tmp_path: Path) -> Path:
    """A config of two sources and of an LLM in shards."""
    build_llm(vocab_size=len(tokenizer()) - 5, **SIZES).save_pretrained(
        tmp_path / "llm", max_shard_size="50KB"
    )
    data = {
        "root": str(world), "cache": str(tmp_path / "compiled"), "batch_size": 8,
        "sources": {"rec": REFCOCO, "caption": CAPTION},
    }  # fmt: skip
    llm = {**SIZES, "weights": str(tmp_path / "llm")}
    path = tmp_path / "place.yaml"
    path.write_text(yaml.safe_dump({"data": data, "llm": llm}))
    return path


def examine(place: Path, *words: str) -> Outcome:
    return run("doctor", "--config", "stage1", "--config", str(place), *words)


def faults(outcome: Outcome) -> list[str]:
    assert "Traceback" not in outcome.err, outcome.err
    found = [line for line in outcome.out.splitlines() if line.startswith("fault:")]
    assert outcome.code == bool(found), outcome.out + outcome.err
    return found


def test_nothing_is_found_where_nothing_is_wrong(place):
    outcome = examine(place)
    assert not faults(outcome)
    for words in (
        "data refcoco (train)", "weights llm", "weights encoder", "disk", "shared memory", "cores", "extra peft",
    ):  # fmt: skip
        assert f"ok     {words} " in outcome.out
    assert outcome.out.splitlines()[-1].endswith("checks, 0 faults")


def a_missing_image(world: Path, _folder: Path) -> None:
    min((world / "coco/train2017").iterdir()).unlink()


def a_truncated_file(world: Path, _folder: Path) -> None:
    file = world / "coco/annotations/captions_train2017.json"
    file.write_text(file.read_text()[:-200])


def no_samples(world: Path, _folder: Path) -> None:
    file = world / "coco/annotations/captions_val2017.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "images": [], "annotations": []}))


def other_numbers(world: Path, _folder: Path) -> None:
    (world / "world.json").unlink()  # now it says that it is official


def a_missing_shard(_world: Path, folder: Path) -> None:
    max((folder / "llm").glob("*.safetensors")).unlink()


def another_size(_world: Path, folder: Path) -> None:
    shutil.rmtree(folder / "llm")
    other = build_llm(vocab_size=len(tokenizer()), **{**SIZES, "mlp_size": 48})
    other.save_pretrained(folder / "llm")
    (folder / "llm/config.json").unlink()  # which says it, too


PLANTED: dict[Callable[[Path, Path], None], tuple[str, ...]] = {
    a_missing_image: ("data coco (train2017)", "images of ", "are missing, the first is coco/train2017/"),
    a_truncated_file: ("data coco (train2017)", "captions_train2017.json", "cut short"),
    no_samples: ("data coco (val2017)", "it holds no sample; fetch its files again"),
    other_numbers: ("data refcoco (val)", " samples, 10,834 are stated"),
    a_missing_shard: ("weights llm", "lacks model-0", "which its index names; download it"),
    another_size: ("weights llm", "gate_proj.weight has shape (48, 32), the model needs (32, 32)"),
}  # fmt: skip


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_what_is_planted_is_found(plant, place, world, tmp_path):
    plant(world, tmp_path)
    outcome = examine(place)
    check, *words = PLANTED[plant]
    (found,) = (line for line in faults(outcome) if line.startswith(f"fault: {check} "))
    assert all(word in found for word in words), found
    assert "ok     disk " in outcome.out and "ok     extra peft " in outcome.out  # it goes on


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"codec": {"num_bins": 500}}, "num_bins is 1000 there and 500 here"),
        ({"codec": {"num_points": 6}}, "num_points is 4 there and 6 here"),
        (
            {"tokenizer": {"bracket_layout": "paper"}},
            "bracket_layout is compact there and paper here",
        ),
        ({"data": {"template": "vicuna_v1"}}, "data.template is plain there and vicuna_v1 here"),
        ({"llm": {"num_layers": 2}}, "only this model has model.language_model.model.layers.1."),
    ],
)
def test_settings_that_a_checkpoint_was_not_made_with(finished_run, tmp_path, settings, sentence):
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(settings))
    own = str(finished_run.folder / "config.yaml")
    words = [
        "doctor",
        "--config",
        own,
        "--ckpt_path",
        str(finished_run.folder / "checkpoints/last.ckpt"),
    ]
    before = run(*words)
    assert not [line for line in faults(before) if " checkpoint " in line], before.out
    assert "last.ckpt was made with these settings" in before.out
    outcome = run(*words[:3], "--config", str(other), *words[3:])
    (found,) = (line for line in faults(outcome) if line.startswith("fault: checkpoint "))
    assert sentence in found


def test_a_checkpoint_to_begin_from_is_looked_at(place, tmp_path):
    settings = yaml.safe_load(place.read_text()) | {
        "model": {"init_from": str(tmp_path / "none.ckpt")}
    }
    place.write_text(yaml.safe_dump(settings))
    (found,) = faults(examine(place))
    assert "there is no checkpoint" in found


def test_a_disk_that_is_too_small(place, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**7))
    found = [line for line in faults(examine(place)) if line.startswith("fault: disk ")]
    assert "5 checkpoints of " in found[0] and "0.01 are free" in found[0]
    shm = [line for line in faults(examine(place)) if line.startswith("fault: shared memory")]
    assert not shm  # eight small images, twice


def test_an_extra_that_the_config_asks_for(place):
    settings = yaml.safe_load(place.read_text()) | {"qlora": {"bits": 4}}
    place.write_text(yaml.safe_dump(settings))
    there = find_spec("bitsandbytes")
    found = [line for line in faults(examine(place)) if "extra bitsandbytes" in line]
    assert bool(found) is (there is None)


def test_adapters_are_counted_and_need_peft(place):
    """A checkpoint with adapters has no moments of the weights below them, and so needs less room."""
    whole = re.search(r"5 checkpoints of ([\d.]+) GB", examine(place).out)
    adapters = {"targets": {"llm": ["all"]}, "rank": 2}
    settings = yaml.safe_load(place.read_text()) | {"model": {"adapters": adapters}}
    place.write_text(yaml.safe_dump(settings))
    outcome = examine(place)
    if find_spec("peft") is None:
        assert any("fault: extra peft" in line for line in faults(outcome))
        return
    assert not faults(outcome) and "ok     adapters " in outcome.out
    small = re.search(r"5 checkpoints of ([\d.]+) GB", outcome.out)
    assert float(small[1]) < float(whole[1])


def test_a_fault_of_ours_shows_its_traceback_and_stops_nothing(place, monkeypatch):
    def broken(*_: object) -> None:
        raise KeyError("of ours")

    monkeypatch.setattr(command, "look_at_sources", broken)
    outcome = examine(place)
    assert "Traceback" in outcome.err and "KeyError: 'of ours'" in outcome.err
    assert "fault: data " in outcome.out and "KeyError in our own code" in outcome.out
    assert "ok     weights llm " in outcome.out and outcome.code == 1


def together(commands: list[list[str]]) -> list[subprocess.CompletedProcess[str]]:
    """A `doctor` on each of some processes that are one run."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    begun = []
    for rank, words in enumerate(commands):
        names = {
            "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": len(commands), "LOCAL_WORLD_SIZE": len(commands),
            "MASTER_ADDR": "localhost", "MASTER_PORT": port, "OMP_NUM_THREADS": 1,
        }  # fmt: skip
        environment = os.environ | {name: str(value) for name, value in names.items()}
        environment["CUDA_VISIBLE_DEVICES"] = ""
        line = [sys.executable, str(ROOT / "main.py"), "doctor", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        begun.append(subprocess.Popen(line, env=environment, text=True, **pipes))
    done = []
    for process in begun:
        out, err = process.communicate(timeout=250)
        done.append(subprocess.CompletedProcess([], process.returncode, out, err))
    return done


def test_ranks_with_other_configs_and_other_orders(place, world, tmp_path):
    """Rank 1 has another batch size, and fewer captions below a root of its own."""
    other = tmp_path / "other.yaml"
    fewer = shutil.copytree(world, tmp_path / "fewer")
    file = fewer / "coco/annotations/captions_train2017.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "annotations": content["annotations"][:-3]}))
    other.write_text("data: {batch_size: 16}\n")
    words = ["--config", "stage1", "--config", str(place)]
    first, second = together([words, [*words, "--config", str(other), "--data.root", str(fewer)]])
    assert (first.returncode, second.returncode) == (1, 1), first.stderr + second.stderr
    assert second.stdout == ""  # the first process prints for both
    lines = first.stdout.splitlines()
    assert any(
        line.startswith("ok     exchange ") and " ms a round trip on cpu" in line for line in lines
    )
    for what in ("config", "order"):
        (found,) = (line for line in lines if line.startswith(f"fault: same {what} "))
        assert "rank 1 has another one than rank 0" in found
    assert lines[-1].endswith("checks, 2 faults")


def test_ranks_that_agree_and_one_that_lacks_a_file(place, world, tmp_path):
    """Another root alone is no other config; what one rank finds is told with its number."""
    lacking = shutil.copytree(world, tmp_path / "lacking")
    (lacking / "coco/annotations/captions_val2017.json").unlink()
    words = ["--config", "stage1", "--config", str(place)]
    first, second = together([words, [*words, "--data.root", str(lacking)]])
    assert (first.returncode, second.returncode) == (1, 1), first.stderr + second.stderr
    (found,) = (line for line in first.stdout.splitlines() if line.startswith("fault:"))
    assert (
        "data coco (val2017)" in found and " rank 1: " in found and "captions_val2017.json" in found
    )
    assert "ok     same config " in first.stdout and "ok     same order " in first.stdout
