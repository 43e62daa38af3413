"""A part against what lies beside its weights, and two models' settings against each other.

    config.json of checkpoints/qwen3 decides on sizes: num_hidden_layers is 36 there and --llm.num_layers is 3

Where a `config.json` and a run say different things of a part, every difference is named with both values.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn
from transformers import PreTrainedConfig

from vista.data import InputError
from vista.models.config_file import (
    GROUPS,
    SECTIONS,
    SETTINGS,
    Values,
    description,
    settings_in,
)

LONGEST = "max_position_embeddings"
# The same parts under another name.
ALIKE = {
    "blip_2_vision_model": "instructblip_vision_model",
    "llava_llama": "llama",
    "bert": "instructblip_qformer",  # is copied into one
}
# Of a QFormer alone, whatever a BERT's file says: its words are never predicted.
BEYOND_BERT = ("cross_attention_frequency", "encoder_hidden_size", "tie_word_embeddings")
# Of these no shape of a weight tells.
UNSEEN = ("num_attention_heads", "rms_norm_eps", "rope_theta")


def check_config(part: nn.Module, weights: Path, prefix: str) -> None:
    """Refuse weights whose `config.json` speaks of another model; where there is none, nothing is said.

    Args:
        part: whose `config` is compared; a part without one needs none.
        weights: a file, or the folder of several.
        prefix: of the part's weights in a composite folder.

    Raises:
        InputError: the file is damaged, or names every difference and both values.
    """
    own = getattr(part, "config", None)
    if own is None:
        return
    file, text = description(weights)
    theirs = _section(file, text, prefix)
    if not theirs.keys() & {"model_type", *SETTINGS}:
        return  # of something else that lies there
    group = GROUPS.get(prefix, type(part).__name__.lower())
    kind = theirs.get("model_type", own.model_type)
    if ALIKE.get(kind, kind) != own.model_type:
        raise InputError(f"{file} is of a {kind}, the {group} is a {own.model_type}")
    beyond = {key: getattr(own, key, None) for key in BEYOND_BERT if kind == "bert"}
    try:
        read = type(own).from_dict({**theirs, **beyond})
    except Exception as error:  # whatever transformers' checks of another model's values raise
        reason = " ".join(str(error).split())
        raise InputError(f"{file} describes no {own.model_type}: {reason}") from error
    differences = _differences(_values(read), _values(own), group)
    differences += _too_long(read, own, group)
    if differences:
        raise InputError(f"{file} is of another model: {'; '.join(differences)}")


def check_given(config: PreTrainedConfig, given: Values, folder: Path | None, group: str) -> None:
    """Refuse settings that say something else than a folder's `config.json`: the file decides.

    Args:
        config: what the file says.
        given: values by our names.
        folder: named in the error.
        group: of the settings.

    Raises:
        InputError: names every difference and both values.
    """
    theirs = _values(config)
    keys = {setting: key for key, setting in SETTINGS.items() if setting}
    differing = []
    for setting, value in given.items():
        key = keys.get(setting, LONGEST)
        found = theirs.get(key, getattr(config, key, None))
        # Positions may be fewer than those that were trained.
        same = value <= (found or 0) if key == LONGEST else value == found
        if not same:
            differing.append(f"{key} is {found} there and --{group}.{setting} is {value}")
    if differing:
        raise InputError(
            f"config.json of {folder} decides on sizes: {'; '.join(differing)}; leave such settings out"
        )


def unseen_settings(model: nn.Module) -> Values:
    """What no shape of a weight tells of the parts of a model, for its checkpoints.

    Returns:
        values by part and key, such as `language_model.num_attention_heads`.
    """
    found: Values = {}
    for name, part in model.named_children():
        config = getattr(part, "config", None)
        values = _values(config) if config is not None else {}
        for key in UNSEEN:
            if key in values:
                found[f"{name}.{key}"] = values[key]
        if hasattr(config, "pixels"):  # an encoder that is shown other pixels sees something else
            shown = ("size", "mean", "std")
            pixels: Values = config.pixels  # type: ignore[union-attr]
            found |= {f"{name}.pixels.{key}": pixels[key] for key in shown}
    return found


def differing(saved: Values, now: Values) -> Iterator[tuple[str, Any, Any]]:
    """Settings of a checkpoint that are others than a model's now: name, then, now; what it is silent on is alike."""
    for name, value in now.items():
        then = saved.get(name, value)
        if then != value:
            yield name, then, value


def _section(file: Path, text: str, prefix: str) -> Mapping[str, Any]:
    """What a config says of one part."""
    content = settings_in(file, text)
    section = content.get(SECTIONS.get(prefix, ""), content)
    if not isinstance(section, dict):
        raise InputError(f"{file} holds no settings of a model")
    return section


def _values(config: PreTrainedConfig) -> Values:
    """All that decides how a part computes, the rotary frequencies' numbers among it."""
    rotary = getattr(config, "rope_parameters", None) or {}
    values: Values = {}
    for key in SETTINGS:
        value = getattr(config, key, rotary.get(key))
        if value is not None:
            values[key] = value
    return values


def _differences(theirs: Values, ours: Values, group: str) -> list[str]:
    """A few words on each value that is not the same."""
    differing = []
    for key, setting in SETTINGS.items():
        their_value, our_value = theirs.get(key), ours.get(key)
        if their_value == our_value:
            continue
        named = f" (--{group}.{setting})" if setting else ""
        differing.append(f"{key} is {their_value} there and {our_value} here{named}")
    return differing


def _too_long(theirs: PreTrainedConfig, ours: PreTrainedConfig, group: str) -> list[str]:
    """Rotary positions may be fewer than those that were trained, not more."""
    most, asked = getattr(theirs, LONGEST, 0), getattr(ours, LONGEST, 0)
    if asked <= most:
        return []
    return [f"{LONGEST} is {most} there and {asked} here (--{group}.max_positions)"]
