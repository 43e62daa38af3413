"""Configs without Lightning: several YAML files stacked into one dict, and the parts that need no model.

    settings = stack(["default.yaml", "coinit.yaml"])
    settings["data"]["sources"]             # of the last file that has any: a dictionary of sources is replaced whole
    codec = make_part(Codec, settings, "codec")

All verbs stack their configs by this; those that read and score but train nothing start at once.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import yaml

from vista.app.runs import find_config
from vista.data import InputError

T = TypeVar("T")
WHOLE = ("data.sources",)  # replaced, not merged: a list of sources is one decision


def stack(configs: Iterable[str]) -> dict[str, Any]:
    """The settings of several configs; where two speak of the same one, the later config decides.

    Args:
        configs: names or paths, see `vista.app.runs.find_config`.

    Raises:
        FileNotFoundError: there is no such config.
        InputError: a file is not YAML, or no group of settings.
    """
    settings: dict[str, Any] = {}
    for name in configs:
        path = find_config(name)
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as error:
            raise InputError(
                f"the config {path} is not YAML: {' '.join(str(error).split())}"
            ) from error
        if not isinstance(content, dict):
            raise InputError(f"the config {path} holds no settings but {type(content).__name__}")
        _merge(settings, content, "")
    return settings


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
