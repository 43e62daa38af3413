"""examples/first_look.ipynb: its cells run one after the other, and it is stored without what they print."""

import ast
import json
import re
import sys
from pathlib import Path

import pytest

from tasks import Task

NOTEBOOK = Path(__file__).parents[1] / "examples" / "first_look.ipynb"


def cells(kind: str) -> list[str]:
    """The sources of all cells of a kind."""
    content = json.loads(NOTEBOOK.read_text())
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == kind]


def run_cell(source: str, names: dict[str, object]) -> object:
    """Run a cell as a notebook does: what its last line is worth is shown."""
    statements, last = ast.parse(source).body, ast.Constant(None)
    if isinstance(statements[-1], ast.Expr):
        last = statements.pop().value
    exec(compile(ast.Module(statements, []), str(NOTEBOOK), "exec"), names)
    expression = ast.fix_missing_locations(ast.Expression(last))
    return eval(compile(expression, str(NOTEBOOK), "eval"), names)


def test_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(NOTEBOOK.parent)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.setattr(Task, "known", dict(Task.known))  # no other test meets this task
    names: dict[str, object] = {"__name__": "__main__"}
    shown = [run_cell(source, names) for source in cells("code")]

    printed = capsys.readouterr().out
    assert "half_testA" not in printed and "rec_refcoco_val" in printed
    pictures = [value for value in shown if hasattr(value, "getpixel")]
    assert len(pictures) == 4 and all(picture.width >= 288 for picture in pictures)
    (rows,) = [value for value in shown if isinstance(value, list)]
    assert {name for name, _, _ in rows} >= {"rec_refcoco_val", "res_refcoco_testA"}
    (folder,) = tmp_path.glob("vista-first-look-*")
    for file in (
        "box.png",
        "masks/coco_results.json",
        "report.html",
        "runs/half/done.json",
        "half.png",
    ):
        assert (folder / file).is_file(), file


def test_it_is_stored_without_outputs() -> None:
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None


def test_its_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", "\n".join(cells("markdown"))):
        assert (NOTEBOOK.parent / link).is_file(), link
