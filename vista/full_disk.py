"""A full disk: which folder has no room, and what to do then."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vista.data import InputError

FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk is full, or that its owner has used their share."""
    return isinstance(error, OSError) and error.errno in FULL


@contextmanager
def full_disk_named(folder: Path, advice: str) -> Iterator[None]:
    """Around what writes into a folder.

    Raises:
        InputError: names the folder whose disk is full, which the system does not.
    """
    try:
        yield
    except OSError as error:
        if not is_full(error):
            raise
        raise InputError(f"the disk of {folder} is full; {advice}") from error
