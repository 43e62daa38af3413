"""The words of the command line before the parser: what they leave unsaid is written out."""

import atexit
from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import yaml

from vista.app.parser import take
from vista.app.runs import CONFIGS, find_checkpoint, find_config, run_of
from vista.app.settings import plugin_files, stack


def config_paths(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The paths of all configs that are named, see `vista.app.runs.find_config`; all other words."""
    names, rest = take(words, "config")
    return [str(find_config(name)) for name in names or []], rest


def resolve_arguments(verb: str, words: Sequence[str]) -> tuple[list[str], str]:
    """Write out what the command line leaves unsaid: paths of configs, the size's defaults, the newest run.

    Returns:
        the arguments for `VistaCLI`, with one config that says what all of them say, and a name for the run.
    """
    configs, words = config_paths(words)
    checkpoints, rest = take(words, "ckpt_path")
    base = CONFIGS / "default.yaml"
    if (verb != "fit" or checkpoints) and not {"-h", "--help"} & set(rest):
        where = checkpoints[-1] if checkpoints else ""
        checkpoint = find_checkpoint(where, "last" if verb == "fit" else "best")
        rest.append(f"--ckpt_path={checkpoint}")
        run = run_of(checkpoint)
        base = run / "config.yaml" if run else base  # of the run, in the place of the defaults
    name = Path(configs[0]).stem if configs else base.stem
    return [verb, f"--config={_one_file([str(base), *configs], name)}", *rest], name


def _one_file(configs: list[str], name: str) -> Path:
    """The configs stacked, in a file that is there as long as this process, for the processes that it starts, too.

    jsonargparse would stack them by itself, but let the fields of an earlier source into a later one of its name.
    """
    folder = mkdtemp(prefix="vista-")
    atexit.register(rmtree, folder, ignore_errors=True)
    settings = stack(configs)
    if files := plugin_files(configs):
        settings["plugin"] = files
    path = Path(folder, f"{name}.yaml")
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path


def plugins(words: Sequence[str]) -> list[str]:
    """Files named by `--plugin` or by the key `plugin` of a config, each once."""
    files, rest = take(words, "plugin")
    configs, _ = take(rest, "config")
    return list(dict.fromkeys([*(files or []), *plugin_files(configs or [])]))
