"""The config of a run that lies beside a checkpoint or answers, and that nobody named: it may be a stranger's.

    beside = read_unnamed(Path("runs/where/config.yaml"))
    beside.settings["codec"]["num_points"]      # plain settings are taken
    beside.plugins                              # ["where.py"]: not run
    beside.objects                              # {"trainer.logger": {"class_path": ...}}: neither imported nor built

Whoever names it by `--config` trusts it, and all that it says is done. See docs/trust.md.
"""

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vista.app.model_settings import read_with_model
from vista.app.strict_yaml import Settings
from vista.data import InputError

# All else says what was done, such as `task`, or how a checkpoint is read.
TAKEN = frozenset(
    {
        "seed_everything", "name", "save_every", "trainer", "model", "data", "encoder", "qformer", "llm", "tokenizer",
        "codec",
    }
)  # fmt: skip
# Settings that are objects: a text with a dot is there the name of a class, which would be imported.
OBJECTS = frozenset(
    {
        "trainer.accelerator", "trainer.strategy", "trainer.logger", "trainer.callbacks", "trainer.profiler",
        "trainer.plugins", "optimizer", "lr_scheduler", "model.encoder", "model.qformer", "model.llm",
        "model.tokenizer", "model.codec", "data.tokenizer", "data.codec",
    }
)  # fmt: skip
# Of these settings' values, capitals begin the name of a class, which would be found without a dot.
WORD = re.compile(r"[a-z0-9_:-]*")
ARGUMENT = re.compile(r"[a-z0-9_:-]*|[A-Z0-9_]*")  # of a strategy, such as FULL_SHARD
# The parser takes `logger.class_path` for two names, and `callbacks+` for one that is added to.
KEY = re.compile(r"\w+")
SOURCES = "data.sources."  # whose names, and those of their scores, may hold dots
OF_OBJECTS = frozenset({"class_path", "init_args", "dict_kwargs"})


@dataclass(frozen=True)
class Unnamed:
    """What a config says that nobody named.

    Attributes:
        file: the config.
        settings: plain ones, which are taken.
        objects: by their dotted names the others, which are not.
        plugins: Python files, which are not run.
    """

    file: Path
    settings: Settings
    objects: Settings
    plugins: list[str]

    def left_out(self, named: Iterable[str]) -> str:
        """A sentence about the plug-ins that nobody named; empty where there are none."""
        trusted = {Path(name).absolute() for name in named}
        files = [name for name in self.plugins if Path(name).absolute() not in trusted]
        if not files:
            return ""
        listed = " ".join(files)
        return (
            f"not run, since only {self.file} names it: the plug-in {listed}; "
            f"if its task is needed and you trust it, add --plugin {listed}"
        )

    def refuse_objects(self, decided: Iterable[str]) -> None:
        """Complain of an object that is asked for here and decided nowhere else.

        Args:
            decided: settings that named configs or the command line decide.

        Raises:
            InputError: says how to name the config, or to go without.
        """
        parts = [f"{name}." for name in decided]
        for name in self.objects:
            if not any(part.startswith(f"{name}.") for part in parts):
                instead = f", else --{name}=null" if name in OBJECTS else ""
                raise InputError(
                    f"{self.file} asks for an object as {name}, and of a config that nobody named only plain settings "
                    f"are taken; if you trust it, add --config {self.file}{instead}"
                )


def read_unnamed(file: Path) -> Unnamed:
    """What a config says, sorted by whether it is taken unasked. Nothing is imported.

    Raises:
        InputError: it is no config.
    """
    content = read_with_model(file)
    named = content.get("plugin") or []
    plugins = [str(name) for name in (named if isinstance(named, list) else [named])]
    objects: Settings = {}
    known = {key: value for key, value in content.items() if key in TAKEN or key in OBJECTS}
    settings = _plain(known, "", objects)
    return Unnamed(file, settings, objects, plugins)


def _plain(group: Settings, prefix: str, objects: Settings) -> Settings:
    """The settings of a group but for the objects among them, which are put into `objects`."""
    plain: Settings = {}
    for key, value in group.items():
        name = f"{prefix}{key}"
        named = prefix == SOURCES and not isinstance(value, dict | None)
        if named or not _is_key(str(key), prefix) or _is_object(name, value):
            objects[name] = value
        elif isinstance(value, dict) and name not in OBJECTS:
            plain[key] = _plain(value, f"{name}.", objects)
        else:
            plain[key] = value
    return plain


def _is_key(key: str, prefix: str) -> bool:
    """Whether a key is a name of one setting alone, not of one in another, nor of a part of an object."""
    plain = prefix.startswith(SOURCES) or KEY.fullmatch(key) is not None
    return plain and OF_OBJECTS.isdisjoint(key.split("."))


def _is_object(name: str, value: Any) -> bool:
    """Whether something would be imported or called, or a stranger choose where it writes."""
    if name in OBJECTS:
        return not (_is_plain(value, WORD) or (name == "trainer.strategy" and _is_strategy(value)))
    if isinstance(value, list):
        return any(isinstance(each, dict | list) for each in value)
    return isinstance(value, dict) and not OF_OBJECTS.isdisjoint(value)


def _is_plain(value: Any, word: re.Pattern[str]) -> bool:
    """Whether a value of a setting for objects is a number or a word, such as `auto`."""
    if isinstance(value, str):
        return word.fullmatch(value) is not None
    return value is None or isinstance(value, bool | int | float)


def _is_strategy(value: Any) -> bool:
    """Whether it is a strategy of Lightning's or ours, with numbers and words: a sharded run is resumed by it.

    The class is looked for among what is imported already, and must be a strategy.
    """
    if not isinstance(value, dict) or not value.keys() <= {"class_path", "init_args"}:
        return False
    from lightning.pytorch.strategies import Strategy  # takes seconds, which help need not

    import vista.training.sharded_strategy  # noqa: F401  what is looked for must be there

    module, _, name = str(value.get("class_path")).rpartition(".")
    trusted = module.startswith(("lightning.", "vista."))
    kind = getattr(sys.modules.get(module), name, None) if trusted else None
    arguments = value.get("init_args") or {}
    plain = isinstance(arguments, dict) and all(
        _is_plain(each, ARGUMENT) for each in arguments.values()
    )
    return plain and isinstance(kind, type) and issubclass(kind, Strategy)
