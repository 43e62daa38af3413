"""LightningCLI that reads lists as every verb does, and complains in one sentence."""

import sys
from argparse import ArgumentError
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from lightning import Trainer
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from vista.app.explain import explain
from vista.app.parser import join_lists, settings_of, take
from vista.app.processes import Processes
from vista.app.strict_yaml import read_config
from vista.data import InputError

# Of every parser: errors come to us, and names are written out.
STRICT = {"exit_on_error": False, "allow_abbrev": False}
# Settings beside the groups, of one verb or another.
OTHERS = {
    "name": str, "save_every": int, "plugin": list[str], "task": list[str], "images": list[str], "text": str,
    "out": Path, "config": str, "ckpt_path": str, "seed_everything": int, "print_config": str,
}  # fmt: skip


class StrictCLI(LightningCLI):
    """What the command lines of training have in common."""

    def __init__(
        self,
        groups: Mapping[str, type],
        verbs: Sequence[str],
        words: Sequence[str],
        trainer_defaults: Mapping[str, Any],
    ) -> None:
        """Parse, build and run.

        Args:
            groups: class of each group of settings; `model` and `data` among them.
            verbs: that may come first.
            words: of the command line, the verb first.
            trainer_defaults: settings of the trainer that differ from Lightning's.

        Raises:
            InputError: a setting or its value is not understood.
        """
        types = settings_of_groups({**groups, "trainer": Trainer})
        for config in take(words, "config")[0] or []:
            refuse_nulls(read_config(Path(config)), types)
        # Passing `args` while sys.argv is not empty warns on each run.
        sys.argv[1:] = [words[0], *join_lists(words[1:], types)]
        self.processes = Processes()
        try:
            with self.processes.watched():
                super().__init__(
                    groups["model"],
                    groups["data"],
                    save_config_callback=None,
                    seed_everything_default=0,
                    trainer_defaults=dict(trainer_defaults),
                    parser_kwargs={**STRICT, **dict.fromkeys(verbs, STRICT)},
                )
        except (ArgumentError, MisconfigurationException) as error:
            raise InputError(explain(error, types)) from error

    def instantiate_classes(self) -> None:
        """Build the trainer, whose processes are watched over, the model and the data."""
        super().instantiate_classes()
        self.processes.meet_before(self.trainer.strategy)


def settings_of_groups(groups: Mapping[str, type]) -> dict[str, Any]:
    """All settings by their dotted names, with their types: of the groups and of the verbs themselves."""
    settings: dict[str, Any] = {}
    for prefix, part in groups.items():
        settings |= settings_of(part, f"{prefix}.")
    return settings | OTHERS


def refuse_nulls(content: Mapping[str, Any], types: Mapping[str, Any], prefix: str = "") -> None:
    """Complain of a setting in a group whose value is not there, e.g. behind a `#`: jsonargparse takes it for one.

    Args:
        content: of a config, or of a group in it.
        types: of all settings by their dotted names.
        prefix: of the group.

    Raises:
        InputError: a setting that must have a value has none.
    """
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            refuse_nulls(value, types, f"{name}.")
        elif value is None and prefix and not takes_null(types.get(name, Any)):
            raise InputError(f"{name} has no value; write one, or leave the line out")


def takes_null(kind: Any) -> bool:
    """Whether `null` is a value of a type."""
    return kind in (Any, None, NoneType) or NoneType in get_args(kind)
