"""The `config.json` beside weights of transformers, which says what a part is; `config_check.py` compares.

    {"model_type": "llama", "num_hidden_layers": 32, "rms_norm_eps": 1e-05, ...}
    {"model_type": "instructblip", "vision_config": {...}, "qformer_config": {...}, "text_config": {...}}

Sizes show in the shapes of weights, but not how many heads share them, nor what is added to a variance: a model that
was built with others takes the weights and answers nonsense. So the file decides, and what a run says must be the same.
The file of an encoder that `pretrain` wrote holds the same in its head, under `config`.
"""

import json
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
# LLaVA's first releases: a LLaMA's own settings under another name.
ALIKE_FILES = {"llava_llama": "llama"}


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
    file, text = description(local(Path(weights), JSON_FILES))
    content = settings_in(file, text)
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


def config_text(part: nn.Module) -> str:
    """What is written into the head of a part's file, to be compared when it is read."""
    config: PreTrainedConfig = part.config  # type: ignore[assignment]
    return config.to_json_string(use_diff=False)


def description(weights: Path) -> tuple[Path, str]:
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


def settings_in(file: Path, text: str) -> Values:
    """A config as a group of settings."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{file} is no JSON file: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{file} holds no settings of a model")
    return content
