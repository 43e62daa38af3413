"""Files of Apache Parquet -> records, one batch of rows at a time, and only the columns that are asked for."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow
from pyarrow import parquet

from vista.damage import unreadable


def parquet_records(path: Path, columns: Sequence[str], source: str = "") -> Iterator[object]:
    """The rows of a file as records.

    Args:
        path: the file.
        columns: which are read, as far as they are there; pictures may lie in the others.
        source: an address where the file is to be had, for messages.

    Raises:
        InputError: it is no such file.
    """
    try:
        file = parquet.ParquetFile(path)
        there = [name for name in columns if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=there, batch_size=1024):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise unreadable(path, "parquet file", str(error).split(". ")[0], source) from error
