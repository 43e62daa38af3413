"""What a file that cannot be read looks like, in a sentence for people: a Git LFS pointer, a web page, a cut file.

raise unreadable(path, "JSON", error, "https://cocodataset.org/#download")
# InputError: data/coco/annotations/captions_val2017.json is no JSON: it looks like a Git LFS pointer, which stands
# for the file; fetch the file itself by `git lfs pull` in the copy's repository, or see https://...
"""

import json
import re
from pathlib import Path
from typing import Any

from vista.errors import InputError, MissingFileError

HEAD, TAIL = 1 << 16, 64  # bytes looked at
POINTER = "a Git LFS pointer, which stands for the file"
PAGE, CUT, EMPTY = "a web page", "a file that is cut short", "an empty file"
# How a file begins, and what it then looks like; an image, a pickle or XML only where none was wanted.
KINDS = (
    (rb"\s*\Z", EMPTY),
    (rb"\0+\Z", "a file of zeros, a download that never came"),
    (rb"version https://git-lfs\.github\.com/spec/", POINTER),
    (rb"(?:\.\./)*(?:\.git)?/annex/objects/", "a git-annex pointer, which stands for the file"),
    (rb"(?i)\s*(?:<!--[^>]*>\s*)*<(?:!doctype\s+html|html|head|body)\b", PAGE),
    (rb"PK\x03\x04", "a zip archive"),
    (rb"\x1f\x8b", "a gzip archive"),
    (rb"BZh[0-9]", "a bzip2 archive"),
    (rb"\xfd7zXZ\0", "an xz archive"),
    (rb"7z\xbc\xaf", "a 7z archive"),
    (rb"Rar!", "a rar archive"),
    (rb"\x28\xb5\x2f\xfd", "a zstd archive"),
    (rb"(?s).{257}ustar", "a tar archive"),
    (rb"\x89PNG", "a PNG image"),
    (rb"\xff\xd8\xff", "a JPEG image"),
    (rb"%PDF", "a PDF document"),
    (rb"\x89HDF", "an HDF5 file"),
    (rb"ARROW1", "an Arrow file"),
    (rb"PAR1", "a Parquet file"),
    (rb"SQLite format 3", "an SQLite data base"),
    (rb"\x80[\x01-\x05]", "a pickle"),
    (rb"(?:\xef\xbb\xbf)?\s*<\?xml", "an XML document, perhaps a server's message"),
)
# How a sound file of a kind begins, and its last letter.
SOUND = {
    "pickle": (rb"\x80[\x01-\x05]|\([ld]|[\]}]q", b"."),
    "XML": (rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|[A-Za-z])", b">"),
}
JSON_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*([\[{])")


def unreadable(path: Path, wanted: str, error: object = "", source: str = "") -> InputError:
    """The error for a file that is not what it should be.

    Args:
        path: the file.
        wanted: what it should be: `JSON`, `JSON lines`, `JSON list`, `pickle`, `XML`, `text`, `image`.
        error: what the library said, or what else is known.
        source: an address where the file is to be had.
    """
    found = looks_like(path, wanted)
    said = f" ({error})" if str(error) and found in ("", CUT) else ""
    seems = f": it looks like {found}" if found else ""
    return InputError(f"{path} is no {wanted}{seems}{said}; {advice(found, source)}")


def looks_like(path: Path, wanted: str = "") -> str:
    """What a file seems to be, judged by its first and last bytes; empty where nothing strikes.

    Args:
        path: the file.
        wanted: what it should be, see `unreadable`; a sound beginning of that is a file that is cut short.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD)
        size = stream.seek(0, 2)
        stream.seek(max(0, size - TAIL))
        tail = stream.read()
    found = _other_kind(head, wanted) or _json_kind(head, tail, wanted)
    if found or wanted in ("text", "image"):
        return found
    start, last = SOUND.get(wanted, (JSON_START.pattern, b""))
    if re.match(start, head):
        return "" if tail.rstrip().endswith(last) else CUT
    first = head.decode("utf-8", errors="replace").split("\n")[0]
    return "" if b"\0" in head else f"a text that begins with {first[:60]!r}"


def _other_kind(head: bytes, wanted: str) -> str:
    """What the first bytes say of a file of another kind than was wanted."""
    for start, name in KINDS:
        is_wanted = bool(wanted) and wanted in name.split(",")[0].split()
        if not is_wanted and re.match(start, head):
            return name
    return ""


def _json_kind(head: bytes, tail: bytes, wanted: str) -> str:
    """What JSON of another layout, or half of it, says."""
    start = JSON_START.match(head)
    if start is None or wanted in ("text", "image"):
        return ""
    if not wanted.startswith("JSON"):
        return "" if wanted in SOUND and re.match(SOUND[wanted][0], head) else "JSON"
    if _is_lines(head):
        if wanted != "JSON lines":
            return "JSON lines, one record a line"
        return "" if tail.rstrip().endswith(b"}") else CUT
    is_list = start[1] == b"["
    if tail.rstrip()[-1:] != (b"]" if is_list else b"}"):
        return CUT
    if wanted == "JSON lines" or (wanted == "JSON list" and not is_list):
        return "one JSON list" if is_list else "one JSON document"
    return ""


def _is_lines(head: bytes) -> bool:
    """Whether the first two lines are a JSON object each."""
    lines = [line for line in head.split(b"\n") if line.strip()][:2]
    try:
        return len(lines) == 2 and all(isinstance(json.loads(line), dict) for line in lines)
    except ValueError:
        return False
    except RecursionError:  # of brackets without end
        return all(line.lstrip().startswith(b"{") for line in lines)


def advice(found: str, source: str) -> str:
    """What to do about a file that looks like this; where it is to be had, if that is known."""
    see = f", or see {source}" if source else ""
    if "pointer" in found:
        return f"fetch the file itself by `git lfs pull` (`git annex get`) in its repository{see}"
    if "archive" in found:
        return f"unpack it{see}"
    see = f", see {source}" if source else ""
    if found == PAGE:
        return f"a page was saved in its place, perhaps of a login or a licence: download the file itself{see}"
    if found in (CUT, EMPTY) or "zeros" in found:
        return f"download it again{see}"
    return f"put the official file in its place{see}"


def contents(path: Path) -> bytes:
    """All bytes of a file.

    Raises:
        MissingFileError: it is not there.
        InputError: it is a folder, or cannot be opened.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise MissingFileError(f"there is no file {path}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def read_json(path: Path, source: str = "") -> Any:
    """The content of a JSON file.

    Args:
        path: the file.
        source: an address where it is to be had, for the message.

    Raises:
        MissingFileError: it is not there.
        InputError: it is no JSON; says what it looks like.
    """
    data = contents(path)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:  # of the syntax, or of brackets without end
        raise unreadable(path, "JSON", error, source) from error
