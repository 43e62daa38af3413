"""The pages keep their word: the README's task is trained, scored and drawn; tables and lists are what is there.

`python -m tests.test_readme` writes the tables and lists anew.
"""

import ast
import json
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import cv2
import pytest

from datamodules.synthetic.world import write_world
from main import main
from tasks import Task
from vista.app.report import PAPER
from vista.app.runs import find_config

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
HOUSES = ("configs", "tasks", "datamodules", "callbacks", "vista", "examples", "benchmarks")


def part(page: str, name: str) -> str:
    """What stands on a page between the marks of a name."""
    text = (ROOT / page).read_text()
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert found, f"{page} has no part {name}"
    return found[1]


def code(language: str) -> str:
    """The README's block of code in a language."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)
    return str(block)


def comment(file: Path) -> str:
    """The first line of a file's docstring or head."""
    text = file.read_text()
    if file.suffix == ".py":
        return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return text.partition("\n")[0].removeprefix("#").strip()


def file_tree() -> str:
    """Every file of the project but the tests, with its own first line as a comment."""
    lines = ["```", f"{'main.py':32s}{comment(ROOT / 'main.py')}"]
    for house in HOUSES:
        files = [
            f
            for f in sorted((ROOT / house).rglob("*"))
            if f.suffix in (".py", ".yaml") and comment(f)
        ]
        for folder in sorted({f.parent for f in files}):
            lines.append(f"{folder.relative_to(ROOT)}/")
            lines += [f"    {f.name:28s}{comment(f)}" for f in files if f.parent == folder]
    return "\n".join([*lines, "```"]) + "\n"


def printed(module: str) -> str:
    """What a module prints in a process of its own, where no other test has left anything."""
    command = [sys.executable, "-m", module]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def task_table() -> str:
    """The table of tasks."""
    return printed("tasks")


@cache
def way_tables() -> list[str]:
    """The files on the way of one sample: to the loss, and to the score."""
    return [f"{table}\n" for table in printed("benchmarks.one_sample").strip().split("\n\n")]


def paper_table() -> str:
    """The paper's scores, one row a task; no score of this project at that size exists yet."""
    rows: dict[tuple[str, str], list[tuple[str, float]]] = defaultdict(list)
    for (score, metric), value in PAPER.items():
        task = max((name for name in Task.known if score.startswith(f"{name}_")), key=len)
        rows[task, metric].append((score.removeprefix(f"{task}_"), value))
    lines = ["| task | metric | split | paper, 13B | 7B | 13B |", "| --- " * 6 + "|"]
    for (task, metric), scores in rows.items():
        splits = " · ".join(split for split, _ in scores)
        values = " · ".join(f"{value:.1f}" for _, value in scores)
        lines.append(f"| {task} | {metric} | {splits} | {values} | | |")
    return "\n".join(lines) + "\n"


PARTS = {  # page and name -> what stands there
    ("README.md", "paper table"): paper_table,
    ("docs/files.md", "tasks"): task_table,
    ("docs/files.md", "files"): file_tree,
    ("docs/one_sample.md", "to loss"): lambda: way_tables()[0],
    ("docs/one_sample.md", "to score"): lambda: way_tables()[1],
}


@pytest.mark.parametrize(("page", "name"), PARTS)
def test_part_is_what_its_command_prints(page: str, name: str) -> None:
    assert part(page, name) == PARTS[page, name](), "run `python -m tests.test_readme`"


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 200


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([\w./]+)\)", README.read_text()))))
def test_linked_file_exists(path: str) -> None:
    assert (ROOT / path).is_file()


def test_every_named_config_exists() -> None:
    named = set(re.findall(r"--config ([\w./]+)", README.read_text())) - {
        "where.yaml",
        "examples/easy_vqa.yaml",
    }
    assert all(find_config(name).is_file() for name in named)


def test_own_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["main.py"])
    monkeypatch.setattr(Task, "known", dict(Task.known))  # no other test meets this task
    Path("configs").symlink_to(ROOT / "configs")  # the tiny tokenizer and encoder
    Path("where.py").write_text(code("python"))
    Path("where.yaml").write_text(code("yaml"))
    write_world(Path("small"), num_train=24, num_val=8, num_test=8, num_workers=1)
    few = ["--data.order.epoch_samples", "128", "--data.num_workers", "0"]
    main(["fit", "--config", "where.yaml", "--data.root", "small", *few])
    main(["test", "--plugin", "where.py", "--data.num_workers", "0"])
    image = next(Path("small/coco/val2017").glob("*.jpg"))
    main(
        [
            "predict",
            "--plugin",
            "where.py",
            "--images",
            str(image),
            "--text",
            "the circle",
            "--task",
            "where",
            "--out",
            "answer.png",
        ]
    )

    (row,) = json.loads(Path("runs/where/scores_test.json").read_text())["table"]
    assert (row["name"], row["metric"], row["what"]) == ("where_testA", "pr50", "always top left")
    assert row["parse_failures"] == 0
    printed = capsys.readouterr().out
    assert "where_testA" in printed
    assert re.search("(top|bottom) (left|right)", printed)
    assert list(Path("runs/where/pictures").glob("where_refcoco_*.png"))
    assert cv2.imread("answer.png") is not None


def write() -> None:
    """Put what the commands print between the marks."""
    for (page, name), command in PARTS.items():
        text = (ROOT / page).read_text()
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        head, _, rest = text.partition(start)
        (ROOT / page).write_text(head + start + command() + end + rest.partition(end)[2])


if __name__ == "__main__":
    write()
