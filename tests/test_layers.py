"""Which house may import from which (the longest prefix decides); any file may import from outside the project."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from vista import HOMES as HOMES_OF_NAMES

ROOT = Path(__file__).parent.parent
OF_STEPS = tuple(  # what a step of training or evaluation is put together from
    f"vista.{room}"
    for room in (
        "data",
        "decoding",
        "metrics",
        "models",
        "predictions",
        "task",
        "tokens",
        "training",
    )
)
ALLOWED = {
    "main": ("callbacks", "datamodules", "tasks", "vista"),
    "callbacks": ("callbacks", "vista"),
    "datamodules": ("datamodules", "tasks", "vista"),
    "datamodules.readers": (
        "datamodules.readers",
        "vista.boxes",
        "vista.damage",
        "vista.data",
        "vista.errors",
        "vista.full_disk",
        "vista.geometry",
        "vista.rle",
        "vista.shards",
        "vista.tar",
        "vista.unsound",
    ),
    "datamodules.synthetic": ("datamodules.synthetic",),
    "tasks": (
        "tasks",
        "vista.answers",
        "vista.codec",
        "vista.data",
        "vista.decoding.grammar",
        "vista.geometry",
        "vista.metrics",
        "vista.prompts",
        "vista.task",
    ),
    # The rooms of vista: codec and tokens know nothing but the records, and nobody knows the command line.
    "vista": ("vista",),
    "vista.__init__": (
        "vista.codec.codec",
        "vista.data",
        "vista.decoding.grammar",
        "vista.metrics",
        "vista.task",
    ),
    # Regions and files from outside are checked below everything that uses them.
    "vista.errors": ("vista.printable",),
    "vista.printable": (),
    "vista.first_process": (),
    "vista.unsound": (),
    "vista.data": ("vista.errors",),
    "vista.boxes": ("vista.data",),
    "vista.geometry": ("vista.data", "vista.errors", "vista.unsound"),
    "vista.rle": ("vista.data",),
    "vista.damage": ("vista.errors",),
    "vista.answers": ("vista.data",),
    "vista.full_disk": ("vista.data",),
    "vista.leftovers": (),
    "vista.images": ("vista.data", "vista.errors", "vista.jitter", "vista.odd_images"),
    "vista.jitter": (),
    "vista.odd_images": ("vista.errors", "vista.shards"),
    "vista.in_parquet": ("vista.damage", "vista.errors"),
    "vista.shards": ("vista.errors", "vista.in_parquet", "vista.tar"),
    "vista.tar": ("vista.damage", "vista.errors"),
    "vista.draw": ("vista.data",),
    "vista.codec": ("vista.codec", "vista.data", "vista.geometry"),
    "vista.codec.bench.command": ("vista.codec", "vista.data", "vista.printable"),
    "vista.codec.bench.mask_files": (
        "vista.damage",
        "vista.data",
        "vista.geometry",
        "vista.unsound",
    ),
    "vista.tokens": ("vista.tokens", "vista.data"),
    "vista.models": ("vista.models", "vista.data", "vista.tokens.batch_types"),
    "vista.metrics": (
        "vista.metrics",
        "vista.answers",
        "vista.boxes",
        "vista.data",
        "vista.first_process",
    ),
    "vista.decoding": (
        "vista.decoding",
        "vista.models",
        "vista.tokens",
        "vista.data",
        "vista.task",
    ),
    "vista.decoding.grammar": ("vista.decoding.automaton", "vista.tokens", "vista.data"),
    "vista.prompts": ("vista.codec", "vista.data"),
    "vista.task": ("vista.data", "vista.decoding.grammar", "vista.metrics", "vista.prompts"),
    "vista.predictions": ("vista.data", "vista.task"),
    "vista.training": (
        "vista.training",
        "vista.models",
        "vista.data",
        "vista.first_process",
        "vista.tokens.batch_types",
    ),
    "vista.training.evaluation": OF_STEPS,
    # A model as one folder has its tokenizer in it.
    "vista.training.model_folder": ("vista.training", "vista.data", "vista.tokens"),
    "vista.training.write_folder": ("vista.training", "vista.data", "vista.models", "vista.tokens"),
    "vista.training.learning": OF_STEPS,
    "vista.training.rollouts": OF_STEPS,
    "vista.module": tuple(
        f"vista.{room}"
        for room in (
            "codec",
            "data",
            "decoding",
            "metrics.evaluator",
            "models",
            "predictions",
            "task",
            "tokens",
            "training",
        )
    ),
    "vista.others": (
        "vista.others",
        "vista.codec",
        "vista.data",
        "vista.decoding.grammar",
        "vista.predictions",
        "vista.task",
    ),
    "vista.page": (
        "vista.page",
        "vista.rle",
        "vista.codec",
        "vista.data",
        "vista.decoding",
        "vista.draw",
        "vista.geometry",
        "vista.images",
        "vista.leftovers",
        "vista.models",
        "vista.printable",
        "vista.task",
        "vista.tokens",
    ),
    "vista.page.limits": (),
    # Reports know scores, records and drawing, and nothing of where these come from.
    "vista.reporting": (
        "vista.reporting",
        "vista.data",
        "vista.draw",
        "vista.geometry",
        "vista.metrics",
        "vista.printable",
    ),
    "vista.app": ("vista",),
}
HOUSES = {name.partition(".")[0] for name in ALLOWED}


def below(name: str, prefix: str) -> bool:
    return f"{name}.".startswith(f"{prefix}.")


def imports(path: Path) -> Iterator[str]:
    """Full names, relative ones resolved: `from vista import data` gives vista.data, Task vista.task.Task."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*parents, *filter(None, [node.module])])
            for alias in node.names:
                home = HOMES_OF_NAMES.get(alias.name, module) if module == "vista" else module
                yield f"{home}.{alias.name}"


def violations(path: Path) -> list[str]:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    house = max((name for name in ALLOWED if below(module, name)), key=len)
    ours = [name for name in imports(path) if name.partition(".")[0] in HOUSES]
    return [name for name in ours if not any(below(name, allowed) for allowed in ALLOWED[house])]


FILES = sorted(
    path for house in HOUSES for path in (*ROOT.glob(f"{house}.py"), *(ROOT / house).rglob("*.py"))
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_from_allowed_layers(path: Path) -> None:
    assert not violations(path)


def test_only_one_file_imports_albumentations() -> None:
    assert [p.name for p in FILES if any(below(name, "albumentations") for name in imports(p))] == [
        "jitter.py"
    ]


def test_a_violation_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    source = "import torch, vista\nfrom ..readers import coco\nfrom vista.data import Box\nfrom vista import codec\n"
    for house in ("readers", "synthetic"):
        (tmp_path / "datamodules" / house).mkdir(parents=True)
        (tmp_path / "datamodules" / house / "x.py").write_text(source)
    assert violations(tmp_path / "datamodules/readers/x.py") == ["vista", "vista.codec"]
    assert violations(tmp_path / "datamodules/synthetic/x.py") == [
        "vista", "datamodules.readers.coco", "vista.data.Box", "vista.codec",
    ]  # fmt: skip
