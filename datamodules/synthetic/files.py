"""How the world's files get onto the disk: images, long JSON documents in pieces, whole folders at once.

Workers make pieces of JSON text and the main process only joins them, so a document's bytes do not depend on who made
which piece.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SETTINGS = "world.json"
_COMMON: dict[str, Any] = {
    "description": "Generated world of coloured shapes",
    "version": "1.0",
    "year": 2024,
}
INFO = {**_COMMON, "url": "", "contributor": "", "date_created": "2024-01-01 00:00:00"}
_OPTIONS = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95], ".png": [cv2.IMWRITE_PNG_COMPRESSION, 3]}
LICENSE = {"url": "https://creativecommons.org/publicdomain/zero/1.0/", "id": 1, "name": "CC0 1.0"}


class WorldError(ValueError):
    """A sentence for people: this world cannot be written, and why."""


def save_image(path: Path, image: np.ndarray) -> None:
    """Writes an image, uint8 (H, W, 3) in RGB, as JPEG of quality 95, PNG or BMP; the folder must be there."""
    if not cv2.imwrite(str(path), image[..., ::-1], _OPTIONS.get(path.suffix, [])):
        raise OSError(f"could not write the image {path}")


def json_lines(records: Iterable[Any]) -> str:
    """Records as JSON, one a line."""
    return "\n".join(json.dumps(record) for record in records)


def write_document(path: Path, head: dict[str, Any], lists: dict[str, list[str]]) -> None:
    """Writes one JSON object: the keys of `head`, then long lists given as pieces of `json_lines`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        file.write(json.dumps(head).removesuffix("}"))
        for name, pieces in lists.items():
            body = ",\n".join(piece.replace("\n", ",\n") for piece in pieces if piece)
            file.write(f', "{name}": [\n{body}\n]')
        file.write("}\n")


def write_list(path: Path, pieces: Iterable[str]) -> None:
    """Writes one JSON list, given as pieces of `json_lines`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "[\n" + ",\n".join(piece.replace("\n", ",\n") for piece in pieces if piece) + "\n]\n"
    )


def write_object(path: Path, items: Iterable[tuple[object, str]]) -> None:
    """Writes one JSON object of many keys, given as keys and their values in JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(f'"{key}": {value}' for key, value in items) + "\n}\n")


def write_lines(path: Path, pieces: Iterable[str]) -> None:
    """Writes JSON lines, given as pieces of `json_lines`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{piece}\n" for piece in pieces if piece))


def write_once(root: Path, settings: dict[str, Any], write: Callable[[Path], None]) -> None:
    """Lets `write` fill a folder that becomes `root` only when it is complete.

    Returns at once where `root` already holds a world with the same settings (`world.json`, written last).

    Raises:
        WorldError: `root` holds a world with other settings, or other files.
    """
    root = root.absolute()
    if _is_written(root, settings):
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as temporary:
        unfinished = (
            Path(temporary) / "world"
        )  # not the folder itself, which only its owner may read
        unfinished.mkdir()
        write(unfinished)
        (unfinished / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n")
        try:
            os.rename(unfinished, root)
        except OSError:  # another process was faster
            if not _is_written(root, settings):
                raise


def _is_written(root: Path, settings: dict[str, Any]) -> bool:
    """Whether `root` holds this very world; False for a folder that is absent or empty."""
    path = root / SETTINGS
    if path.is_file():
        found = json.loads(path.read_text())
        if found != settings:
            raise WorldError(
                f"{root} holds a world of other settings, {found}, not {settings}: choose another root"
            )
        return True
    if root.exists() and any(root.iterdir()):
        raise WorldError(f"{root} is not empty and holds no {SETTINGS}; choose another root")
    return False
