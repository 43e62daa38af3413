r"""What comes from outside as it is printed: control characters are shown, and none is sent to the terminal.

    say("a red \x1b[2J circle")         # prints: a red \x1b[2J circle

Annotations, names of files and answers may hold characters that clear a screen, hide a line or turn its direction.
"""

import re
import sys
import traceback
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

# C0 but tab and line feed, DEL and C1; what embeds, overrides or isolates a direction; halves of characters.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """A text with its control characters as Python writes them, after a backslash; tabs and line feeds stay."""
    return CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def in_one_line(text: str) -> str:
    """A text that is printable and one line, for cells of tables."""
    return printable(" ".join(text.split()))


def say(*texts: str, file: TextIO | None = None) -> None:
    """Print texts from outside, one a line, at once.

    Args:
        texts: what is said.
        file: where to; the standard output.
    """
    for text in texts:
        print(printable(text), file=file, flush=True)


def guard_messages() -> None:
    """Have warnings and tracebacks printed in the same way.

    To be called when all is imported, since Lightning has a format of its own. Whoever records warnings gets them as
    they are.
    """
    shown: Callable[..., str] = warnings.formatwarning
    if not hasattr(shown, "guarded"):

        def format_warning(*args: object, **kwargs: object) -> str:
            return printable(shown(*args, **kwargs))

        format_warning.guarded = True  # type: ignore[attr-defined]
        warnings.formatwarning = format_warning
    sys.excepthook = _show_traceback


def _show_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    say("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"), file=sys.stderr)
