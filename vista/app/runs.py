"""Names on disk: config files, run folders and the checkpoints in them.

    runs/stage1/config.yaml, checkpoints/{best,last}.ckpt, pictures/, predictions/, scores_val.json, done.json

`done.json` is written last, so a folder that holds one is a whole run. A run that was killed can be resumed.
"""

import json
import re
import warnings
from difflib import get_close_matches
from itertools import chain
from pathlib import Path

from vista.data import MissingFileError
from vista.training.checkpoints import read_checkpoint

CONFIGS = Path(__file__).parents[2] / "configs"
CONFIG_FOLDERS = (CONFIGS, CONFIGS / "stages", CONFIGS / "sizes", CONFIGS / "places")
RUNS = Path("runs")


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
    """A folder that does not exist yet: `runs/<name>`, else `runs/<name>-2` and so on."""
    folder, count = RUNS / name, 1
    while folder.exists():
        count += 1
        folder = RUNS / f"{name}-{count}"
    return folder


def newest_run(name: str = "") -> Path:
    """The run that was finished last, among those called `name`, `name-2`, ... or, without a name, among all.

    Raises:
        MissingFileError: there is none.
    """
    finished = [path.parent for path in RUNS.glob("*/done.json")]
    pattern = rf"{re.escape(name)}(-[0-9]+)?" if name else ".*"
    done = [path for path in finished if re.fullmatch(pattern, path.name)]
    if not done:
        close = get_close_matches(name, [path.name for path in finished], n=1)
        advice = "train one by `python main.py fit --config stage1.yaml`"
        if close:
            advice = f"did you mean {close[0]!r}?"
        named = f"{name!r} " if name else ""
        raise MissingFileError(f"there is no finished run {named}under {RUNS}/; {advice}")
    return max(done, key=lambda folder: (folder / "done.json").stat().st_mtime_ns)


def find_checkpoint(where: str | Path, which: str = "best") -> Path:
    """The checkpoint that a path or the name of a run means.

    Args:
        where: a checkpoint (a file, or the folder of a sharded one), a run's folder, or a run's name such as `stage1`
            (the newest of that name); empty: the newest run.
        which: of a run's checkpoints, `best` to be scored or built upon, `last` to be resumed; the folder of a run that
            was killed gives its newest intact one.

    Raises:
        MissingFileError: there is no such file or run.
    """
    path = Path(where)
    if path.is_file() or (path.is_dir() and path.suffix == ".ckpt"):
        return path
    if path.suffix == ".ckpt":
        raise MissingFileError(f"there is no checkpoint {path}")
    run = path if where and (path / "done.json").is_file() else None
    if run is None and which == "last" and (path / "checkpoints").is_dir():
        return newest_intact(path)
    if run is None and len(path.parts) > 1:
        raise MissingFileError(f"{path} is no folder of a finished run: it holds no done.json")
    run = run or newest_run(path.name)
    best = run / json.loads((run / "done.json").read_text())["checkpoint"]
    last = best.with_name("last.ckpt")
    return last if which == "last" and last.exists() else best


def newest_intact(run: Path) -> Path:
    """The newest checkpoint of a run that can be read; a kill or a full disk may have damaged one.

    Raises:
        MissingFileError: there is none.
    """
    found = list((run / "checkpoints").glob("*.ckpt"))
    found.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in found:
        try:
            read_checkpoint(path, lazy=True)
        except ValueError as error:
            warnings.warn(f"{error}; the one before it is taken", stacklevel=2)
        else:
            return path
    raise MissingFileError(f"{run} holds no checkpoint that can be read")


def run_of(checkpoint: Path) -> Path | None:
    """The run folder that a checkpoint lies in, None where it lies elsewhere."""
    folder = checkpoint.parent.parent
    return folder if (folder / "config.yaml").is_file() else None
