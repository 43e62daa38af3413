"""Runs that are through: every step was made, and nothing is left to train.

A run that is killed after its last checkpoint lacks nothing but `done.json`, which is written when it is resumed.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Timer

from vista.app.runs import run_of
from vista.app.strict_yaml import read_config
from vista.leftovers import unused
from vista.printable import say
from vista.training.checkpoints import copy_checkpoint, progress, read_states
from vista.training.resume import reopen_epoch


def is_through(states: dict[str, Any], limits: Mapping[str, Any]) -> bool:
    """Whether Lightning would train no step more.

    Args:
        states: of the checkpoint that is resumed.
        limits: settings of the trainer: `max_epochs`, `max_steps`, `max_time`.
    """
    loops = states.get("loops", {}).get("fit_loop")
    if not loops:
        return False
    reopen_epoch(states)
    epochs, most = loops["epoch_progress"]["current"]["processed"], limits.get("max_epochs")
    if most is not None and 0 <= most <= epochs:
        return True
    if 0 <= (limits.get("max_steps") or -1) <= states["global_step"]:
        return True
    return _time_is_over(states, limits.get("max_time"))


def _time_is_over(
    states: Mapping[str, Any], limit: str | timedelta | dict[str, int] | None
) -> bool:
    timer = Timer(limit)
    timer.load_state_dict(states.get("callbacks", {}).get(timer.state_key, {"time_elapsed": {}}))
    remaining = timer.time_remaining()
    return remaining is not None and remaining <= 0


def say_through(checkpoint: Path) -> None:
    """What can be done with a run that is through."""
    run = run_of(checkpoint) or checkpoint
    steps = read_states(checkpoint)["global_step"]
    say(
        f"{run} is through, after {steps} steps: score it by `python main.py test --ckpt_path {run}`, or train it "
        "further by a higher --trainer.max_epochs (max_steps, max_time)"
    )


def write_done(run: Path, checkpoint: Path, step: int) -> None:
    """Write the file that says that a run has ended, and which of its checkpoints is to be used.

    Args:
        run: its folder.
        checkpoint: the best one, or the last one where none was scored.
        step: the last one.
    """
    content = {"checkpoint": str(checkpoint.relative_to(run)), "step": step}
    part = run / "done.json.part"
    part.write_text(json.dumps(content) + "\n")
    part.replace(run / "done.json")


def finish(checkpoint: Path) -> None:
    """Write what a killed run lacks, if it was through by its own settings and no process works in it."""
    run, states = run_of(checkpoint), read_states(checkpoint)
    if run is None or (run / "done.json").exists():
        return
    limits = read_config(run / "config.yaml")["trainer"]
    with unused(run) as free:
        if not free or not is_through(states, limits):
            return
        last, best = checkpoint.with_name("last.ckpt"), checkpoint.with_name("best.ckpt")
        if not last.exists() or progress(read_states(last)) < progress(states):
            copy_checkpoint(checkpoint, last)
        write_done(run, best if best.exists() else last, states["global_step"])
