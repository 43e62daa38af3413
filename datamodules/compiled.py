"""Annotations in a memory-mapped Arrow table, compiled once: millions of them cost no Python objects and no reading.

    record    '["1234", ["coco/train2017/000000000009.jpg"], [[480, 640]], "the man on the left", ...]'
    scene     7
    shown     '[["coco/train2017/000000000009.jpg"], null]'

A record is an `Annotation` in JSON, field by field. `scene` numbers its images in order of first occurrence; `shown`
stands in the first annotation of a scene only: its images, and the number that COCO gives them where a reader says so.
A last, empty record batch says what the table was made of: the records left out, and the stamps of the files.
"""

import gc
import hashlib
import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import numpy as np
import pyarrow as pa

from datamodules.readers.reader import Stamp, stamp
from vista.data import Annotation, annotation_from_json, annotation_to_json

VERSION = 2  # raise it when the same annotations give another table
SCHEMA = pa.schema(
    [("record", pa.large_string()), ("scene", pa.int32()), ("shown", pa.large_string())]
)
NUMBERS = (
    "coco_id",
    "flickr_id",
)  # keys of `extra` that tell which picture it is, see datamodules/leakage.py
ROWS = 1 << 14  # annotations in a record batch


class Origin(Protocol):
    """What can be compiled: a reader, or what a task makes of one; see `datamodules.readers.reader.Reader`."""

    problems: list[tuple[str, str]]
    watched: dict[str, Stamp | None]

    def __iter__(self) -> Iterator[Annotation]:
        """A pass over all annotations, which sets `problems` and `watched`."""


