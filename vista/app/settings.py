"""Configs without Lightning: several YAML files stacked into one dict, and the parts that need no model.

    configs = ["stage1.yaml", "vicuna_13b.yaml"]
    settings = stack([*defaults(configs), *configs])
    settings["data"]["sources"]             # of the last file that has any: a dictionary of sources is replaced whole
    codec = make_part(Codec, settings, "codec")

Three kinds of config stack: a stage (what is trained), a size (the model and its recipe) and a place (data, hardware).
A config may name another one under `base`, which is read just before it. All verbs stack their configs by this; those
that read and score but train nothing start at once.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from vista.app.runs import find_config
from vista.data import InputError

T = TypeVar("T")
WHOLE = ("data.sources",)  # replaced, not merged: a list of sources is one decision


def stack(configs: Iterable[str | Path]) -> dict[str, Any]:
    """The settings of several configs; where two speak of the same one, the later config decides.

    Args:
        configs: names or paths, see `vista.app.runs.find_config`.

    Raises:
        MissingFileError: there is no such config.
        InputError: a file is not YAML, or no group of settings, or is its own base.
    """
    settings: dict[str, Any] = {}
    for path in with_bases(configs):
        content = _read(path)
        content.pop("base", None)
        _merge(settings, content, "")
    return settings


def with_bases(configs: Iterable[str | Path]) -> list[Path]:
    """The files of configs in the order in which they are read: each behind its base.

    Raises:
        MissingFileError: there is no such config.
        InputError: a config is its own base.
    """
    files: list[Path] = []
    for config in configs:
        chain = [find_config(str(config))]
        while base := _read(chain[0]).get("base"):
            path = find_config(base)
            if path in chain:
                raise InputError(f"the config {path} is its own base")
            chain.insert(0, path)
        files += chain
    return files


def defaults(configs: Iterable[str | Path]) -> list[str]:
    """What is read before configs that leave it unsaid: the size `tiny`, the place `world`.

    A size is a file in a folder named `sizes`, of the project or of the user. A place is needed where no config has
    `data.sources`. A config of a run says everything and needs neither.
    """
    files = with_bases(configs)
    names = [] if any(file.absolute().parent.name == "sizes" for file in files) else ["tiny"]
    if "sources" not in (stack(files).get("data") or {}):
        names.append("world")
    return names


def _read(path: Path) -> dict[str, Any]:
    """The content of one file; an empty one has no settings."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"the config {path} is not YAML: {reason}") from error
    if not isinstance(content, dict):
        raise InputError(f"the config {path} holds no settings but {type(content).__name__}")
    return content


def _merge(settings: dict[str, Any], content: dict[str, Any], prefix: str) -> None:
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and isinstance(settings.get(key), dict) and name not in WHOLE:
            _merge(settings[key], value, f"{name}.")
        else:
            settings[key] = value


def make_part(part: Callable[..., T], settings: dict[str, Any], group: str) -> T:
    """Call a class with the settings of its group.

    Raises:
        InputError: a setting is unknown or out of range.
    """
    try:
        return part(**settings.get(group) or {})
    except TypeError as error:
        raise InputError(f"settings of {group}: {error}") from error


def plugin_files(configs: Iterable[str]) -> list[str]:
    """The Python files that configs name under `plugin`, one or a list, each once."""
    files: list[str] = []
    for name in configs:
        named = stack([name]).get("plugin") or []
        files += [named] if isinstance(named, str) else named
    return list(dict.fromkeys(files))
