"""How the world's files get onto the disk: images, long JSON documents in pieces, whole folders at once.

Workers make pieces of JSON text and the main process only joins them, so a document's bytes do not depend on who made
which piece.
"""

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

Record = dict[str, object]  # a JSON object
SETTINGS = "world.json"
UNFINISHED = "-unfinished-"  # in the name of a folder; whoever finds one removes it
INFO: Record = {
    "description": "Generated world of coloured shapes",
    "version": "1.0",
    "year": 2024,
    "url": "",
    "contributor": "",
    "date_created": "2024-01-01 00:00:00",
}
LICENSE: Record = {
    "url": "https://creativecommons.org/publicdomain/zero/1.0/",
    "id": 1,
    "name": "CC0 1.0",
}
# Noise hardly compresses: a higher level of PNG takes half as long again for a tenth less.
_OPTIONS = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95], ".png": [cv2.IMWRITE_PNG_COMPRESSION, 1]}


class WorldError(ValueError):
    """A sentence for people: this world cannot be written, and why."""


def save_image(path: Path, image: np.ndarray) -> None:
    """Writes an image, uint8 (H, W, 3) in RGB, as JPEG of quality 95, PNG or BMP; the folder must be there."""
    bgr = image[..., ::-1]
    options = _OPTIONS.get(path.suffix, [])
    # Not `cv2.imwrite`, which does not say why it could not write.
    path.write_bytes(cv2.imencode(path.suffix, bgr, options)[1].tobytes())


def json_lines(records: Iterable[object]) -> str:
    """Records as JSON, one a line."""
    return "\n".join(json.dumps(record) for record in records)


def write_document(
    path: Path,
    head: Mapping[str, object],
    lists: Mapping[str, Iterable[str]],
) -> None:
    """Writes one JSON object: the keys of `head`, then long lists given as pieces of `json_lines`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        file.write(json.dumps(head).removesuffix("}"))
        for name, pieces in lists.items():
            file.write(f', "{name}": {_json_list(pieces)}')
        file.write("}\n")


def write_list(path: Path, pieces: Iterable[str]) -> None:
    """Writes one JSON list, given as pieces of `json_lines`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{_json_list(pieces)}\n")


def _json_list(pieces: Iterable[str]) -> str:
    """One JSON list, an item a line."""
    items = [piece.replace("\n", ",\n") for piece in pieces if piece]
    body = ",\n".join(items)
    return f"[\n{body}\n]"


def write_object(path: Path, items: Iterable[tuple[object, str]]) -> None:
    """Writes one JSON object of many keys, given as keys and their values in JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = ",\n".join(f'"{key}": {value}' for key, value in items)
    path.write_text(f"{{\n{body}\n}}\n")


def write_lines(path: Path, pieces: Iterable[str]) -> None:
    """Writes JSON lines, given as pieces of `json_lines`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{piece}\n" for piece in pieces if piece))


def write_once(root: Path, settings: Record, write: Callable[[Path], None]) -> None:
    """Lets `write` fill a folder that becomes `root` only when it is complete.

    Returns at once where `root` already holds a world with the same settings (`world.json`, written last).

    Raises:
        WorldError: `root` holds a world with other settings, or other files.
    """
    root = root.absolute()
    if _is_written(root, settings):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f".{root.name}{UNFINISHED}", dir=root.parent
    ) as temporary:
        lock = os.open(temporary, os.O_RDONLY)  # a kill takes it away: see `vista/leftovers.py`
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_SH)
        # Not the temporary folder itself, which only its owner may read.
        unfinished = Path(temporary) / "world"
        unfinished.mkdir()
        write(unfinished)
        (unfinished / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n")
        try:
            os.rename(unfinished, root)
        except OSError:  # another process was faster
            if not _is_written(root, settings):
                raise
        finally:
            os.close(lock)


def _is_written(root: Path, settings: Record) -> bool:
    """Whether `root` holds this very world; False for a folder that is absent or empty."""
    path = root / SETTINGS
    if path.is_file():
        found = json.loads(path.read_text())
        if found == settings:
            return True
        differs = f"{root} holds a world of other settings, {found}, not {settings}"
        raise WorldError(f"{differs}: choose another root")
    if root.exists() and any(root.iterdir()):
        raise WorldError(f"{root} is not empty and holds no {SETTINGS}; choose another root")
    return False
