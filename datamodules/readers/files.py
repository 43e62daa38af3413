"""What official files hold: JSON records, one by one since all may be larger than the memory; text; XML; paths."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from vista.damage import looks_like, unreadable
from vista.data import InputError

CHUNK = 1 << 22  # characters read at once; much longer than any one record
LONGEST = 1 << 20  # characters of a text in a record at most
BETWEEN = re.compile(r"[\s,]*")


def json_lines(path: Path, source: str = "") -> Iterator[object]:
    """The records of a file with one JSON value a line.

    Args:
        path: the file.
        source: an address where it is to be had, for messages.

    Raises:
        InputError: a line is no JSON, or there is none.
    """
    empty = True
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                empty = False
                try:
                    yield json.loads(line)
                except (ValueError, RecursionError) as error:  # of the syntax, or of the encoding
                    raise unreadable(
                        path, "JSON lines", f"line {number}: {error}", source
                    ) from error
    if empty:
        raise unreadable(path, "JSON lines", source=source)


def json_items(path: Path, source: str = "") -> Iterator[object]:
    """The items of a file that is one JSON list of records.

    Args:
        path: the file.
        source: an address where it is to be had, for messages.

    Raises:
        InputError: the file is no such list.
    """
    try:
        yield from _items(path)
    except (ValueError, RecursionError) as error:  # of the syntax, or of the encoding
        raise unreadable(path, "JSON list", error, source) from error


def _items(path: Path) -> Iterator[object]:
    decoder = json.JSONDecoder()
    with path.open(encoding="utf-8-sig") as stream:
        text = stream.read(CHUNK)
        if not text.lstrip().startswith("["):
            raise ValueError("it does not begin with a bracket")
        start = text.index("[") + 1
        if text[start:].strip() == "]":
            raise ValueError("it holds nothing")
        while True:
            start = BETWEEN.match(text, start).end()  # type: ignore[union-attr]
            if text.startswith("]", start):
                return
            try:
                item, start = decoder.raw_decode(text, start)
            except json.JSONDecodeError as error:
                # The item ends in a later chunk, or nowhere; what is wrong far before the end stays wrong.
                more = "" if len(text) - error.pos > LONGEST else stream.read(CHUNK)
                if not more:
                    raise
                text, start = text[start:] + more, 0
                continue
            yield item


def read_text(path: Path, source: str = "") -> str:
    """The content of a text file; an InputError where it is none."""
    if looks_like(path, "text"):
        raise unreadable(path, "text", source=source)
    try:
        return path.read_text(encoding="utf-8-sig")
    except ValueError as error:  # of the encoding
        raise unreadable(path, "text", error, source) from error


def read_xml(path: Path, source: str = "") -> ET.Element:
    """The root of an XML file; an InputError where it is none."""
    try:
        root = ET.parse(path).getroot()
        if root.tag.lower() == "html":
            raise ValueError("it is a page")
        return root
    except (ET.ParseError, ValueError) as error:  # of the syntax, or of the encoding
        raise unreadable(path, "XML", error, source) from error


def inside(path: str) -> str:
    """A relative path with forward slashes, if it stays below the data root.

    Raises:
        InputError: it, or a part of it, is absolute or climbs out.
    """
    # A backslash or a colon in second place is a way out on Windows only; no dataset has either in a name.
    if "\\" in path or path[1:2] == ":" or not {"", ".."}.isdisjoint(path.split("/")):
        raise InputError(f"the image path {path!r} leads out of the data root")
    if "\0" in path:
        raise InputError(f"the image path {path!r} holds a zero byte")
    return path
