"""What lies where in a tar archive: its plain files by name, with the place of the first byte and the number of bytes.

    [Member(name="0001.jpg", offset=1536, size=20480), ...] = members(Path("photos.tar"))

Archives come from outside. Python's own `tarfile` ends without a word at a damaged header and follows links; here what
is not plain and whole is refused in one sentence, and nothing is ever unpacked.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vista.damage import unreadable
from vista.errors import InputError

BLOCK = 512  # bytes: all in an archive begins at a multiple of it
LONGEST = 1 << 16  # bytes of the header of a header, which holds a long name
PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
LINKS = (tarfile.LNKTYPE, tarfile.SYMTYPE)
# Headers of the next header: a long name, or keys and values of the POSIX form.
LONG_NAME, POSIX_KEYS = tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE
PASSED_BY = (tarfile.DIRTYPE, tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE)


class Member(NamedTuple):
    """A plain file of an archive.

    Attributes:
        name: its path there, with forward slashes.
        offset: of its first byte.
        size: in bytes.
    """

    name: str
    offset: int
    size: int


def members(path: Path) -> Iterator[Member]:
    """The plain files of an archive, in its order.

    Raises:
        InputError: it is no archive, is damaged or cut short, or holds a link, a device, a sparse file, a name twice or
            one that leads out.
    """
    seen = set[str]()
    with path.open("rb") as stream:
        for info, offset, keys in _headers(path, stream):
            name = keys.get("path", info.name).removeprefix("./")
            if info.type in LINKS:
                raise refused(path, f"its member {name!r} is a link")
            if info.type not in PLAIN or any(key.startswith("GNU.sparse") for key in keys):
                raise refused(path, f"its member {name!r} is no plain file")
            if "\\" in name or "\0" in name or not {"", ".."}.isdisjoint(name.split("/")):
                raise refused(path, f"the name of its member {name!r} leads out of it")
            if name in seen:
                raise refused(path, f"its member {name!r} stands twice in it")
            seen.add(name)
            yield Member(name, offset, info.size)


def refused(path: Path, why: str) -> InputError:
    """The error for an archive that cannot be used."""
    return InputError(f"{path} cannot be used: {why}; pack the files themselves anew, each once")


def _headers(path: Path, stream: BinaryIO) -> Iterator[tuple[tarfile.TarInfo, int, dict[str, str]]]:
    """The header of each member but folders, the offset of its content, and what the headers before it say of it."""
    length, place = stream.seek(0, 2), 0
    keys: dict[str, str] = {}
    while True:
        stream.seek(place)
        head = stream.read(BLOCK)
        if not head.strip(b"\0") and len(head) == BLOCK:
            return
        if len(head) < BLOCK and place:
            raise _cut(path)
        info = _header(path, head, place)
        info.size = _number(path, keys.get("size", str(info.size)))
        content = place + BLOCK
        place = content + -(-info.size // BLOCK) * BLOCK
        if place > length:
            raise _cut(path)
        if info.type in (LONG_NAME, POSIX_KEYS):
            if info.size > LONGEST:
                raise refused(path, f"a name in it has {info.size} bytes")
            keys |= _said(path, info.type, stream.read(info.size))
        elif info.type not in PASSED_BY:
            yield info, content, keys
            keys = {}
        elif info.type == tarfile.DIRTYPE:
            keys = {}


def _header(path: Path, head: bytes, place: int) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        if place == 0:
            raise unreadable(path, "tar archive", error) from error
        raise refused(path, f"it is damaged at byte {place} ({error})") from error


def _number(path: Path, text: str) -> int:
    """A size; the POSIX form writes one that is too long for a header beside it."""
    if not text.isdecimal() or len(text) > 18:
        raise refused(path, f"a member of it has {text!r} bytes")
    return int(text)


def _said(path: Path, kind: bytes, content: bytes) -> dict[str, str]:
    """What a header says of the next one: lines `20 path=photos/1.jpg` in the POSIX form, or a name alone."""
    if kind == LONG_NAME:
        return {"path": content.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    keys = {}
    while content:
        digits, _, _ = content.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 8 else 0
        key, equals, value = content[len(digits) + 1 : length].partition(b"=")
        if not equals or not value.endswith(b"\n") or length > len(content):
            raise refused(path, "what it says of one of its names is damaged")
        keys[key.decode("utf-8", "replace")] = value[:-1].decode("utf-8", "surrogateescape")
        content = content[length:]
    return keys


def _cut(path: Path) -> InputError:
    return InputError(f"{path} is cut short: it has no end; download or copy it again")
