"""Names on disk: config files, run folders and the checkpoints in them, models that are one folder.

    runs/stage1/config.yaml, checkpoints/{best,last}.ckpt, pictures/, predictions/, scores_val.json, done.json
    weights/config.yaml, vista.json, model.safetensors, ...     what `export` writes

`done.json` is written last, so a folder that holds one is a whole run. A run that was killed can be resumed. A name
may have several parts: `exp/a` is `runs/exp/a`.
"""

import json
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from itertools import chain
from pathlib import Path

from vista.data import InputError, MissingFileError
from vista.leftovers import remove, unused
from vista.training.folder_settings import SETTINGS, is_model_folder

CONFIGS = Path(__file__).parents[2] / "configs"
CONFIG_FOLDERS = (CONFIGS, CONFIGS / "stages", CONFIGS / "sizes", CONFIGS / "places")
RUNS = Path("runs")
OWN_WEIGHTS = CONFIGS.parent / "weights"  # those that come with the clone


def find_config(name: str) -> Path:
    """A config file, looked for in the working folder, then in `configs/` and its stages, sizes and places.

    Args:
        name: a path, or a bare name such as `stage1`; `.yaml` may be left out.

    Raises:
        MissingFileError: names the nearest config there is.
    """
    for folder in (Path(), *CONFIG_FOLDERS):
        for path in (folder / name, folder / f"{name}.yaml"):
            if path.is_file():
                return path
    found = chain.from_iterable(folder.glob("*.yaml") for folder in CONFIG_FOLDERS)
    known = sorted(path.stem for path in found)
    close = get_close_matches(Path(name).name.removesuffix(".yaml"), known, n=1)
    if close:
        hint = f"did you mean '{close[0]}.yaml'?"
    else:
        hint = "configs/ holds " + ", ".join(f"{stem}.yaml" for stem in known)
    raise MissingFileError(f"there is no config {name!r} here or in configs/; {hint}")


def find_file(name: str | Path | None) -> Path | None:
    """A file or folder that a setting names: where it says, else beside `main.py`, else as it was."""
    if name is None:
        return None
    own = CONFIGS.parent / name
    return own if own.exists() and not Path(name).exists() else Path(name)


def new_run(name: str) -> Path:
    """Make a folder for a run: `runs/<name>`, else `runs/<name>-2` and so on.

    No other run can have it, since of two that begin together only one can make it.

    Raises:
        InputError: the name leads out of `runs/`.
    """
    path = Path(name)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise InputError(f"--name {name!r} names no folder below {RUNS}/, where runs are kept")
    folder, count = RUNS / path, 1
    while not _made(folder):
        count += 1
        folder = RUNS / path.with_name(f"{path.name}-{count}")
    return folder


def _made(folder: Path, tries: int = 100) -> bool:
    """Whether this process has made the folder: it was not there before."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    except FileNotFoundError:
        # Before the last part was made, another run has taken the upper ones away: see `remove_empty`.
        if not tries:
            raise
        return _made(folder, tries - 1)
    return True


def remove_empty(folder: Path) -> None:
    """Take a run's folder away, and those between it and the working folder, if nothing was written there."""
    with suppress(OSError):
        os.removedirs(os.path.relpath(folder))


def newest_run(name: str = "") -> Path:
    """The run that was finished last, among those called `name`, `name-2`, ... or, without a name, among all.

    Raises:
        MissingFileError: there is none.
    """
    # The first of the two finds runs that are links to another disk, too.
    files = chain(RUNS.glob("*/done.json"), RUNS.rglob("done.json"))
    finished = {file.parent.relative_to(RUNS).as_posix(): file for file in files}
    pattern = rf"{re.escape(name)}(-[0-9]+)?" if name else ".*"
    done = [file for run, file in finished.items() if re.fullmatch(pattern, run)]
    if not done:
        close = get_close_matches(name, finished, n=1)
        advice = "train one by `python main.py fit --config stage1.yaml`"
        if close:
            advice = f"did you mean {close[0]!r}?"
        named = f"{name!r} " if name else ""
        raise MissingFileError(f"there is no finished run {named}under {RUNS}/; {advice}")
    return max(done, key=lambda file: file.stat().st_mtime_ns).parent


def newest_or_own() -> Path:
    """What is used where nothing is named: the newest finished run, else the weights that come with the clone.

    Raises:
        MissingFileError: there is neither.
    """
    try:
        return newest_run()
    except MissingFileError:
        if is_model_folder(OWN_WEIGHTS):
            return OWN_WEIGHTS
        raise


