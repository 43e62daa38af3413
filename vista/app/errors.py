"""What the command line says when a run ends early: one sentence where a person can help, else the traceback.

error                                   what is printed
InputError                              `error: ` and its sentence
a full disk, a file without permission  `error: ` and what the system says, with the file's name
the end of another process              `error: ` and which one was lost, see `vista/app/processes.py`
SampleError                             `error: ` and its sentence (task, source, annotation, file), the traceback
any other                               the traceback alone: it is a fault of code
"""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from vista.data import InputError, SampleError
from vista.full_disk import is_full
from vista.printable import say

FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
# What gloo and NCCL say in a process whose neighbour is gone.
LEFT_ALONE = (
    "Connection closed by peer", "Connection reset by peer", "remote process exited", "got 0 bytes", "Broken pipe",
)  # fmt: skip


@contextmanager
def told_in_one_sentence() -> Iterator[None]:
    """Print what can be said to a person, and end with status 2 unless there is a fault of code to be shown."""
    try:
        yield
    except Exception as error:
        text = sentence(error)
        if text:
            say(f"error: {text}", file=sys.stderr)
        if not text or isinstance(error, SampleError):
            raise
        sys.exit(2)


@contextmanager
def settings_blamed() -> Iterator[None]:
    """Around what a library makes of settings alone: its complaint is then about a setting, so it is for a person.

    Raises:
        InputError: in the place of the library's ValueError.
    """
    try:
        yield
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error)) from error


def sentence(error: Exception) -> str:
    """What is said to a person, on one line; empty where there is nothing but the traceback."""
    if isinstance(error, InputError | SampleError):
        return _one_line(error)
    if isinstance(error, OSError) and is_full(error):
        where = f", {error.filename} cannot be written" if error.filename else ""
        return f"the disk is full{where}; free some space and begin again"
    if isinstance(error, OSError) and error.errno in FORBIDDEN and error.filename is not None:
        return f"{error.filename} cannot be opened: {error.strerror}"
    if left_alone(error):
        return "this process ends because another one did; that one, or what started it, says why"
    return ""


def left_alone(error: Exception) -> bool:
    """Whether the connection to another process of the run was lost."""
    return isinstance(error, RuntimeError) and any(words in str(error) for words in LEFT_ALONE)


def _one_line(error: Exception) -> str:
    """The error's text; an error of a loader process comes with its traceback as text, whose last line it is."""
    lines = str(error).strip().splitlines()
    if any("Original Traceback" in line for line in lines):
        return lines[-1].partition(": ")[2]
    return " ".join(" ".join(lines).split())
