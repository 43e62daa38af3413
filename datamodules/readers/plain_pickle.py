"""Reads a pickle that holds plain containers, and refuses any other.

A pickle can run any code while it is loaded. RefCOCO's and D-cube's pickles need none of that: lists, dicts, strings
and numbers have opcodes of their own. So every name that a pickle asks for is refused, but for the few containers
that have no opcode in the old protocols. D-cube keeps its boxes in numpy arrays: they are skipped, not built.
"""

import collections
import pickle
from typing import Any

from vista.data import InputError

CONTAINERS = {"set": set, "frozenset": frozenset, "list": list, "dict": dict, "tuple": tuple}


class RefusedPickleError(InputError, pickle.UnpicklingError):
    """A pickle that is not read."""


class Skipped:
    """Stands where a pickle holds a value of numpy; the value itself is dropped."""

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def latin_bytes(text: str, encoding: str = "latin1") -> bytes:
    """The bytes that the old protocols write as text, one byte a letter."""
    return text.encode("latin1")


class PlainUnpickler(pickle.Unpickler):
    """An unpickler that constructs containers only."""

    def find_class(self, module: str, name: str) -> Any:
        """The container of this name; nothing is imported.

        Raises:
            RefusedPickleError: the pickle asks for anything else.
        """
        if module in ("builtins", "__builtin__") and name in CONTAINERS:
            return CONTAINERS[name]
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("_codecs", "encode"):
            return latin_bytes
        if module.split(".")[0] == "numpy":
            return Skipped
        raise RefusedPickleError(
            f"it asks for {module}.{name}, where only plain containers may stand"
        )
