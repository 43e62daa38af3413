"""The `config.json` beside weights of transformers: what it says of a part must be what the part is.

    {"model_type": "llama", "num_hidden_layers": 32, "rms_norm_eps": 1e-05, ...}
    {"model_type": "instructblip", "vision_config": {...}, "qformer_config": {...}, "text_config": {...}}

Sizes show in the shapes of weights, but not how many heads share them, nor what is added to a variance: a model that
was built with others takes the weights and answers nonsense. Nothing is taken over: the settings of a run say it all.
The file of an encoder that `pretrain` wrote holds the same in its head, under `config`.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import PreTrainedConfig

from vista.data import InputError
from vista.models.gguf import config_of_gguf, gguf_file

Values: TypeAlias = dict[str, Any]  # settings of a part, by name

# Of a composite folder, by the prefix of a part's weights.
SECTIONS = {
    "vision_model.": "vision_config",
    "qformer.": "qformer_config",
    "language_model.": "text_config",
}
# What decides how a part computes -> our setting of it, if there is one.
SETTINGS = {
    "hidden_size": "hidden_size",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "intermediate_size": "mlp_size",
    "image_size": "image_size",
    "patch_size": "patch_size",
    "cross_attention_frequency": "cross_attention_every",
    "encoder_hidden_size": "",
    "tie_word_embeddings": "tie_embeddings",
    "rms_norm_eps": "rms_norm_eps",
    "rope_theta": "rope_theta",
    "rope_type": "",
    "layer_norm_eps": "",
    "hidden_act": "",
    "num_key_value_heads": "",
    "head_dim": "",
    "attention_bias": "",
    "mlp_bias": "",
    "qkv_bias": "",
}
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
    file, text = _description(weights)
    theirs = _section(file, text, prefix)
    if not theirs.keys() & {"model_type", *SETTINGS}:
        return  # of something else that lies there
    group = type(part).__name__.lower()
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


def config_text(part: nn.Module) -> str:
    """What is written into the head of a part's file, to be compared when it is read."""
    config: PreTrainedConfig = part.config  # type: ignore[assignment]
    return json.dumps({"model_type": config.model_type, **_values(config)})


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
    return found


def _description(weights: Path) -> tuple[Path, str]:
    """What is said of weights, and the file that says it; nothing is an empty group."""
    folder = weights if weights.is_dir() else weights.parent
    file = folder / "config.json"
    if file.is_file():
        return file, file.read_text(encoding="utf-8", errors="replace")
    if (gguf := gguf_file(weights)) is not None:
        return gguf, config_of_gguf(gguf)
    head = None
    if weights.is_file():
        with suppress(SafetensorError), safe_open(weights, framework="pt") as opened:
            head = opened.metadata()
    return weights, (head or {}).get("config", "{}")


def _section(file: Path, text: str, prefix: str) -> Mapping[str, Any]:
    """What a config says of one part."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{file} is no JSON file: {error}") from error
    section = content
    if isinstance(content, dict):
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
    key = "max_position_embeddings"
    most, asked = getattr(theirs, key, 0), getattr(ours, key, 0)
    if asked <= most:
        return []
    return [f"{key} is {most} there and {asked} here (--{group}.max_positions)"]
