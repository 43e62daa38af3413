"""The `config.json` beside weights of transformers: what it says of a part must be what the part is.

    {"model_type": "llama", "num_hidden_layers": 32, "rms_norm_eps": 1e-05, ...}
    {"model_type": "instructblip", "vision_config": {...}, "qformer_config": {...}, "text_config": {...}}

Sizes show in the shapes of weights, but not how many heads share them, nor what is added to a variance: a model that
was built with others takes the weights and answers nonsense. So the file decides, and what a run says must be the same.
The file of an encoder that `pretrain` wrote holds the same in its head, under `config`.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import CONFIG_MAPPING, PreTrainedConfig

from vista.data import InputError, MissingFileError
from vista.models.gguf import config_of_gguf, gguf_file
from vista.models.hub import SETTINGS as JSON_FILES
from vista.models.hub import local

Values: TypeAlias = dict[str, Any]  # settings of a part, by name

# Of a composite folder, by the prefix of a part's weights.
SECTIONS = {
    "vision_model.": "vision_config",
    "qformer.": "qformer_config",
    "language_model.": "text_config",
}
# The group of settings of each.
GROUPS = {"vision_model.": "encoder", "qformer.": "qformer", "language_model.": "llm"}
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
LONGEST = "max_position_embeddings"
# The same parts under another name.
ALIKE = {
    "blip_2_vision_model": "instructblip_vision_model",
    "llava_llama": "llama",
    "bert": "instructblip_qformer",  # is copied into one
}
# LLaVA's first releases: a LLaMA's own settings under another name.
ALIKE_FILES = {"llava_llama": "llama"}
# Of a QFormer alone, whatever a BERT's file says: its words are never predicted.
BEYOND_BERT = ("cross_attention_frequency", "encoder_hidden_size", "tie_word_embeddings")
# Of these no shape of a weight tells.
UNSEEN = ("num_attention_heads", "rms_norm_eps", "rope_theta")


def described(
    weights: Path | None, architecture: Path | None, prefix: str
) -> PreTrainedConfig | None:
    """What is said of a part: by the folder of its architecture, else by what lies beside its weights.

    Args:
        weights: a file, or the folder of several; None: the part starts at random.
        architecture: a folder of which nothing but its `config.json` is read.
        prefix: see `part_config`.

    Returns:
        None where nothing is said.

    Raises:
        InputError: see `part_config`.
        MissingFileError: the architecture's folder says nothing.
    """
    folder = architecture or weights
    config = None if folder is None else part_config(folder, prefix)
    if config is None and architecture is not None:
        raise MissingFileError(
            f"{architecture} holds no config.json; {GROUPS[prefix]}.architecture names its folder"
        )
    return config


def part_config(weights: Path, prefix: str) -> PreTrainedConfig | None:
    """What the `config.json` beside weights says of one part, as transformers' own config of its kind.

    Args:
        weights: a file, or the folder of several; only what describes them is read.
        prefix: of the part's weights in a composite folder, such as `language_model.`.

    Returns:
        None where there is no such file, or it is of something else.

    Raises:
        InputError: the file is damaged, or of a kind that transformers does not know.
    """
    file, text = _description(local(Path(weights), JSON_FILES))
    content = _content(file, text)
    if not content.keys() & {"model_type", *SECTIONS.values(), *SETTINGS}:
        return None
    kind = str(content.get("model_type"))
    kind = ALIKE_FILES.get(kind, kind)
    if kind not in CONFIG_MAPPING:
        raise InputError(f"{file} has model_type {kind!r}, which transformers does not know")
    # Without `auto_map`: no code of a folder is ever run.
    known = {key: value for key, value in content.items() if key not in ("auto_map", "model_type")}
    try:
        config = CONFIG_MAPPING[kind].from_dict(known)
    except Exception as error:  # whatever transformers' checks of a model's values raise
        reason = " ".join(str(error).split())
        raise InputError(f"{file} describes no {kind}: {reason}") from error
    section = getattr(config, SECTIONS.get(prefix, ""), None)
    return section if isinstance(section, PreTrainedConfig) else config


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


def config_text(part: nn.Module) -> str:
    """What is written into the head of a part's file, to be compared when it is read."""
    config: PreTrainedConfig = part.config  # type: ignore[assignment]
    return config.to_json_string(use_diff=False)


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


def _content(file: Path, text: str) -> Values:
    """A config as a group of settings."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{file} is no JSON file: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{file} holds no settings of a model")
    return content


def _section(file: Path, text: str, prefix: str) -> Mapping[str, Any]:
    """What a config says of one part."""
    content = _content(file, text)
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
