"""The pages of docs/: every command in them and in the README is run on the tiny size, and the site has every page.

A command is run as it stands but for what makes it small: a training ends after a step, a test asks a few questions.
Commands of the paper's size are read (`--print_config`), since its weights and data are not here.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.tiny import FLAGS, run

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
COMMAND = re.compile(r"^ {4,}(python main\.py (?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE)
LARGE = {"vicuna_7b", "coinit", "coinit.yaml"}
WHERE = "python main.py predict --plugin where.py --images a.png --text"
PLAN = "python main.py plan --config stage1 --config vicuna_7b --config coinit --config fsdp"
ELSEWHERE = {  # commands that other tests run: they need what this machine has not, or their own files
    "python main.py check-task where --config where.yaml": "tests/test_readme.py",
    "python main.py fit --config where.yaml": "tests/test_readme.py",
    "python main.py test --plugin where.py": "tests/test_readme.py",
    f'{WHERE} "the red circle" --task where': "tests/test_readme.py",
    PLAN: "tests/commands/test_plan.py",
    f"{PLAN} --nodes 4": "tests/commands/test_plan.py",
    "python main.py consolidate runs/stage1 stage1.ckpt": "tests/training/test_sharding.py",
    "python main.py test --answers_by hf --model DIR_OR_ID": "tests/others/test_answers_by.py",
    "python main.py fit --config examples/easy_vqa.yaml": "tests/test_examples.py",
    "python main.py demo": "tests/page",
    "python main.py demo --ckpt_path exported --port 8000": "tests/page",
    "python main.py test --ckpt_path runs/tiny_stage3 --task rec --task res": "tests/training/test_reinforced.py",
    "python main.py test --ckpt_path weights_more --data.scoring.max_test 256": "tests/commands/test_export.py",
    "python main.py export --ckpt_path weights_more --out weights": "tests/commands/test_export.py",
}


def commands() -> Iterator[str]:
    """Every command, once; what stands behind it after two blanks is a remark."""
    for page in PAGES:
        for found in COMMAND.findall(page.read_text()):
            joined = re.sub(r"\\\n\s*", "", found)
            yield re.split(r"\s{2,}|\s#\s", joined)[0].strip()


COMMANDS = list(dict.fromkeys(commands()))


@pytest.fixture(scope="module")
def place(finished_run, tiny_world, tmp_path_factory):  # type: ignore[no-untyped-def]
    """A working folder with runs, answers, images and what the pages name."""
    folder = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("stage1", "stage2"):
            shutil.copytree(finished_run.folder, f"runs/{name}")
            tested = run("test", "--ckpt_path", f"runs/{name}", "--data.scoring.max_test=4")
            assert tested.code == 0, tested.err
        _write_questions()
        _write_own_data(tiny_world)
    return folder


def _write_questions() -> None:
    Path("photos").mkdir()
    for name in ("a.png", "b.png", "photos/a.png", "photos/b.png"):
        Image.new("RGB", (96, 64), "red").save(name)
    page = (DOCS / "asking.md").read_text()
    lines = [line.strip() for line in page.splitlines() if line.startswith('    {"')]
    Path("questions.jsonl").write_text("\n".join(lines))


def _write_own_data(world: Path) -> None:
    """`mine.yaml`, and masks in COCO's form."""
    source = {
        "task": "rec",
        "dataset": "refcoco",
        "train": "train",
        "val": "val",
        "test": {"mine_test": "val"},
    }
    settings = {"data": {"root": str(world), "tasks": ["rec"], "sources": {"mine": source}}}
    Path("mine.yaml").write_text(yaml.safe_dump(settings))
    square = [[2.0, 2.0, 60.0, 2.0, 60.0, 60.0, 2.0, 60.0]]
    mask = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": square}
    image = {"id": 1, "file_name": "a.png", "height": 64, "width": 96}
    Path("instances.json").write_text(json.dumps({"images": [image], "annotations": [mask]}))


def small(words: list[str], world: Path) -> list[str]:
    """What is added to a command so that it ends soon."""
    verb, data = words[0], ["--data.root", str(world)]
    if LARGE & set(words):
        return ["--print_config"] if verb == "fit" else []
    if verb == "fit" and "--ckpt_path" not in words:
        own = [] if "mine.yaml" in words else data
        few = ["--data.order.epoch_samples=32", "--data.batch_size=16", "--trainer.max_steps=1"]
        # Sources of all tasks, which the smallest world has not, are only read.
        tiny = ["--print_config"] if {"tiny_all", "tiny_all.yaml"} & set(words) else list(FLAGS)
        if "ablations/no_tokenizer" in words:
            tiny.append("--qformer.num_queries=17")  # tokens of an image of 32 pixels
        return [
            *own,
            *few,
            *tiny,
            "--trainer.limit_val_batches=1",
            "--model.init_from=null",
            "--name=short",
        ]
    if verb == "test" and "iconqa" in words:  # of which the smallest world has none
        return ["--print_config"]
    if verb == "test":
        few = ["--data.scoring.max_test=2", "--data.num_workers=0"]
        return [*few, *data, "--task", "rec"] if "weights" in words else few
    return []


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ELSEWHERE])
def test_every_command(command, place, tiny_world, monkeypatch):  # type: ignore[no-untyped-def]
    monkeypatch.chdir(place)
    words = shlex.split(command.removeprefix("python main.py "))
    outcome = run(*words, *small(words, tiny_world))
    assert outcome.code in ({1} if words[0] == "doctor" else {0}), outcome.err
    if LARGE & set(words) and words[0] in ("doctor", "data"):
        assert "not there" in outcome.out, "it says what is missing"


def test_commands_that_other_tests_run_are_there() -> None:
    for command, where in ELSEWHERE.items():
        assert command in COMMANDS or command.endswith(" demo"), command
        assert (ROOT / where).exists() or where == "tests/page", where


def nav_pages(entries: list) -> Iterator[str]:  # type: ignore[type-arg]
    """All files that the navigation of the site names."""
    for entry in entries:
        values = entry.values() if isinstance(entry, dict) else [entry]
        for value in values:
            if isinstance(value, list):
                yield from nav_pages(value)
            else:
                yield value


def test_the_site_has_every_page_once() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    listed = list(nav_pages(settings["nav"]))
    assert sorted(listed) == sorted(page.name for page in DOCS.glob("*.md"))


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", page.read_text()):
        assert (page.parent / link).exists(), link


def test_the_reference_names_what_is_there() -> None:
    for name in re.findall(r"^::: ([\w.]+)$", (DOCS / "reference.md").read_text(), re.MULTILINE):
        module, _, last = name.rpartition(".")
        home = import_module(module if last[0].isupper() else name)
        assert home.__doc__ and (not last[0].isupper() or getattr(home, last).__doc__), name


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="the extra `docs` is not installed")
def test_the_site_is_built(tmp_path: Path) -> None:
    """Strictly: no page without a place, no link without a page; and it asks nothing of others' servers."""
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--quiet",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert built.returncode == 0, built.stderr
    page = (tmp_path / "site/reference/index.html").read_text()
    assert "How one kind of question is asked" in page, "docstrings are in it"
    assert "fonts.googleapis" not in page
