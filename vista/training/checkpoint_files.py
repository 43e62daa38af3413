"""Files and folders of checkpoints: written beside their place and moved there when they are whole; read without code.

last.ckpt                what is read; a file, or the folder of a sharded checkpoint
last.ckpt.sha256         of a file: its sum, as `sha256sum` writes and checks it
last.ckpt.unfinished     what is being written or removed
last.before.ckpt         a folder, for the moment between two moves: it is a checkpoint like any other
"""

import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import torch
from typing_extensions import Buffer

from vista.data import InputError

# Lightning's, with `vista`: the tokenizer and the settings of the text.
Checkpoint: TypeAlias = dict[str, Any]


def load(path: Path, needed: set[str], lazy: bool = False) -> Checkpoint:
    """A checkpoint, or a part of it, as `torch.save` wrote it, on the CPU; no code in it is run.

    Args:
        path: of the file.
        needed: what it must hold to be one of ours.
        lazy: leave the tensors on the disk until they are used.

    Raises:
        InputError: it is damaged, or something else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=lazy)
    except Exception as error:  # a damaged file may make the unpickler fail in any way
        # What the system does not open has a name; of a cut file, torch says "invalid argument" without one.
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise InputError(f"{path} is no checkpoint, or is damaged") from error
    if not isinstance(content, dict) or not needed <= content.keys():
        raise InputError(f"{path} is no checkpoint of VistaLLM")
    return content


def save(content: object, path: Path) -> str:
    """Write a file to the disk, so that it is there after a loss of power, too.

    Returns:
        Its SHA-256 in hexadecimal digits.

    Raises:
        OSError: it cannot be written.
    """
    with disk_errors(), _SummedFile(path) as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    return file.sha256.hexdigest()


class _SummedFile(io.BufferedWriter):
    """A file that is summed while it is written: torch writes it from its beginning to its end."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path, "w"))
        self.sha256 = hashlib.sha256()

    def write(self, data: Buffer) -> int:
        self.sha256.update(data)
        return super().write(data)


@contextmanager
def disk_errors() -> Iterator[None]:
    """Around `torch.save`, which trips over its own file's end and hides why it could not write.

    Raises:
        OSError: in the place of torch's RuntimeError.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def unfinished(path: Path) -> Path:
    """Where a checkpoint is while it is written."""
    return path.with_name(f"{path.name}.unfinished")


def sum_file(path: Path) -> Path:
    """Where the sum of a checkpoint's file is kept."""
    return path.with_name(f"{path.name}.sha256")


def write_sum(digest: str, path: Path) -> None:
    """Keep the sum of a file that is about to be moved to `path`, in the place where an unfinished one is."""
    unfinished(sum_file(path)).write_text(f"{digest}  {path.name}\n")


def check_sum(path: Path) -> None:
    """Compare a file with its sum; one without a sum, such as a copy of the file alone, is taken as it is.

    Raises:
        InputError: they differ.
    """
    kept = sum_file(path)
    if not kept.is_file():
        return
    if kept.read_text(errors="replace").partition(" ")[0] != sum_of(path):
        raise InputError(
            f"{path} is damaged: its sum is not that in {kept.name}; if you have replaced it, remove {kept}"
        )


def sum_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits; computed once, as long as the file is not changed."""
    stat = path.stat()
    return _sum(path, stat.st_size, stat.st_mtime_ns)


@lru_cache
def _sum(path: Path, size: int, changed: int) -> str:
    """SHA-256 of a file; its size and last change (ns) say whether it is still the one that was summed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def move_file(path: Path) -> None:
    """Put what is beside a file's place there, with its sum; a file never stands beside the sum of another."""
    sum_file(path).unlink(missing_ok=True)
    unfinished(path).replace(path)
    if unfinished(sum_file(path)).exists():
        unfinished(sum_file(path)).replace(sum_file(path))


def move_folder(path: Path) -> None:
    """Put what is beside a folder's place there; at every moment one of the two is there as a `*.ckpt`."""
    before = path.with_name(f"{path.stem}.before.ckpt")
    if path.exists():
        remove(before)
        path.replace(before)
    unfinished(path).replace(path)
    remove(before)


def remove(path: Path) -> None:
    """Take a checkpoint away, if it is there; half of a folder is never left under its name."""
    sum_file(path).unlink(missing_ok=True)
    if path.is_dir():
        discard(unfinished(path))
        path.replace(unfinished(path))
        discard(unfinished(path))
    else:
        path.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Take away what is not finished, file or folder, as far as it can be."""
    shutil.rmtree(path, ignore_errors=True)
    if path.is_file():
        path.unlink(missing_ok=True)
