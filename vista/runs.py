"""Names on disk: config files, run folders and the checkpoints in them.

    runs/stage1/config.yaml, checkpoints/{best,last}.ckpt, pictures/, predictions/, scores_val.json, done.json

`done.json` is written last, so a folder that holds one is a whole run.
"""

import json
from difflib import get_close_matches
from pathlib import Path

CONFIGS = Path(__file__).parents[1] / "configs"
RUNS = Path("runs")


def find_config(name: str) -> Path:
    """A config file, looked for in the working folder, then in `configs/`; `.yaml` may be left out.

    Raises:
        FileNotFoundError: names the nearest config there is.
    """
    for folder in (Path(), CONFIGS):
        for path in (folder / name, folder / f"{name}.yaml"):
            if path.is_file():
                return path
    known = [str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.yaml")]
    close = get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}?" if close else f"configs/ holds {', '.join(sorted(known))}"
    raise FileNotFoundError(f"there is no config {name!r} here or in configs/; {hint}")


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
        FileNotFoundError: there is none.
    """
    done = [p.parent for p in RUNS.glob("*/done.json")]
    if name:
        done = [p for p in done if p.name == name or p.name.rpartition("-")[0] == name]
    if not done:
        what = f"no finished run {name!r}" if name else "no finished run"
        raise FileNotFoundError(
            f"there is {what} under {RUNS}/; train one by `python main.py fit --config stage1.yaml`"
        )
    return max(done, key=lambda folder: (folder / "done.json").stat().st_mtime_ns)


def find_checkpoint(where: str | Path) -> Path:
    """The checkpoint that a path or the name of a run means.

    Args:
        where: a checkpoint file, a run's folder, or a run's name such as `stage1` (the newest of that name).

    Raises:
        FileNotFoundError: there is no such file or run.
    """
    path = Path(where)
    if path.is_file() or (path.is_dir() and not (path / "done.json").is_file() and path.suffix == ".ckpt"):
        return path
    if path.suffix == ".ckpt":
        raise FileNotFoundError(f"there is no checkpoint {path}")
    run = path if (path / "done.json").is_file() else newest_run(path.name)
    return run / json.loads((run / "done.json").read_text())["checkpoint"]


def run_of(checkpoint: Path) -> Path | None:
    """The run folder that a checkpoint lies in, None where it lies elsewhere."""
    folder = checkpoint.parent.parent
    return folder if (folder / "config.yaml").is_file() else None
