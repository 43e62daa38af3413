"""A task is added to a copy of the repository in just the files that docs/adding_a_task.md names, at most four."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("main.py", "README.md", "docs", "configs", "vista", "tasks", "datamodules", "callbacks",
         "examples", "benchmarks", "tests", "pyproject.toml")  # fmt: skip
TASK = '''"""Side: the half of the image in which an object lies.

    "the red circle" -> "left"
"""

from vista import Choice, Prediction, Task
from vista.metrics.nlvr2 import NLVR2Metric


class Side(Task):
    """Expression to left or right."""

    name = "side"
    datasets = frozenset({"refcoco"})
    fields = frozenset({"expression", "boxes", "sizes"})
    headline = "accuracy"
    baseline_name = "always left"

    def target(self, annotation):
        x0, _, x1, _ = annotation.boxes[0]
        return "right" if x0 + x1 > annotation.sizes[0][1] else "left"

    def grammar(self, annotation):
        return (Choice(("left", "right")),)

    def parse(self, text, annotation):
        known = text in ("left", "right")
        decision = text == "right" if known else None
        return Prediction(text=text, answer=text, decision=decision, malformed=not known)

    def reference(self, annotation):
        truth = self.parse(self.target(annotation), annotation)
        return {"label": str(truth.decision), "identifier": f"side-{annotation.id}-0-0"}

    def evaluator(self):
        return NLVR2Metric()

    def baseline(self, annotations):
        return [self.parse("left", annotation) for annotation in annotations]
'''
PROMPTS = "<image> {On|At} which side is <expr>?\n<image> {Where|In which half} lies <expr>?\n"
SOURCE = "    side_refcoco: {task: side, dataset: refcoco, train: train, val: val, test: {side_val: val}}\n"


def named_files() -> list[str]:
    """The files that the page numbers."""
    page = (ROOT / "docs/adding_a_task.md").read_text()
    return re.findall(r"^\d\. `([^`]+)`", page, re.MULTILINE)


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder but what Python and the tests leave behind."""
    files = [
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def repository(tmp_path):
    """A copy of what a task may need."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in PARTS:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, copy / name)
    return copy


def test_at_most_four_files_are_edited(repository, tiny_world):
    def python(*arguments: str) -> str:
        command = [sys.executable, "-B", *arguments]
        done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    task, prompts, config, table = (name.replace("mytask", "side") for name in named_files())
    before = contents(repository)
    (repository / task).write_text(TASK)
    (repository / prompts).write_text(PROMPTS)
    text = (repository / config).read_text()
    assert text.count("\n  sources:\n") == 1
    edited = text.replace("\n  sources:\n", f"\n  sources:\n{SOURCE}")
    (repository / config).write_text(edited)
    python("-m", "tests.test_readme")
    after = contents(repository)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {task, prompts, config, table} and before.keys() <= after.keys()

    # The table is what `python -m tasks` prints: it knows the task, and each task has its prompts.
    written = (repository / table).read_text()
    assert '| side | refcoco | `"left"` | accuracy | always left |\n' in written
    rows = re.search(r"<!-- tasks -->\n(.*?)<!-- /tasks -->", written, re.DOTALL)
    names = re.findall(r"^\| (\w+) \|", rows[1], re.MULTILINE)[1:]  # without the head
    assert names == sorted(file.stem for file in (repository / prompts).parent.iterdir())
    flags = ("--config", Path(config).name, "--data.root", str(tiny_world), "--limit", "20")
    assert "side on source side_refcoco" in python("main.py", "check-task", "side", *flags)
