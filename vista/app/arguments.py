"""The words of the command line before and after the parser: what is left unsaid, and what was wrong."""

import atexit
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import yaml

from vista.app.runs import find_checkpoint, find_config, run_of
from vista.app.settings import defaults, plugin_files, stack

# What a run says of a config that is read without being named.
UNSAID = {
    "tiny": "size: tiny (another one: --config vicuna_7b.yaml)",
    "world": "place: world, which is generated (another one: --config coinit.yaml)",
}


def config_paths(arguments: list[str]) -> list[str]:
    """The arguments with every `--config NAME` written as `--config=PATH`, see `vista.app.runs.find_config`."""
    resolved = []
    words = iter(arguments)
    for word in words:
        if word == "--config" or word.startswith("--config="):
            word = f"--config={find_config(word.partition('=')[2] or next(words, ''))}"
        resolved.append(word)
    return resolved


def resolve_arguments(verb: str, arguments: list[str]) -> tuple[list[str], str]:
    """Write out what the command line leaves unsaid: paths of configs, size and place, the newest run.

    Returns:
        the arguments for `VistaCLI`, with one config that says what all of them say, and a name for the run.
    """
    resolved = config_paths(arguments)
    configs = [word.partition("=")[2] for word in resolved if word.startswith("--config=")]
    resolved = [word for word in resolved if not word.startswith("--config=")]
    options = {word.partition("=")[0] for word in resolved}
    asks_for_help = bool(options & {"-h", "--help", "--print_config"})
    run = None
    if (verb != "fit" or "--ckpt_path" in options) and not options & {"-h", "--help"}:
        run, resolved = _with_run(resolved, "last" if verb == "fit" else "best")
    # The config of a run says everything; without one, size and place may be left unsaid.
    before = [str(run / "config.yaml")] if run else defaults(configs)
    if not run and not asks_for_help:
        _say_unsaid(before)
    name = Path(configs[0]).stem if configs else "default"
    return [verb, f"--config={_one_file([*before, *configs], name)}", *resolved], name


def _say_unsaid(names: Sequence[str]) -> None:
    """A line for each config that nobody named, by one process of a run."""
    from lightning.pytorch.utilities import rank_zero_only  # takes seconds, which help need not

    for name in names:
        rank_zero_only(print)(UNSAID[name], flush=True)


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


def _with_run(arguments: list[str], which: str) -> tuple[Path | None, list[str]]:
    """The run that the checkpoint lies in, if any, and the arguments with the checkpoint's path."""
    given = [w.partition("=")[2] for w in arguments if w.startswith("--ckpt_path=")]
    if "--ckpt_path" in arguments:
        place = arguments.index("--ckpt_path")
        given = arguments[place + 1 : place + 2]
        arguments = arguments[:place] + arguments[place + 2 :]
    arguments = [w for w in arguments if not w.startswith("--ckpt_path=")]
    checkpoint = find_checkpoint(given[0] if given else "", which)
    return run_of(checkpoint), [*arguments, f"--ckpt_path={checkpoint}"]


def plugins(arguments: list[str]) -> list[str]:
    """Files named by `--plugin` or by the key `plugin` of a config."""
    found: list[str] = []
    for i, word in enumerate(arguments):
        if word == "--plugin":
            rest = arguments[i + 1 :]
            found += rest[: next((k for k, w in enumerate(rest) if w.startswith("--")), len(rest))]
        elif word.startswith("--plugin="):
            found.append(word.partition("=")[2])
        elif word.startswith("--config="):
            found += plugin_files([word.partition("=")[2]])
    return list(dict.fromkeys(found))


def explain(error: Exception, known: Sequence[str]) -> str:
    """One sentence out of a parser's error, with the nearest setting there is.

    Args:
        error: of jsonargparse or of Lightning.
        known: all settings.
    """
    text = " ".join(str(error).split())
    if match := re.search(r"[Oo]ption '([\w.\-]+)'|[Uu]nrecognized arguments: --([\w.\-]+)", text):
        wrong = match[1] or match[2]
        close = get_close_matches(wrong, known, n=1)
        return f"there is no setting {wrong!r}" + (f"; did you mean {close[0]!r}?" if close else "")
    if match := re.search(r"[Uu]nrecognized arguments: (.+)", text):
        return f"{match[1]!r} is no setting; settings begin with --"
    keys = ".".join(re.findall(r'Parser key "([^"]+)"', text))
    if match := re.search(r"the following arguments are required: (.+)", text):
        return f"{keys} lacks {match[1]}"
    value = re.search(r"(?:Got|Given) value: (.*)$", text)
    wanted = re.findall(r"Expected an? (?!path )(.+?)(?= - |\. Got value| Given value|$)", text)
    return _wrong_value(keys, value[1], wanted) if keys and value and wanted else text


def _wrong_value(setting: str, value: str, wanted: Sequence[str]) -> str:
    """`data.replay is 'abc'; it must be float`."""
    choices = [
        w
        for text in wanted
        if "Literal" in text
        for w in re.findall(r"[^\[\], ']+", text.partition("[")[2])
    ]
    types = [
        re.sub(r"<class '([\w.]*?)(\w+)'>", r"\2", text) for text in wanted if "Literal" not in text
    ]
    types = ["null" if name == "NoneType" else name for name in types]
    close = get_close_matches(value, choices, n=1)
    hint = f", did you mean {close[0]!r}?" if close else ""
    return (
        f"{setting} is {value!r}; it must be {' or '.join(dict.fromkeys([*choices, *types]))}{hint}"
    )
