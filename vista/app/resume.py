"""What a resume cannot change: settings that are used once, or that decide what the optimizer remembers.

Everything else is used as it is given: the learning rate, the number of epochs, the batch size (`vista/training/
resume.py`). What decides the order of samples is compared by the data, which know it (`datamodules/resumable.py`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vista.data import InputError
from vista.training.checkpoints import read_states

FIXED = (
    "seed_everything", "model.trainable", "model.coordinate_init", "model.optimization.optimizer", "model.weights",
    "model.adapters", "encoder", "qformer", "llm",
)  # fmt: skip
PARTS = ("encoder.", "qformer.", "llm.")
RATES = "model.optimization.rates"  # a resume may change them; the optimizer has a group for each part that has one
PLACES = ("weights", "architecture")
# Of the groups among these.
FREE = ("qformer.dropout", "llm.max_positions")
KEY = "RunFolder"  # the callback that keeps them in a checkpoint
# What Lightning wants of any checkpoint, and what a training goes on from.
TO_TEST = ("pytorch-lightning_version",)
POSITION = "MixtureData"
TO_RESUME = (*TO_TEST, "epoch", "global_step", "loops", "callbacks", "lr_schedulers", POSITION)


def fixed_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of all settings of a run that a resume cannot change, by their dotted names."""
    found: dict[str, Any] = {RATES: sorted(_setting(settings, RATES) or {})}
    for name in FIXED:
        value = _setting(settings, name)
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": part for key, part in value.items()}
        else:
            found[name] = value
    return {name: value for name, value in found.items() if name not in FREE}


def _setting(settings: Mapping[str, Any] | None, name: str) -> Any:
    key, _, rest = name.partition(".")
    value = (settings or {}).get(key)
    return _setting(value, rest) if rest else value


def check_states(checkpoint: Path, resumed: bool) -> None:
    """Refuse a checkpoint that lacks what is to be read of it: it may hold weights alone, or be made by other code.

    Raises:
        InputError: names what is lacking.
    """
    states = read_states(checkpoint)
    needed = TO_RESUME if resumed else TO_TEST
    lacking = [name for name in needed if name not in states]
    # Of a sharded checkpoint they lie in the shards.
    if resumed and checkpoint.is_file() and "optimizer_states" not in states:
        lacking.append("optimizer_states")
    if resumed and "epoch" not in (states.get(POSITION) or {}):
        lacking.append(f"the epoch of {POSITION}")
    if lacking:
        advice = f"begin a new run from its weights by --model.init_from {checkpoint}"
        raise InputError(
            f"{checkpoint} lacks {', '.join(lacking)}, so it cannot be {'resumed' if resumed else 'loaded'}; {advice}"
        )


def check_resume(checkpoint: Path, settings: Mapping[str, Any]) -> None:
    """Refuse to resume under settings that would be written down and not be used.

    Args:
        checkpoint: what is resumed.
        settings: all of the run that resumes it.

    Raises:
        InputError: names the setting, and both values.
    """
    states = read_states(checkpoint)
    saved = states.get("callbacks", {}).get(KEY, {}).get("settings", {})
    for name, now in fixed_settings(settings).items():
        then = saved.get(name, now)
        place = name.endswith(PLACES)
        # A folder of weights may have been moved; what was read from it is in the checkpoint.
        moved = place and then is not None and not Path(then).exists()
        # A size that one of the two leaves to a file; the weights of both are compared.
        unsaid = name.startswith(PARTS) and not place and None in (then, now)
        if then != now and not (moved or unsaid):
            raise InputError(
                f"--{name} is {now}, but it was {then} when the checkpoint was made, and a resumed run goes on with "
                f"that; leave it out, or begin a new run with --model.init_from {checkpoint}"
            )