def find_checkpoint(where: str | Path, which: str = "best") -> Path:
    """The checkpoint that a path or the name of a run means.

    Args:
        where: a checkpoint (a file, the folder of a sharded one, or one that `export` has written, which may lie
            beside `main.py`), a run's folder, or a run's name such as `stage1` (the newest of that name); empty: the
            newest run.
        which: of a run's checkpoints, `best` to be scored or built upon, `last` to be resumed; the folder of a run that
            was killed gives its newest intact one.

    Raises:
        MissingFileError: there is no such file or run.
    """
    path = Path(where)
    if where and (model := find_file(where)) and is_model_folder(model):
        return model
    if path.is_file() or (path.is_dir() and path.suffix == ".ckpt"):
        return path
    if path.suffix == ".ckpt":
        raise MissingFileError(f"there is no checkpoint {path}")
    run = path if where and (path / "done.json").is_file() else None
    if run is None and which == "last" and (path / "checkpoints").is_dir():
        return newest_intact(path)
    run = run or _run_called(path)
    best = run / _named_by(run / "done.json")
    last = best.with_name("last.ckpt")
    return last if which == "last" and last.exists() else best


def _named_by(done: Path) -> Path:
    """The checkpoint that a run's `done.json` names, relative to it.

    Raises:
        InputError: it names none, or one outside of the run: another run's folder would be written to.
    """
    try:
        named = Path(json.loads(done.read_text())["checkpoint"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{done} names no checkpoint; name one by --ckpt_path") from error
    if named.is_absolute() or ".." in named.parts:
        raise InputError(f"{done} names {named}, which is no checkpoint of its run")
    return named


def _run_called(name: Path) -> Path:
    """The newest run of a name. One of several parts may be meant as a path; then nothing else is taken for it."""
    try:
        return newest_run(name.as_posix() if name.parts else "")
    except MissingFileError:
        if name.parts and any(name.glob("*.safetensors")):
            text = (
                f"{name} holds weights, but no {SETTINGS}, which `export` writes; weights of other models are named by "
                "--encoder.weights, --qformer.weights, --llm.weights and --model.weights"
            )
            raise InputError(text) from None
        if len(name.parts) > 1:
            text = f"{name} is no folder of a finished run: it holds no done.json"
            raise MissingFileError(text) from None
        raise


def newest_intact(run: Path) -> Path:
    """The checkpoint of a run that is furthest in it, of those that can be read; a kill or a full disk may damage one.

    Raises:
        MissingFileError: there is none.
    """
    # It imports torch; a name that is wrong is told without it.
    from vista.training.checkpoints import progress, read_checkpoint, read_states

    ages: dict[Path, tuple[int, ...]] = {}
    for path in (run / "checkpoints").glob("*.ckpt"):
        with _damage_told():
            # Times of files come last: a copy may not have kept them.
            ages[path] = (*progress(read_states(path)), path.stat().st_mtime_ns)
    for path in sorted(ages, key=ages.__getitem__, reverse=True):
        with _damage_told():
            read_checkpoint(path, lazy=True)
            return path
    raise MissingFileError(f"{run} holds no checkpoint that can be read")


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except (InputError, FileNotFoundError) as error:
        warnings.warn(f"{error}; the one before it is taken", stacklevel=3)


def remove_leftovers(run: Path) -> None:
    """Remove what killed processes left in a run's folder, unless one still works there."""
    with unused(run) as free:
        for path in filter(_is_left, list(run.rglob("*")) if free else ()):
            remove(path)


def _is_left(path: Path) -> bool:
    """Whether a file or folder was being written, was to be removed, or is half of a sharded checkpoint."""
    if path.name.endswith(".before.ckpt"):
        return path.with_name(path.name.replace(".before.ckpt", ".ckpt")).exists()
    half = path.suffix == ".ckpt" and path.is_dir() and not (path / ".metadata").exists()
    return half or path.suffix in (".unfinished", ".part", ".joined")


def config_of(checkpoint: Path) -> Path | None:
    """The config of the run that a checkpoint is of, None where it is not there."""
    if is_model_folder(checkpoint):
        return checkpoint / "config.yaml"
    run = run_of(checkpoint)
    return None if run is None else run / "config.yaml"


def run_of(checkpoint: Path) -> Path | None:
    """The run folder that a checkpoint lies in, None where it lies elsewhere; an exported folder is its own."""
    folder = checkpoint.parent.parent
    in_run = (folder / "config.yaml").is_file() and not is_model_folder(checkpoint)
    return folder if in_run else None
