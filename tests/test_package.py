"""`from vista import ...`: every name is there for programs and for type checkers, and none is paid for in advance."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import vista

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", vista.HOMES)
def test_name_is_its_home_s(name):
    home = import_module(vista.HOMES[name])
    assert getattr(vista, name) is getattr(home, name)
    assert name in dir(vista)


def test_type_checkers_see_the_same_names():
    (block,) = [
        node
        for node in ast.parse(Path(vista.__file__).read_text()).body
        if isinstance(node, ast.If)
    ]
    seen = {}
    for line in block.body:
        assert isinstance(line, ast.ImportFrom)
        seen[line.names[0].asname] = line.module
    assert seen == vista.HOMES
    assert vista.__all__ == sorted(vista.HOMES)


def test_another_name_is_an_error():
    with pytest.raises(AttributeError, match="no attribute 'Taks'"):
        vista.Taks  # noqa: B018
    with pytest.raises(ImportError):
        from vista import Taks  # noqa: F401


@pytest.mark.parametrize("line", ["import vista", "import vista; dir(vista); vista.__all__"])
def test_the_package_alone_is_light(line):
    heavy = "import sys; print({'torch', 'numpy', 'vista.task'} & sys.modules.keys())"
    command = [sys.executable, "-c", f"{line}; {heavy}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
