"""What a check of `doctor` finds, and how checks are run: all of them, whatever one of them meets."""

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vista.app.errors import sentence
from vista.data import SampleError


@dataclass(frozen=True)
class Finding:
    """One line.

    Attributes:
        check: what was looked at.
        text: what was found, or what to do.
        ok: whether nothing is wrong.
    """

    check: str
    text: str
    ok: bool = True


def fault(check: str, text: str) -> Finding:
    """Something is wrong; the text says what to do."""
    return Finding(check, text, ok=False)


def examine(check: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Run a check to its end, or to what it raises: what is for a person is a fault, else the traceback is printed.

    Args:
        check: its name where it raises.
        look: gives its findings.
    """
    found: list[Finding] = []
    try:
        for each in look():
            found.append(each)
    except Exception as error:
        text = sentence(error) or (str(error) if isinstance(error, FileNotFoundError) else "")
        if not text or isinstance(error, SampleError):
            traceback.print_exc()
        told = text or f"{type(error).__name__} in our own code, see the traceback"
        found.append(fault(check, told))
    return found
