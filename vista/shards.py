"""Files inside files: a path that leads through a tar shard (webdataset's layout) names one of its members.

    load_image(Path("my_data/shards/train-000003.tar/0001.jpg"))
    names_in(Path("my_data/shards/train-000003.tar"))       # ["0001.jpg", "0001.json", ...]
    load_image(Path("groundingme/data/test-00000-of-00004.parquet/17"))     # the image of a row, see in_parquet.py

Where each member lies is looked up once and kept beside the shard, sorted and memory-mapped, so that any member is read
by itself: the order of training is that of files, and no process holds the names of millions of images.
"""

import io
import os
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from vista.errors import InputError, MissingFileError
from vista.in_parquet import image_of_row, num_rows
from vista.tar import members

ENDING, PARQUET = ".tar", ".parquet"
OUTER = re.compile(r"(?<=\.tar)/|(?<=\.parquet)/")
LARGEST = 1 << 28  # bytes of a member that is read: no image or record has more
FORM = "1"  # raise it when the same shard gives another index
SCHEMA = pa.schema([("name", pa.binary()), ("offset", pa.int64()), ("size", pa.int64())])


class Packed(io.BytesIO):
    """The content of a member, which messages name by its path and which opens as often as a file does."""

    def __init__(self, path: Path, content: bytes) -> None:
        super().__init__(content)
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def read_bytes(self) -> bytes:
        """All of it, as `Path.read_bytes`."""
        return self.getvalue()


def opened(path: Path) -> Path | Packed:
    """What Pillow and `read_bytes` take: a file by its path, a member of a shard by its content.

    Raises:
        InputError: the shard cannot be used, or the member is too large or was changed meanwhile.
    """
    led = through(str(path))
    if led is None:
        return path
    shard, name = led
    if shard.suffix == PARQUET:
        return Packed(path, image_of_row(shard, name))
    found = _index(shard).find(name)
    if found is None:
        raise MissingFileError(f"there is no {name} in the shard {shard}")
    offset, size = found
    if size > LARGEST:
        raise InputError(f"{path} has {size} bytes, more than {LARGEST}")
    with shard.open("rb") as stream:
        stream.seek(offset)
        content = stream.read(size)
    if len(content) < size:
        raise InputError(f"{shard} is cut short: {name} has no end; download or copy it again")
    return Packed(path, content)


def is_file(path: Path) -> bool:
    """Whether there is such a file, or such a member of a shard; an InputError where the shard cannot be used."""
    led = through(str(path))
    if led is None:
        return path.is_file()
    shard, name = led
    if shard.suffix == PARQUET:
        return name in _below(shard, "")
    return _index(shard).find(name) is not None


def names_in(folder: Path) -> list[str]:
    """The names of the files of a folder, which may be a shard or lie in one; none where it is not there.

    Raises:
        InputError: the shard cannot be used.
    """
    led = through(f"{folder}/")
    if led is None:
        return os.listdir(folder) if folder.is_dir() else []
    return [name for name in _below(*led) if "/" not in name]


def walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder from this one down and the names of its files, all sorted, as `os.walk`; see `names_in`."""
    led = through(f"{folder}/")
    if led is None:
        for place, folders, names in os.walk(folder):
            folders.sort()
            yield Path(place), sorted(names)
        return
    by_folder: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in _below(*led):
        *parents, file = name.split("/")
        by_folder[tuple(parents)].append(file)
    for parts, files in sorted(by_folder.items()):
        yield folder.joinpath(*parts), files


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, in the order of `walk`."""
    for place, names in walk(folder):
        yield from (place / name for name in names)


def through(path: str) -> tuple[Path, str] | None:
    """The shard that a path leads through, and the name of the member; None where it leads through none."""
    for match in OUTER.finditer(path):
        if os.path.isfile(path[: match.start()]):
            return Path(path[: match.start()]), path[match.end() :]
    return None


def _below(shard: Path, start: str) -> list[str]:
    """What follows `start` in the names of a shard that begin so, sorted."""
    if shard.suffix == PARQUET:
        return [] if start else [str(row) for row in range(num_rows(shard))]
    return [name.removeprefix(start) for name in _index(shard).below(start)]


class Index:
    """Where the members of a shard lie: a table sorted by name."""

    def __init__(self, table: pa.Table) -> None:
        self.table, self.names = table, table["name"].combine_chunks()

    def find(self, name: str) -> tuple[int, int] | None:
        """Offset and size of a member; None where there is none of this name."""
        key = _bytes(name)
        row = self._row(key)
        if row == len(self.names) or self.names[row].as_py() != key:
            return None
        return self.table["offset"][row].as_py(), self.table["size"][row].as_py()

    def below(self, start: str) -> Iterator[str]:
        """The names that begin so, sorted."""
        key = _bytes(start)
        for row in range(self._row(key), len(self.names)):
            name = self.names[row].as_py()
            if not name.startswith(key):
                return
            yield name.decode("utf-8", "surrogateescape")

    def _row(self, key: bytes) -> int:
        rows = range(len(self.names))
        return bisect_left(rows, key, key=lambda row: self.names[row].as_py())


def _index(shard: Path) -> Index:
    stat = os.stat(shard)
    return _made_once(shard.absolute(), f"{FORM} {stat.st_size} {stat.st_mtime_ns}")


@lru_cache(maxsize=4096)
def _made_once(shard: Path, stamp: str) -> Index:
    """The index of a shard, from the file beside it where that is of this stamp."""
    kept = shard.with_name(f"{shard.name}.index")
    with suppress(OSError, ValueError, KeyError):
        table = pa.ipc.open_file(pa.memory_map(str(kept))).read_all()
        if (table.schema.metadata or {})[b"stamp"] == stamp.encode():
            table.validate()
            return Index(table)
    found = sorted((_bytes(name), offset, size) for name, offset, size in members(shard))
    columns = [list(column) for column in zip(*found, strict=True)] or [[]] * len(SCHEMA)
    table = pa.table(columns, schema=SCHEMA.with_metadata({"stamp": stamp}))
    with suppress(OSError):  # where nothing can be written it stays in memory
        _keep(table, kept)
    return Index(table)


def _keep(table: pa.Table, file: Path) -> None:
    # Another process may be writing the same, and a file of the final name is always a whole one.
    part = file.with_name(f"{file.name}.{uuid4().hex}.part")
    try:
        with pa.ipc.new_file(str(part), table.schema) as writer:
            writer.write_table(table)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
