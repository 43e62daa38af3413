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
from typing import TypeVar

from vista.app.model_settings import read_with_model
from vista.app.runs import find_config
from vista.app.strict_yaml import Settings, read_config
from vista.app.unnamed import Unnamed
from vista.data import InputError

T = TypeVar("T")
# Settings that hold others: where every line below one is commented out, it says nothing.
GROUPS = frozenset(
    {
        "trainer", "encoder", "qformer", "llm", "tokenizer", "codec", "model", "model.optimization",
        "model.optimization.rates", "model.adapters", "model.adapters.targets", "model.decoding", "data", "data.order",
        "data.scoring", "data.world", "data.sources",
    }
)  # fmt: skip
WHOLE = ("data.sources",)  # replaced, not merged: a list of sources is one decision


def stack(configs: Iterable[str | Path], below: Unnamed | None = None) -> Settings:
    """The settings of several configs; where two speak of the same one, the later config decides.

    A group whose lines are all commented out changes nothing; a setting that is `null` is null.

    Args:
        configs: names or paths, see `vista.app.runs.find_config`.
        below: a config that nobody named; the named ones decide over its plain settings.

    Raises:
        MissingFileError: there is no such config.
        InputError: a file is not YAML, says something twice, holds no settings, or is its own base.
    """
    settings: Settings = {}
    if below is not None:
        _merge(settings, below.settings, "", below.file)
    for path in with_bases(configs):
        content = read_with_model(path)
        content.pop("base", None)
        _merge(settings, content, "", path)
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
        while base := read_config(chain[0]).get("base"):
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


def settings_named(settings: Settings, prefix: str = "") -> set[str]:
    """The dotted names of all settings and of the groups that hold them."""
    names: set[str] = set()
    for key, value in settings.items():
        name = f"{prefix}{key}"
        names.add(name)
        if isinstance(value, dict):
            names |= settings_named(value, f"{name}.")
    return names


def _merge(settings: Settings, content: Settings, prefix: str, path: Path) -> None:
    for key, value in content.items():
        name = f"{prefix}{key}"
        before = settings.get(key)
        is_group = name in GROUPS or key == "init_args"
        # An object's place may be emptied by `null`; of a group only the lines are gone.
        is_group |= isinstance(before, dict) and "class_path" not in before
        if is_group and value is None:
            continue
        if name in GROUPS and not isinstance(value, dict):
            raise InputError(f"the config {path}: {name} is {value!r}, it must hold settings")
        if name in WHOLE:
            settings[key] = _given(value)
        elif isinstance(value, dict):
            settings[key] = before if isinstance(before, dict) else {}
            _merge(settings[key], value, f"{name}.", path)
        else:
            settings[key] = value


def _given(values: Settings) -> Settings:
    """Sources, and what is said of each: where nothing stands behind a name, it is not given."""
    given: Settings = {}
    for name, value in values.items():
        if value is not None:
            given[name] = _given(value) if isinstance(value, dict) else value
    return given


def make_part(part: Callable[..., T], settings: Settings, group: str) -> T:
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
