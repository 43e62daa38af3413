"""Weights and checkpoints against the model of the config; nothing but names, sizes and settings is read."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from datamodules.commands.bare import Run
from datamodules.commands.configured import Setup
from datamodules.commands.health.finding import Finding, fault
from vista.app.runs import find_checkpoint, find_file, run_of
from vista.app.strict_yaml import Settings, read_config
from vista.data import InputError
from vista.models.config_check import differing
from vista.models.vistallm import VistaLLM
from vista.models.weights import Filling, check_shapes, load_part, load_queries
from vista.module import text_settings
from vista.tokens.tokenizer import Tokenizer
from vista.training.checkpoints import open_weights, read_states
from vista.training.model_folder import PREFIX

# Groups of settings -> the part of the model, whose name begins those of its weights in one folder for all.
PARTS = {
    "encoder": "vision_model",
    "qformer": "qformer",
    "llm": "language_model",
    "model": "language_projection",
}


def look_at_weights(settings: Settings, model: VistaLLM) -> Iterator[Finding]:
    """A line for each part that starts from a file: every tensor has its place, and the sizes agree.

    Args:
        settings: name the files.
        model: on the meta device, so that `load_part` makes all its checks and reads nothing.
    """
    for group, name in PARTS.items():
        weights = find_file((settings.get(group) or {}).get("weights"))
        if weights is not None:
            yield _look_at(group, partial(_load, getattr(model, name), weights, f"{name}."))
    weights = find_file((settings.get("model") or {}).get("weights"))
    if weights is not None:
        yield _look_at("queries", partial(_load_queries, model, weights))


def _look_at(what: str, load: Callable[[], str]) -> Finding:
    check = f"weights {what}"
    try:
        return Finding(check, load())
    except (InputError, OSError) as error:
        return fault(check, " ".join(str(error).split()))


def _load(part: nn.Module, weights: Path, prefix: str) -> str:
    load_part(part, weights, prefix)
    assert isinstance(part.filling, Filling)
    return part.filling.report


def _load_queries(model: VistaLLM, weights: Path) -> str:
    load_queries(model.query_tokens, weights)
    return f"query_tokens of {weights}"


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
    _, shapes = open_weights(path)
    complaints = list(_differences(path, shapes, setup, run, tokenizer, model))
    advice = "set what it was made with, or name another one"
    if complaints:
        yield fault("checkpoint", f"{path}: {'; '.join(complaints)}; {advice}")
    else:
        yield Finding("checkpoint", f"{path} was made with these settings")


def _differences(
    path: Path,
    shapes: Mapping[str, Tensor],
    setup: Setup,
    run: Run,
    tokenizer: Tokenizer,
    model: VistaLLM,
) -> Iterator[str]:
    states = read_states(path)
    saved = states.get("vista", {})
    settings = text_settings(tokenizer, setup.codec, model)
    for name, then, now in differing(saved.get("settings", {}), settings):
        yield f"{name} is {then} there and {now} here"
    if saved.get("tokenizer", tokenizer.to_json()) != tokenizer.to_json():
        yield "its tokenizer is another (tokenizer.folder, tokenizer.instructions)"
    folder = run_of(path)
    if folder is not None:
        then = (read_config(folder / "config.yaml").get("data") or {}).get("template")
        if then is not None and then != run.data["template"]:
            yield f"data.template is {then} there and {run.data['template']} here"
    try:
        theirs = {name: shapes[name] for name in shapes if name.startswith(PREFIX)}
        check_shapes(theirs, {f"{PREFIX}{k}": v for k, v in model.state_dict().items()})
    except InputError as error:
        yield str(error)
