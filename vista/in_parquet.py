"""Images in a column of a Parquet file, as data sets on the Hugging Face hub hold them: `{"bytes": ..., "path": ...}`.

A row is read with its group of rows, some hundred of them, and the group that was read last is kept.
"""

import os
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from vista.damage import unreadable
from vista.errors import InputError, MissingFileError

COLUMN = "image.bytes"


def num_rows(path: Path) -> int:
    """How many images there are.

    Raises:
        InputError: it is no such file.
    """
    return sum(_groups(path, os.stat(path).st_mtime_ns))


def image_of_row(path: Path, name: str) -> bytes:
    """The file of the image in a row, which is named by its number.

    Raises:
        InputError: there is no such row, it has no image, or the file is none of Parquet.
    """
    stamp = os.stat(path).st_mtime_ns
    row = int(name) if name.isdecimal() and len(name) < 10 else -1
    for group, length in enumerate(_groups(path, stamp)):
        if 0 <= row < length:
            content: bytes | None = _group(path, group, stamp)[row].as_py()
            if content is None:
                raise InputError(f"row {name} of {path} holds no image, only its name")
            return content
        row -= length
    raise MissingFileError(f"there is no row {name} in {path}")


@lru_cache(maxsize=64)
def _groups(path: Path, stamp: int) -> list[int]:
    """The number of rows of each group of a file with this time of change."""
    try:
        about = parquet.ParquetFile(path).metadata
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, "parquet file", str(error).split(". ")[0]) from error
    return [about.row_group(group).num_rows for group in range(about.num_row_groups)]


@lru_cache(maxsize=1)
def _group(path: Path, group: int, stamp: int) -> pa.ChunkedArray:
    """The images of a group of rows."""
    try:
        table = parquet.ParquetFile(path).read_row_group(group, columns=[COLUMN])
        return table["image"].combine_chunks().field("bytes")
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(f"{path} has no images in a column {COLUMN!r}: {error}") from error
