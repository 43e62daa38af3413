"""What official files hold: JSON records, one by one since all may be larger than the memory; paths below the root."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vista.data import InputError

CHUNK = 1 << 22  # characters read at once; much longer than any one record
BETWEEN = re.compile(r"[\s,]*")


def parse(text: str | bytes, what: str) -> Any:
    """A JSON value.

    Raises:
        InputError: it is none.
    """
    try:
        return json.loads(text)
    except ValueError as error:  # of the syntax, or of the encoding
        raise InputError(f"{what} is no JSON: {error}") from error


def json_lines(path: Path) -> Iterator[Any]:
    """The records of a file with one JSON value a line.

    Raises:
        InputError: a line is no JSON.
    """
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield parse(line, f"line {number} of {path}")


def json_items(path: Path) -> Iterator[Any]:
    """The items of a file that is one JSON list of records.

    Raises:
        InputError: the file is no such list.
    """
    decoder = json.JSONDecoder()
    with path.open(encoding="utf-8") as stream:
        text = stream.read(CHUNK)
        if not text.lstrip().startswith("["):
            raise InputError(f"{path} is no JSON list")
        start = text.index("[") + 1
        while True:
            start = BETWEEN.match(text, start).end()  # type: ignore[union-attr]
            if text.startswith("]", start):
                return
            try:
                item, start = decoder.raw_decode(text, start)
            except json.JSONDecodeError as error:
                # The item ends in a later chunk, or nowhere.
                more = stream.read(CHUNK)
                if not more:
                    raise InputError(f"{path} is no JSON: {error}") from error
                text, start = text[start:] + more, 0
                continue
            yield item


def inside(path: str) -> str:
    """A relative path with forward slashes, if it stays below the data root.

    Raises:
        InputError: it, or a part of it, is absolute or climbs out.
    """
    # A backslash or a colon in second place is a way out on Windows only; no dataset has either in a name.
    if "\\" in path or path[1:2] == ":" or not {"", ".."}.isdisjoint(path.split("/")):
        raise InputError(f"the image path {path!r} leads out of the data root")
    return path
