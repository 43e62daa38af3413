"""Annotations in a memory-mapped Arrow table, compiled once: millions of them cost no Python objects and no reading.

    record    '["1234", ["coco/train2017/000000000009.jpg"], [[480, 640]], "the man on the left", ...]'
    scene     7
    images    [b"coco/train2017/000000000009.jpg"]
    names     [[b"coco 9"]]

A record is an `Annotation` in JSON, field by field. `scene` numbers its images in order of first occurrence; `images`
and the `names` of their photographs stand in the first annotation of a scene only, see `datamodules.pictures`.
A last, empty record batch says what the table was made of: the records left out, and the stamps of the files.
"""

import gc
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Protocol, overload
from uuid import uuid4

import numpy as np
import pyarrow as pa

from datamodules.readers.reader import Stamp, stamp
from vista.data import Annotation, InputError, annotation_from_json, annotation_to_json

VERSION = 5  # raise it when the same annotations give another table
SCHEMA = pa.schema(
    [
        ("record", pa.large_string()),
        ("scene", pa.int32()),
        ("images", pa.list_(pa.binary())),
        ("names", pa.list_(pa.list_(pa.binary()))),
    ]
)
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
        table: the columns of the whole file.

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
        self.table, self._records = table, table["record"]
        _, metadata = reader.get_batch_with_custom_metadata(reader.num_record_batches - 1)
        about = json.loads((metadata or {})["about"])
        self.problems = [(key, why) for key, why in about["problems"]]
        self._watched = about["watched"]

    # A loader process gets the path, not the table: it maps the same pages.
    def __reduce__(self) -> tuple[type["Annotations"], tuple[Path, np.ndarray | None]]:
        return Annotations, (self.file, self.rows)

    def __len__(self) -> int:
        return len(self._records) if self.rows is None else len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Annotation: ...

    @overload
    def __getitem__(self, index: slice) -> list[Annotation]: ...

    def __getitem__(self, index: int | slice) -> Annotation | list[Annotation]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = int(index if self.rows is None else self.rows[index])
        return annotation_from_json(self._records[row].as_py())

    def select(self, rows: np.ndarray) -> "Annotations":
        """Some of them, in the order of `rows`, int (N,)."""
        return Annotations(self.file, rows if self.rows is None else self.rows[rows])

    def unchanged(self) -> bool:
        """Whether the files that it was made of are as they were; False where they are not known."""
        for path, was in self._watched.items():
            now = stamp(path)
            if was != (now and list(now)):
                return False
        return bool(self._watched)


def compiled(folder: Path, name: str, origin: Origin) -> Annotations:
    """The compiled annotations of an origin, made anew where they are missing, damaged or older than its files.

    Args:
        folder: where compiled annotations are kept.
        name: of the file; it must tell apart all that is not in the origin's files: code, settings.
        origin: is only read where it must be.

    Raises:
        ValueError: an annotation would not come back from JSON as it is.
        InputError: the folder cannot be written to, or its disk is full.
    """
    file = folder / f"{name}.arrow"
    with suppress(OSError, ValueError, KeyError):
        found = Annotations(file)
        if found.unchanged():
            return found
    # Another process may be writing the same, and a file of the final name is always a whole one.
    part = folder / f"{name}.{uuid4().hex}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write(part, origin)
        part.replace(file)
    except OSError as error:
        # What the origin could not read has a name of its own; a full disk comes with a number alone.
        ours = error.errno is not None and error.filename in (None, str(part), str(folder))
        if not ours or isinstance(error, InputError):
            raise
        what = f"annotations cannot be compiled into {folder} ({error.strerror or error})"
        advice = "free some space, or name another folder by --data.cache"
        raise InputError(f"{what}; {advice}") from error
    finally:
        with suppress(OSError):
            part.unlink()
    return Annotations(file)


def write(file: Path, origin: Origin) -> None:
    """Write the table of an origin's annotations."""
    scenes: dict[tuple[str, ...], int] = {}
    rows = ((annotation_to_json(each), *picture(each, scenes)) for each in origin)
    # Millions of new objects, none of them garbage: collecting would double the time.
    gc.disable()
    try:
        with pa.ipc.new_file(str(file), SCHEMA) as writer:
            while some := list(islice(rows, ROWS)):
                columns = [list(column) for column in zip(*some, strict=True)]
                writer.write_batch(pa.record_batch(columns, schema=SCHEMA))
            # Only now are they known: a pass over the origin sets them.
            about = json.dumps({"problems": origin.problems, "watched": origin.watched})
            empty = pa.record_batch([[]] * len(SCHEMA), schema=SCHEMA)
            writer.write_batch(empty, custom_metadata={"about": about})
    finally:
        gc.enable()


def picture(
    annotation: Annotation, scenes: dict[tuple[str, ...], int]
) -> tuple[int, list[bytes], list[list[bytes]]]:
    """The columns `scene`, `images` and `names` of an annotation; `scenes` numbers those so far.

    An image of whose photograph the reader says nothing is called by its path.
    """
    known, images = len(scenes), annotation.images
    scene = scenes.setdefault(images, known)
    if scene < known:
        return scene, [], []
    photos = annotation.photos or ((),) * len(images)
    named = [names or (image,) for image, names in zip(images, photos, strict=True)]
    return scene, list(map(encode, images)), [list(map(encode, names)) for names in named]


def encode(text: str) -> bytes:
    """A path in bytes, also one that is not in Unicode."""
    return text.encode("utf-8", "surrogatepass")


def decode(text: bytes) -> str:
    """The inverse of `encode`."""
    return text.decode("utf-8", "surrogatepass")
