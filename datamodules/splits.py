"""Splits of sources, read one way by every verb: compiled once, put together as their tasks ask.

splits = Splits(root, codec, Path("data/compiled"))
splits.read("res_refcoco", source, "train")         # Annotations, all that the reader gives
splits.load({"res_refcoco": source}, "val")         # [LoadedSource("res_refcoco", RES, root, Annotations)]
"""

import ast
import inspect
import json
import sys
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Literal

from datamodules.compiled import VERSION, Annotations, compiled
from datamodules.readers import READERS
from datamodules.readers.reader import Reader
from datamodules.regrouped import Regrouped, Written, writes_masks
from datamodules.source import LoadedSource, Source
from tasks import Task
from vista.codec.codec import Codec
from vista.data import InputError, MissingFileError

Part = Literal["train", "val", "test"]
ROOT = Path(__file__).parents[1]
Check = Callable[[str, Annotations, Path], None]  # of a split's name, annotations and data root


class Splits:
    """Reads splits, each once. Images are not looked at, unless by `check`."""

    def __init__(self, root: Path, codec: Codec, folder: Path, check: Check | None = None) -> None:
        """Keep the settings.

        Args:
            root: data root of the sources that have none of their own.
            codec: of the tasks.
            folder: where compiled annotations are kept; only what is not there yet is read.
            check: called once with each split that was read.
        """
        self.root, self.codec, self.folder, self.check = root, codec, folder, check
        self._read: dict[tuple, Annotations] = {}

    def read(self, name: str, source: Source, split: str) -> Annotations:
        """All that the reader of a source gives of a split; the source's name is for messages.

        Raises:
            MissingFileError: an official file is missing.
            InputError: it cannot be read, or `check` refuses it.
            SampleError: a fault of the reader.
        """
        try:
            reader = self._reader(source, split)
            known = (source.dataset, reader.root, split, *reader.settings)
            if known in self._read:
                return self._read[known]
            annotations = self._compiled(source.dataset, reader)
        except (NotADirectoryError, MissingFileError) as error:
            raise MissingFileError(f"source {name}: {error}") from error
        except InputError as error:
            raise InputError(f"source {name}: {error}") from error
        if self.check is not None:
            self.check(f"{source.dataset} ({split})", annotations, reader.root)
        return self._read.setdefault(known, annotations)

    def _reader(self, source: Source, split: str) -> Reader:
        return READERS[source.dataset].of(source.root or self.root, split, source.own, source.asked)

    def _compiled(self, name: str, reader: Reader) -> Annotations:
        split, code = reader.split, code_of(type(reader))
        # All that decides what the table holds, but for the official files, whose stamps are in it.
        key = digest(name, split, reader.root.resolve(), code, *reader.settings)
        return compiled(self.folder, f"{name}-{split}-{key}", reader)

    def load(
        self, sources: dict[str, Source], part: Part, written: bool = False
    ) -> list[LoadedSource]:
        """The splits of some sources as their tasks ask about them: one of each, or those behind the scores of `test`.

        Args:
            sources: by name.
            part: which split of each.
            written: masks are to be learned in many epochs, so that their points are kept, too.

        Raises:
            MissingFileError, InputError, SampleError: as `read`, or a task can make nothing of them.
        """
        loaded = []
        # A source has one task; the splits behind its scores share it.
        for name, source in sources.items():
            task = Task.known[source.task](self.codec)
            splits = source.test if part == "test" else {name: getattr(source, part)}
            for score, split in splits.items():
                if split:
                    annotations = self._asked(task, self.read(name, source, split), written)
                    root = source.root or self.root
                    # A split may give less than its data set: where answers are hidden, nothing is scored.
                    scored = task.fields <= self._reader(source, split).fields
                    asked = task if scored else task.with_hidden_answers()
                    loaded.append(LoadedSource(score, asked, root, annotations, scored=scored))
        return loaded

    def _asked(self, task: Task, annotations: Annotations, written: bool) -> Annotations:
        if type(task).regroup is not Task.regroup:
            annotations = self._made(task.name, Regrouped(task, annotations))
        if written and writes_masks(task):
            annotations = self._made(f"{task.name}_targets", Written(task, annotations))
        return annotations

    def _made(self, name: str, origin: Regrouped) -> Annotations:
        # A task may look at its codec; the name of the file before stands for all that is in it.
        codec, before = sorted(vars(self.codec).items()), origin.annotations.file
        key = digest(before.name, code_of(type(origin.task)), codec)
        return compiled(self.folder, f"{before.stem.rpartition('-')[0]}-{name}-{key}", origin)


def digest(*parts: object) -> str:
    """A short name of texts."""
    return sha256(json.dumps([VERSION, *map(str, parts)]).encode()).hexdigest()[:16]


def code_of(kind: type) -> str:
    """A digest of the code that makes annotations: the modules of a class and of its bases, and all that they import.

    Imports are followed within the project and beside the class's own module. A neighbour that is not imported does not
    count: beside a plug-in anything may lie.
    """
    folders, files = {ROOT}, list[Path]()
    for base in kind.__mro__:
        if not is_standard(base.__module__):
            file = Path(inspect.getfile(base))
            files.append(file)
            folders.add(file.parents[base.__module__.count(".")])
    # Libraries are not followed: their code comes in versions.
    folders = {folder for folder in folders if folder.name != "site-packages"}
    codes: dict[Path, bytes] = {}
    while files:
        file = files.pop()
        if file not in codes:
            codes[file] = file.read_bytes()
            files += imported_files(file, codes[file], folders)
    return digest(*(sha256(codes[file]).hexdigest() for file in sorted(codes)))


def imported_files(file: Path, code: bytes, folders: set[Path]) -> list[Path]:
    """The modules that a module imports from some folders, or from those above it by dots."""
    found = []
    for level, name in imports(code):
        for folder in [file.parents[level - 1]] if level else folders:
            module = folder.joinpath(*name.split("."))
            found += [module.with_suffix(".py"), module / "__init__.py"]
    return [candidate for candidate in found if candidate.is_file()]


def is_standard(module: str) -> bool:
    """Whether a module is of Python's own library."""
    return module.partition(".")[0] in sys.stdlib_module_names


@cache
def imports(code: bytes) -> list[tuple[int, str]]:
    """(dots, name) of all that a module may import; what it takes from a module may be a module, too."""
    names: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names.append((node.level, module))
            names += [(node.level, f"{module}.{alias.name}".strip(".")) for alias in node.names]
    return [(level, name) for level, name in names if level or not is_standard(name)]
