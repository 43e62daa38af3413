"""`docs/own_code.md` names every private name of a dependency that is touched, and tests that are there."""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "own_code.md").read_text()
HOUSES = ("vista", "tasks", "datamodules", "callbacks")
FOLDERS = (*HOUSES, "benchmarks", "examples")
NAMED_TUPLE = {"_replace", "_fields", "_asdict"}  # public in spite of their names
FILES = [
    ROOT / "main.py",
    *(p for folder in FOLDERS for p in sorted((ROOT / folder).rglob("*.py"))),
]
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in FILES}
# name, file, what for, test
ROWS = re.findall(
    r"^\| `([\w.]+\._[\w.]+)` \| `([\w/.]+)` \| .+ \| `([\w/.:]+)` \|$", PAGE, re.MULTILINE
)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in NAMED_TUPLE


def is_ours(module: str) -> bool:
    return module.partition(".")[0] in {*FOLDERS, "main", "tests"}


def defined(tree: ast.Module) -> set[str]:
    """What a file defines: functions, classes, variables, attributes of its own objects."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.update([node.attr] if ast.unparse(node.value) in ("self", "cls") else [])
    return names


def known_in(tree: ast.Module) -> set[str]:
    """What a file defines, and what the files of ours define that it imports: a base class's methods."""
    names = defined(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and is_ours(node.module):
            path = f"{node.module.replace('.', '/')}.py"
            names |= defined(TREES[path]) if path in TREES else set()
    return names


def private_imports(tree: ast.Module) -> Iterator[str]:
    """Last names of what is imported from elsewhere by a path with a private part."""
    for node in ast.walk(tree):
        paths: list[str] = []
        if isinstance(node, ast.Import):
            paths = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            paths = [f"{node.module}.{alias.name}" for alias in node.names]
        for path in paths:
            if not is_ours(path) and any(map(is_private, path.split("."))):
                yield path.rpartition(".")[2]


def private_attributes(tree: ast.Module, ours: set[str]) -> Iterator[str]:
    """Private attributes that nothing of ours defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in ours:
            yield node.attr


def private_strings(tree: ast.Module) -> Iterator[str]:
    """Private names written as strings in tuples, as in a list of what a pickle may ask for; not Python's own."""
    tuples = [node for node in ast.walk(tree) if isinstance(node, ast.Tuple)]
    for element in chain.from_iterable(node.elts for node in tuples):
        name = str(element.value) if isinstance(element, ast.Constant) else ""
        if re.fullmatch(r"_[A-Za-z]\w+", name) and name not in sys.stdlib_module_names:
            yield name


def private_overrides(path: str) -> Iterator[str]:
    """Private methods of classes of a file that a class from elsewhere has, too."""
    module = import_module(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    for _, kind in inspect.getmembers(module, inspect.isclass):
        if kind.__module__ != module.__name__:
            continue
        others = [base for base in kind.__mro__ if not is_ours(base.__module__)]
        for name, value in vars(kind).items():
            if (
                is_private(name)
                and inspect.isfunction(value)
                and any(name in vars(o) for o in others)
            ):
                yield name


def touched() -> set[tuple[str, str]]:
    """(file, private name of a dependency) of everything that is touched."""
    found: set[tuple[str, str]] = set()
    for path, tree in TREES.items():
        names = {
            *private_imports(tree),
            *private_attributes(tree, known_in(tree)),
            *private_strings(tree),
        }
        if path.partition("/")[0] in HOUSES and not path.endswith("__main__.py"):
            names.update(private_overrides(path))
        found.update((path, name) for name in names)
    return found


def test_the_page_lists_every_private_name_that_is_touched():
    assert {(file, name.rpartition(".")[2]) for name, file, _ in ROWS} == touched()


@pytest.mark.parametrize("name", [name for name, _, _ in ROWS])
def test_every_private_name_is_there(name):
    parts = name.split(".")
    depth = max(
        k for k in range(1, len(parts)) if ".".join(parts[:k]) in sys.modules or _imports(parts[:k])
    )
    found = import_module(".".join(parts[:depth]))
    for part in parts[depth:-1]:
        found = getattr(found, part)
    # What an object gets when it is made stands in its class's code alone.
    assert hasattr(found, parts[-1]) or f"self.{parts[-1]} = " in inspect.getsource(found)


def _imports(parts: list[str]) -> bool:
    try:
        import_module(".".join(parts))
    except ModuleNotFoundError:
        return False
    return True


@pytest.mark.parametrize(
    "test", sorted(set(re.findall(r"`(tests/[\w/.:]+)`", PAGE)) - {"tests/test_own_code.py"})
)
def test_every_test_that_the_page_names_is_there(test):
    file, _, name = test.partition("::")
    text = (ROOT / file).read_text()
    assert f"\ndef {name}(" in text if name else "\ndef test_" in text


@pytest.mark.parametrize(
    "file", sorted(set(re.findall(r"`((?:vista|datamodules)/[\w/]+\.py)`", PAGE)))
)
def test_every_file_that_the_page_names_is_there(file):
    assert (ROOT / file).is_file()


def test_a_private_name_is_seen():
    tree = ast.parse(
        "from torch._C import Graph\nimport numpy._core\nmodel._secret()\nself._own\nrow._replace()\n"
        "self._new = loop._set = 1\n"
    )
    assert list(private_imports(tree)) == ["Graph", "_core"]
    assert set(private_attributes(tree, {"_own"} | defined(tree))) == {"_secret", "_set"}
