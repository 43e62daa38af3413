"""Groups of annotations of one image, those of each size in a file: millions of groups cost no memory.

    data/compiled/refcoco-train-8f3a.5d2c.groups/
        4            rows of four annotations that one encoder pass serves, int64: 0 1 2 3  7 8 9 15  ...
        1            those of an image that has no others
        about.json   how many groups of each size there are, and a checksum of all

A group is looked for in a window of neighbours, so that making the files takes as little memory as reading them. They
are made once for a compiled table and the choice of its rows, and all processes share them.
"""

import json
import os
import shutil
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4
from zlib import crc32

import numpy as np

from datamodules.by_image import in_groups, scene_numbers
from datamodules.compiled import Annotations
from vista.data import Annotation

WINDOW = 1 << 20  # annotations among which those of one image are brought together
ABOUT = "about.json"


class Rows(Protocol):
    """Groups of one size: an array int64 (G, size), or what stands for one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(G, size)."""

    def __getitem__(self, numbers: Any) -> np.ndarray:
        """Those of some numbers, int (N,) -> int64 (N, size)."""


@dataclass(frozen=True)
class Groups:
    """Indices in groups that stay together.

    Attributes:
        by_size: the groups of each size, in order of their first index.
        checksum: differs for other groups.
    """

    by_size: Mapping[int, Rows]
    checksum: int = 0

    def __len__(self) -> int:
        """How many indices there are."""
        return sum(size * rows.shape[0] for size, rows in self.by_size.items())


class RowFile:
    """Groups of one size in a file, of which only what is asked for is read."""

    def __init__(self, file: Path, size: int) -> None:
        """Open it.

        Raises:
            OSError: it is not there.
        """
        self._file, self._width = os.open(file, os.O_RDONLY), 8 * size
        weakref.finalize(self, os.close, self._file)
        self.shape = (file.stat().st_size // self._width, size)

    def __getitem__(self, numbers: np.ndarray) -> np.ndarray:
        # Not mapped into memory: the pages of a shuffle, which touches all, would count as this process's own.
        file, width = self._file, self._width
        found = [os.pread(file, width, number * width) for number in numbers.tolist()]
        return np.frombuffer(b"".join(found), dtype="<i8").reshape(len(found), self.shape[1])


def shared_images(annotations: Sequence[Annotation], most: int) -> Groups:
    """Groups of at most `most` annotations of the same images, so that one encoder pass serves them.

    Those of a list, or of a table whose folder cannot be written to, are kept in memory.
    """
    found = partial(windows, len(annotations), partial(scene_numbers, annotations), most)
    if not isinstance(annotations, Annotations):
        return in_memory(found())
    folder = _folder(annotations, most)
    with suppress(OSError, ValueError, KeyError):
        return opened(folder)
    try:
        write(folder, found())
        _remove_older(annotations.file)
        return opened(folder)
    except OSError:
        return in_memory(found())


def windows(
    length: int, scenes_of: Callable[[int, int], np.ndarray], most: int
) -> Iterator[np.ndarray]:
    """Groups of indices of the same scene, looked for in one window of neighbours after the other.

    Args:
        length: how many indices there are.
        scenes_of: start, stop -> the scenes of these indices, int (stop - start,).
        most: indices in a group.

    Yields:
        for each window and size the groups, int64 (G, size), in order of their first index.
    """
    for start in range(0, length, WINDOW):
        groups = in_groups(scenes_of(start, min(start + WINDOW, length)), most)
        sizes = np.diff(groups.starts)
        for size in np.unique(sizes).tolist():
            first = groups.starts[:-1][sizes == size]
            rows = start + groups.indices[first[:, np.newaxis] + np.arange(size)]
            yield rows[np.argsort(rows[:, 0])]


def in_memory(found: Iterator[np.ndarray]) -> Groups:
    """The groups of `windows` as arrays."""
    parts: dict[int, list[np.ndarray]] = {}
    checksum = 0
    for rows in found:
        parts.setdefault(rows.shape[1], []).append(rows)
        checksum = _checksum(rows, checksum)
    return Groups({size: np.concatenate(parts[size]) for size in sorted(parts)}, checksum)


def write(folder: Path, found: Iterator[np.ndarray]) -> None:
    """Write the groups of `windows` beside their place, and move them there when all are written.

    Raises:
        OSError: they cannot be written.
    """
    part = folder.with_name(f"{folder.name}.{uuid4().hex}.part")
    part.mkdir()
    try:
        counts: dict[int, int] = {}
        checksum = 0
        for rows in found:
            size = rows.shape[1]
            with (part / str(size)).open("ab") as file:
                file.write(rows.astype("<i8").tobytes())
            counts[size] = counts.get(size, 0) + len(rows)
            checksum = _checksum(rows, checksum)
        about = {"groups": dict(sorted(counts.items())), "checksum": checksum}
        (part / ABOUT).write_text(json.dumps(about))
        _move(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _move(part: Path, folder: Path) -> None:
    with suppress(OSError, ValueError, KeyError):
        opened(folder)
        return  # another process was first
    shutil.rmtree(folder, ignore_errors=True)  # it is not whole
    part.rename(folder)


def opened(folder: Path) -> Groups:
    """Groups in files.

    Raises:
        OSError, ValueError, KeyError: they are not there, or not whole.
    """
    about = json.loads((folder / ABOUT).read_text())
    by_size = {int(size): RowFile(folder / size, int(size)) for size in about["groups"]}
    if [rows.shape[0] for rows in by_size.values()] != list(about["groups"].values()):
        raise ValueError(f"{folder} is not whole")
    return Groups(by_size, about["checksum"])


def _checksum(rows: np.ndarray, before: int) -> int:
    return crc32(rows.astype("<i8").tobytes(), crc32(bytes(rows.shape[1]), before))


def _folder(annotations: Annotations, most: int) -> Path:
    """Where the groups of a table's annotations are kept; another table of the same name has others."""
    table = annotations.file.stat()
    about = [WINDOW, most, table.st_size, table.st_mtime_ns, len(annotations)]
    told = sha256(json.dumps(about).encode())
    if annotations.rows is not None:
        told.update(np.ascontiguousarray(annotations.rows).data)
    return annotations.file.with_suffix(f".{told.hexdigest()[:16]}.groups")


def _remove_older(table: Path) -> None:
    """Remove groups of a table that was there before, and what a killed process left of them."""
    for folder in table.parent.glob(f"{table.stem}.*.groups*"):
        if folder.stat().st_mtime_ns < table.stat().st_mtime_ns:
            shutil.rmtree(folder, ignore_errors=True)
