"""The words of the command line before the parser: what they leave unsaid is written out."""

import atexit
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import yaml

from vista.app.parser import take
from vista.app.runs import config_of, find_checkpoint, find_config, newest_or_own
from vista.app.settings import defaults, plugin_files, settings_named, stack
from vista.app.unnamed import Unnamed, read_unnamed
from vista.leftovers import temporary_folder
from vista.printable import say
from vista.training.folder_settings import is_model_folder

# What a run says of a config that is read without being named.
UNSAID = {
    "tiny": "size: tiny (another one: --config vicuna_7b.yaml)",
    "world": "place: world, which is generated (another one: --config coinit.yaml)",
}


def config_paths(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The paths of all configs that are named, see `vista.app.runs.find_config`; all other words."""
    names, rest = take(words, "config")
    return [str(find_config(name)) for name in names or []], rest


def resolve_arguments(verb: str, words: Sequence[str]) -> tuple[list[str], str]:
    """Write out what the command line leaves unsaid: paths of configs, size and place, the newest run.

    Returns:
        the arguments for `VistaCLI`, with one config that says what all of them say, and a name for the run.
    """
    configs, words = config_paths(words)
    checkpoints, rest = take(words, "ckpt_path")
    options = {word.partition("=")[0] for word in rest}
    asks_for_help = bool(options & {"-h", "--help", "--print_config"})
    own = None
    if (verb != "fit" or checkpoints) and not options & {"-h", "--help"}:
        where = checkpoints[-1] if checkpoints else _unnamed_model()
        checkpoint = find_checkpoint(where, "last" if verb == "fit" else "best")
        rest.append(f"--ckpt_path={checkpoint}")
        own = config_of(checkpoint)
    # The config of a run says everything; without one, size and place may be left unsaid.
    beside = _beside(own, configs, rest) if own else None
    before = [] if beside else defaults(configs)
    if not asks_for_help:
        _say_unsaid(before)
    name = Path(configs[0]).stem if configs else "default"
    if own is not None and is_model_folder(own.parent):
        name = own.absolute().parent.name  # what is asked of a model goes to runs/ under its name
    return [verb, f"--config={one_file([*before, *configs], name, beside)}", *rest], name


def _unnamed_model() -> Path:
    """The newest run or the clone's weights; of these a line tells, by one process of a run."""
    found = newest_or_own()
    if is_model_folder(found):
        # It takes seconds, which a mistake need not.
        from lightning.pytorch.utilities import rank_zero_only

        rank_zero_only(say)("no run here yet: the weights that come with the clone, weights/")
    return found


def _beside(config: Path, configs: Sequence[str], words: Sequence[str]) -> Unnamed:
    """What is taken of a run's own config, which nobody named; it is said what is not.

    Raises:
        InputError: it asks for an object, and nothing that was named decides about that.
    """
    beside = read_unnamed(config)
    decided = {word.partition("=")[0].removeprefix("--").removesuffix("+") for word in words}
    beside.refuse_objects(decided | settings_named(stack(configs)))
    note = beside.left_out(plugins([*words, *(f"--config={config}" for config in configs)]))
    if note:
        from lightning.pytorch.utilities import rank_zero_only

        rank_zero_only(say)(note, file=sys.stderr)
    return beside


def _say_unsaid(names: Sequence[str]) -> None:
    """A line for each config that nobody named, by one process of a run."""
    from lightning.pytorch.utilities import rank_zero_only  # takes seconds, which help need not

    for name in names:
        rank_zero_only(print)(UNSAID[name], flush=True)


def one_file(configs: list[str], name: str, below: Unnamed | None = None) -> Path:
    """The configs stacked, in a file that is there as long as this process, for the processes that it starts, too.

    jsonargparse would stack them by itself, but let the fields of an earlier source into a later one of its name, and
    let a group without a line wipe all that was said of it.
    """
    there = ExitStack()
    folder = there.enter_context(temporary_folder("vista-config-"))
    atexit.register(there.close)
    settings = stack(configs, below)
    if files := plugin_files(configs):
        settings["plugin"] = files
    # A process that is started with it must not read the size `tiny` before it: it lies where sizes lie.
    path = Path(folder, "sizes", f"{name}.yaml")
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path


def plugins(words: Sequence[str]) -> list[str]:
    """Files named by `--plugin` or by the key `plugin` of a config, each once."""
    files, rest = take(words, "plugin")
    configs, _ = take(rest, "config")
    return list(dict.fromkeys([*(files or []), *plugin_files(configs or [])]))