class Annotations(Sequence[Annotation]):
    """The annotations of a compiled file, or some of them; each is built when it is asked for.

    Nothing but the path and the rows is pickled, and the pages of the file are shared by all processes of a machine.

    Attributes:
        problems: (id, why) of each record that the origin left out.

    Args:
        file: the compiled file.
        rows: which of its annotations these are, int (N,); None: all.

    Raises:
        FileNotFoundError: it is not there.
        ValueError, KeyError: it is no such file, or not a whole one.
    """

    def __init__(self, file: Path, rows: np.ndarray | None = None) -> None:
        self.file, self.rows = file, rows
        reader = pa.ipc.open_file(pa.memory_map(str(file)))
        table = reader.read_all()
        table.validate()
        self._records, self._scenes, self._shown = table["record"], table["scene"], table["shown"]
        _, about = reader.get_batch_with_custom_metadata(reader.num_record_batches - 1)
        about = json.loads((about or {})["about"])
        self.problems = [(key, why) for key, why in about["problems"]]
        self._watched = {path: was and (was[0], was[1]) for path, was in about["watched"].items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return Annotations, (self.file, self.rows)

    def __len__(self) -> int:
        return len(self._records) if self.rows is None else len(self.rows)

    def __getitem__(self, index: Any) -> Any:  # an int or a slice
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return annotation_from_json(
            self._records[int(index if self.rows is None else self.rows[index])].as_py()
        )

    def select(self, rows: np.ndarray) -> "Annotations":
        """Some of them, in the order of `rows`, int (N,)."""
        return Annotations(self.file, rows if self.rows is None else self.rows[rows])

    def scenes(self) -> tuple[Iterator[Annotation], np.ndarray]:
        """As the function `scenes`; of an annotation there is only what `shown` tells."""
        numbers = self._scenes.to_numpy()
        encoded = pa.array(numbers if self.rows is None else numbers[self.rows]).dictionary_encode()
        return self._first(encoded.dictionary), encoded.indices.to_numpy()

    def _first(self, scenes: pa.Array) -> Iterator[Annotation]:
        for chunk in self._shown.drop_null().take(scenes).chunks:
            for images, numbers in json.loads(
                f"[{','.join(chunk.to_pylist())}]"
            ):  # all at once: half the time
                yield Annotation("", tuple(images), extra=numbers)

    def unchanged(self) -> bool:
        """Whether the files that it was made of are as they were; False where they are not known."""
        return bool(self._watched) and all(
            stamp(path) == was for path, was in self._watched.items()
        )


def scenes(annotations: Sequence[Annotation]) -> tuple[Iterator[Annotation], np.ndarray]:
    """Which annotations have the same images.

    Returns:
        the first annotation of each scene, and the number of each annotation's scene, int (N,).
    """
    if isinstance(annotations, Annotations):
        return annotations.scenes()
    first: dict[tuple[str, ...], Annotation] = {}
    for annotation in annotations:
        first.setdefault(annotation.images, annotation)
    numbers = {images: number for number, images in enumerate(first)}
    return iter(first.values()), np.array(
        [numbers[annotation.images] for annotation in annotations], dtype=np.int32
    )


def select(annotations: Sequence[Annotation], rows: np.ndarray) -> Sequence[Annotation]:
    """Some of the annotations, in the order of `rows`, int (N,)."""
    if len(rows) == len(annotations):
        return annotations
    if isinstance(annotations, Annotations):
        return annotations.select(rows)
    return [annotations[i] for i in rows.tolist()]


def compiled(folder: Path, name: str, origin: Origin) -> Annotations:
    """The compiled annotations of an origin, made anew where they are missing, damaged or older than its files.

    Args:
        folder: where compiled annotations are kept.
        name: of the file; it must tell apart all that is not in the origin's files: code, settings.
        origin: is only read where it must be.

    Raises:
        ValueError: an annotation would not come back from JSON as it is.
        OSError: the folder cannot be written to.
    """
    file = folder / f"{name}.arrow"
    with suppress(OSError, ValueError, KeyError):
        found = Annotations(file)
        if found.unchanged():
            return found
    part = folder / f"{name}.{uuid4().hex}.part"  # another process may be writing the same
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.touch()
    except OSError as error:
        what = f"annotations cannot be compiled into {folder} ({error.strerror})"
        raise OSError(f"{what}; name another folder by --data.cache") from error
    try:
        write(part, origin)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return Annotations(file)


def write(file: Path, origin: Origin) -> None:
    """Write the table of an origin's annotations."""
    seen: dict[tuple[str, ...], int] = {}
    rows = (row(annotation, seen) for annotation in origin)
    gc.disable()  # millions of new objects, none of them garbage: collecting would double the time
    try:
        with pa.ipc.new_file(str(file), SCHEMA) as writer:
            while some := list(islice(rows, ROWS)):
                writer.write_batch(
                    pa.record_batch(list(map(list, zip(*some, strict=True))), schema=SCHEMA)
                )
            about = json.dumps({"problems": origin.problems, "watched": origin.watched})
            writer.write_batch(
                pa.record_batch([[], [], []], schema=SCHEMA), custom_metadata={"about": about}
            )
    finally:
        gc.enable()


def row(annotation: Annotation, seen: dict[tuple[str, ...], int]) -> tuple[str, int, str | None]:
    """The columns of an annotation; `seen` numbers the scenes so far."""
    record, known = annotation_to_json(annotation), len(seen)
    scene = seen.setdefault(annotation.images, known)
    if scene < known:
        return record, scene, None
    numbers = {key: annotation.extra[key] for key in NUMBERS if key in annotation.extra}
    return record, scene, json.dumps([annotation.images, numbers])


def code_of(kind: type) -> str:
    """A digest of the code that makes annotations: all files beside those of a class and of its bases."""
    bases = [
        base
        for base in kind.__mro__
        if base.__module__.partition(".")[0] not in sys.stdlib_module_names
    ]
    folders = {Path(inspect.getfile(base)).parent for base in bases}
    files = [file for folder in sorted(folders) for file in sorted(folder.glob("*.py"))]
    return digest(*(file.read_text(encoding="utf-8") for file in files))


def digest(*parts: object) -> str:
    """A short name of texts."""
    return hashlib.sha256(json.dumps([VERSION, *map(str, parts)]).encode()).hexdigest()[:16]
