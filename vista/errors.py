"""Two kinds of errors: a sentence for people, and a fault of code that says where it happened."""

from vista.printable import printable


class InputError(ValueError):
    """A sentence for people: what is wrong with a file, a setting or a sample, and what to do.

    The command line prints its text alone; any other exception is a fault of code and keeps its traceback.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class MissingFileError(InputError, FileNotFoundError):
    """A sentence for people about a file or folder that is not there."""


class SampleError(Exception):
    """A fault of code, of a task's or a reader's: first where, then what. Its cause has the traceback."""

    def __str__(self) -> str:
        return printable(super().__str__())


def located(error: Exception, where: str) -> Exception:
    """An error that says where before what: a sentence for people stays one, any other becomes a `SampleError`."""
    if isinstance(error, InputError):
        return type(error)(f"{where}: {error}")
    return SampleError(f"{where}: {type(error).__name__}: {error}")
