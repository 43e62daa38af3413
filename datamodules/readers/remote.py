"""What a setting of own data names: a path, `shards/train-{000000..000011}.tar` for several, or addresses of the same.

Files behind addresses are copied below the data root once, and are files from then on: any of their members is read by
itself, in the order of the run, also without a network.
"""

import re
import shutil
import urllib.error
import urllib.request
from http.client import HTTPException
from itertools import product
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from datamodules.readers.files import inside
from vista.data import InputError
from vista.full_disk import full_disk_named
from vista.shards import ENDING
from vista.tar import members

RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MOST = 100_000  # files that one setting names
ADDRESS = ("https://", "http://")
COPIES = "fetched"  # folder below the data root
TIMEOUT = 60.0  # seconds without a byte


def paths(root: Path, setting: str) -> list[str]:
    """The paths below the root that a setting names; addresses are copied there first.

    Raises:
        InputError: a range has no number in it, a path leads out of the root, or an address does not give its file.
    """
    found = expand(setting)
    if setting.startswith(ADDRESS):
        return [fetched(root, address) for address in found]
    return [inside(path) for path in found]


def expand(setting: str) -> list[str]:
    """`a-{08..10}.tar` is a-08.tar, a-09.tar and a-10.tar; several ranges give all combinations.

    Raises:
        InputError: a range is empty, or there are too many paths.
    """
    match = RANGE.search(setting)
    if match is None:
        return [setting]
    first, last = int(match[1][:18]), int(match[2][:18])
    if not 0 <= last - first < MOST:
        raise InputError(f"the range {match[0]} in {setting!r} has no number, or above {MOST}")
    width = len(match[1])
    rest = expand(setting[match.end() :])
    if len(rest) * (last - first + 1) > MOST:
        raise InputError(f"{setting!r} names more than {MOST} files")
    start = setting[: match.start()]
    pairs = product(range(first, last + 1), rest)
    return [f"{start}{number:0{width}}{end}" for number, end in pairs]


def fetched(root: Path, address: str) -> str:
    """The path below the root of the copy of a shard, made where it is not there.

    Raises:
        InputError: it cannot be had, does not come whole, or is no shard that can be used.
    """
    parts = urlsplit(address)
    path = inside(f"{COPIES}/{parts.hostname}{unquote(parts.path)}")
    shown = f"{parts.scheme}://{parts.hostname}{parts.path}"  # no password, no key
    file = root / path
    if not path.endswith(ENDING):
        raise InputError(f"{shown} is no shard; addresses end in {ENDING}")
    if file.is_file():
        return path
    part = file.with_name(f"{file.name}.{uuid4().hex}.part")
    try:
        with full_disk_named(root, "name a data root with more room by --data.root"):
            file.parent.mkdir(parents=True, exist_ok=True)
            _copy(address, shown, part)
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    try:
        for _ in members(file):
            pass
    except InputError:
        file.unlink()  # else it would be taken for a copy that is there
        raise
    return path


def _copy(address: str, shown: str, part: Path) -> None:
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as reply, part.open("wb") as stream:
            shutil.copyfileobj(reply, stream, 1 << 20)
            length = reply.headers.get("Content-Length", "")
            if length.isdecimal() and int(length) != stream.tell():
                raise InputError(f"{shown} broke off after {stream.tell()} of {length} bytes")
    except urllib.error.HTTPError as error:
        raise InputError(f"{shown} answers {error.code}") from error
    except (urllib.error.URLError, TimeoutError, ConnectionError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise InputError(
            f"{shown} cannot be had ({reason}); download it and name the file"
        ) from error
