"""One parser for all verbs: lists are written alike everywhere, and what the parser makes of them has types.

    check-task --task res rec           check-task --task res --task rec            check-task --task=[res,rec]

Our own verbs take the fields of a dataclass or the arguments of a function, and their help is its docstring:

    options = parse("score", ScoreOptions, ["--predictions", "a.jsonl", "b.jsonl", "--data.root", "data/coinit"])
    options.data.root                   # Path("data/coinit")

Neither torch nor Lightning is imported here, so that the help of a verb is there at once.
"""

import json
from argparse import ArgumentError
from collections.abc import Callable, Sequence
from dataclasses import is_dataclass
from inspect import Parameter, signature
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from jsonargparse import ArgumentParser, get_loader, set_loader

from vista.app.explain import explain
from vista.app.strict_yaml import load_yaml, refuse_twice
from vista.data import InputError

T = TypeVar("T")
usual_loader = get_loader("yaml")


def load_once(text: str) -> Any:
    """YAML as jsonargparse reads values and files, no key twice."""
    refuse_twice(text)
    return usual_loader(text)


set_loader("yaml", load_once, (yaml.YAMLError,))


def parse(verb: str, target: Callable[..., T], words: Sequence[str], positional: bool = False) -> T:
    """Call a dataclass or a function with what the command line says.

    Args:
        verb: for the usage line.
        target: its arguments are the options; those that are dataclasses are groups of options.
        words: of the command line, after the verb.
        positional: arguments without a default are given by their place, not by their name.

    Raises:
        InputError: an option or its value is not understood; one sentence.
    """
    parser = ArgumentParser(
        prog=f"main.py {verb}",
        exit_on_error=False,
        allow_abbrev=False,
        epilog="Lists are written as --option a b or as --option=[a,b].",
    )
    add_arguments = (
        parser.add_class_arguments if isinstance(target, type) else parser.add_function_arguments
    )
    add_arguments(target, as_positional=positional)
    types = settings_of(target)
    try:
        # What is wrong with the words is said here; a fault of what they call keeps its traceback.
        given = parser.parse_args(join_lists(words, types))
    except ArgumentError as error:
        raise InputError(explain(error, list(types))) from error
    return target(**vars(parser.instantiate(given)))


def settings_of(target: Callable[..., Any], prefix: str = "") -> dict[str, Any]:
    """The arguments of a class or a function by their dotted names, with their types.

    Args:
        target: an argument that is a dataclass is a group of settings: its fields follow it; `**kwargs` of a class are
            the arguments of the class that it is made from.
        prefix: begins every name, e.g. `model.`.
    """
    called = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]
    types = get_type_hints(called)
    settings: dict[str, Any] = {}
    for name, parameter in signature(target).parameters.items():
        if parameter.kind is Parameter.VAR_KEYWORD and isinstance(target, type):
            settings |= settings_of(target.__mro__[1], prefix)
        if parameter.kind in (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL):
            continue
        kind = types.get(name, Any)
        settings[prefix + name] = kind
        if is_dataclass(kind) and isinstance(kind, type):
            settings |= settings_of(kind, f"{prefix}{name}.")
    return settings


def join_lists(words: Sequence[str], types: dict[str, Any]) -> list[str]:
    """Every option that takes a list as one word of JSON: `--task res rec` -> `--task=["res", "rec"]`.

    Args:
        words: of the command line.
        types: of all settings by name.

    Raises:
        InputError: an option for a list stands alone.
    """
    joined = list(words)
    for name, kind in types.items():
        if is_list(kind):
            values, joined = take(joined, name)
            if values is not None:  # an empty list is a value, too
                joined.append(f"--{name}={'null' if values == ['null'] else json.dumps(values)}")
    return joined


def is_list(kind: Any) -> bool:
    """Whether a type is a list or a tuple, or one of these or None."""
    if get_origin(kind) in (Union, UnionType):
        members = [member for member in get_args(kind) if member is not NoneType]
        return all(is_list(member) for member in members)
    return get_origin(kind) in (list, tuple)


def take(words: Sequence[str], name: str) -> tuple[list[str] | None, list[str]]:
    """Take an option out of the words of a command line, however it is written and however often.

    Args:
        words: of the command line.
        name: of the option, without the dashes.

    Returns:
        its values, None where it is not there; all other words.

    Raises:
        InputError: it stands without a value.
    """
    values: list[str] | None = None
    rest: list[str] = []
    for option, *following in _pieces(words):  # the first piece may hold no option but a verb
        flag, equals, value = option.partition("=")
        if flag != f"--{name}":
            rest += [option, *following]
            continue
        own, others = ([value], following) if equals else (following, [])
        if not own:
            raise InputError(f"--{name} needs a value")
        for text in own:
            values = (values or []) + _items(text)
        rest += others
    return values, rest


def _pieces(words: Sequence[str]) -> list[list[str]]:
    """The words cut before every option, so that each piece is an option and what follows it."""
    pieces: list[list[str]] = []
    for word in words:
        if not pieces or word.startswith("--") or word == "-h":
            pieces.append([])
        pieces[-1].append(word)
    return pieces


def _items(text: str) -> list[str]:
    """`[res, rec]` -> two items; any other text is one."""
    if not text.startswith("["):
        return [text]
    try:
        return [str(item) for item in load_yaml(text)]
    except yaml.YAMLError:
        return [text]
