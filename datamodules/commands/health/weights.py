"""Weights and checkpoints against the model of the config; nothing but names, sizes and settings is read."""

from collections.abc import Iterator
from pathlib import Path

from torch import nn

from datamodules.commands.bare import Run
from datamodules.commands.configured import Setup
from datamodules.commands.health.finding import Finding, fault
from vista.app.runs import find_checkpoint, find_file, run_of
from vista.app.strict_yaml import Settings, read_config
from vista.data import InputError
from vista.models.config_file import check_config
from vista.models.headers import shapes_in, unfit
from vista.models.vistallm import VistaLLM
from vista.models.weights import check_shapes
from vista.module import text_settings
from vista.tokens.tokenizer import Tokenizer
from vista.training import sharded_checkpoints as sharded
from vista.training.checkpoints import check_sound, read_states

# Groups of settings -> the part of the model, and the prefix of its weights in one folder for all.
PARTS = {
    "encoder": ("vision_model", "vision_model."),
    "qformer": ("qformer", "qformer."),
    "llm": ("language_model", "language_model."),
    "model": ("language_projection", "language_projection."),
}


def look_at_weights(settings: Settings, model: VistaLLM) -> Iterator[Finding]:
    """A line for each part that starts from a file: every tensor has its place, and the sizes agree."""
    for group, (name, prefix) in PARTS.items():
        weights = find_file((settings.get(group) or {}).get("weights"))
        if weights is not None:
            yield _look_at_part(group, getattr(model, name), weights, prefix)
    weights = find_file((settings.get("model") or {}).get("weights"))
    if weights is not None:
        yield _look_at_queries(weights, tuple(model.query_tokens.shape))


def _look_at_queries(weights: Path, needed: tuple[int, ...]) -> Finding:
    check = "weights queries"
    try:
        there = shapes_in(weights, "query_tokens").get("")
    except (InputError, OSError) as error:
        return fault(check, " ".join(str(error).split()))
    if there != needed:
        return fault(check, f"{weights} has query_tokens of size {there}, the model needs {needed}")
    return Finding(check, f"query_tokens are in {weights}")


def _look_at_part(group: str, part: nn.Module, weights: Path, prefix: str) -> Finding:
    check = f"weights {group}"
    try:
        check_config(part, weights, prefix)
        complaints = unfit(part, weights, prefix)
    except (InputError, OSError) as error:
        return fault(check, " ".join(str(error).split()))
    if complaints:
        more = f", and {len(complaints) - 1} more" * (len(complaints) > 1)
        return fault(
            check, f"{complaints[0]}{more}; fetch the folder again, or set the sizes that it has"
        )
    return Finding(check, f"all {len(part.state_dict())} tensors are in {weights}")


def look_at_checkpoint(
    setup: Setup, run: Run, tokenizer: Tokenizer, model: VistaLLM, resumed: str
) -> Iterator[Finding]:
    """A line for what is resumed or begun from, if anything is.

    Args:
        setup: with the codec.
        run: its template and `init_from`.
        tokenizer: of the config.
        model: without weights.
        resumed: what `--ckpt_path` names; empty: nothing.
    """
    named = resumed or run.model["init_from"]
    if not named:
        return
    path = find_checkpoint(named, "last" if resumed else "best")
    check_sound(path)
    complaints = list(_differences(path, setup, run, tokenizer, model))
    advice = "set what it was made with, or name another one"
    if complaints:
        yield fault("checkpoint", f"{path}: {'; '.join(complaints)}; {advice}")
    else:
        yield Finding("checkpoint", f"{path} was made with these settings")


def _differences(
    path: Path, setup: Setup, run: Run, tokenizer: Tokenizer, model: VistaLLM
) -> Iterator[str]:
    states = read_states(path)
    saved = states.get("vista", {})
    then_settings = saved.get("settings", {})
    for name, now in text_settings(tokenizer, setup.codec, model).items():
        then = then_settings.get(name, now)
        if then != now:
            yield f"{name} is {then} there and {now} here"
    if saved.get("tokenizer", tokenizer.to_json()) != tokenizer.to_json():
        yield "its tokenizer is another (tokenizer.folder, tokenizer.instructions)"
    folder = run_of(path)
    if folder is not None:
        then = (read_config(folder / "config.yaml").get("data") or {}).get("template")
        if then is not None and then != run.data["template"]:
            yield f"data.template is {then} there and {run.data['template']} here"
    try:
        check_shapes(
            _weights(path, states), {f"model.{k}": v for k, v in model.state_dict().items()}
        )
    except InputError as error:
        yield str(error)


def _weights(path: Path, states: dict) -> dict:
    """Weights of the model by name; of a file they stay on the disk, of shards nothing but sizes is read."""
    found = states.get("state_dict")
    if path.is_dir():
        found = sharded.empty_tensors(path, sharded.WEIGHTS, device="meta")
    return {name: tensor for name, tensor in (found or {}).items() if name.startswith("model.")}
