"""The settings of a model that is one folder: its `config.yaml`, and what the files beside it say.

    config.yaml     how it was trained: `data`, `model`, `trainer`          written without what follows
    config.json     sizes of the parts, in one file or in a folder of each  -> `encoder`, `qformer`, `llm`
    vista.json      how its text is written                                 -> `tokenizer`, `codec`

So nothing is said twice, and no two files can differ.
"""

import json
from pathlib import Path

from vista.app.strict_yaml import Settings, read_config
from vista.data import InputError
from vista.training.folder_settings import INSTRUCTIONS, is_model_folder, read_settings

# Groups that other files decide; and the name, since what is asked of a folder goes to runs/ under its own.
OF_FILES = ("encoder", "qformer", "llm", "tokenizer", "codec", "name")
# Of where a model was trained, and not of how.
OF_PLACE = (
    "accelerator", "devices", "num_nodes", "strategy", "logger", "callbacks", "plugins", "profiler",
    "enable_progress_bar",
)  # fmt: skip
SECTIONS = {
    "encoder": ("vision_config", "vision_model"),
    "qformer": ("qformer_config", "qformer"),
    "llm": ("text_config", "language_model"),
}


def how_trained(settings: Settings) -> Settings:
    """What `config.yaml` of a folder holds, of all settings of a run: no size, no path of a weight, no device."""
    kept = {name: value for name, value in settings.items() if name not in OF_FILES}
    kept["model"] = dict(settings.get("model") or {}) | {"weights": None, "init_from": None}
    kept["model"].pop("adapters", None)  # they are merged
    trainer = settings.get("trainer") or {}
    kept["trainer"] = {name: value for name, value in trainer.items() if name not in OF_PLACE}
    return kept


def read_with_model(file: Path) -> Settings:
    """A config, with what the files of a model say that it lies beside.

    Raises:
        InputError: a file is damaged.
    """
    settings, folder = read_config(file), file.parent
    if file.name != "config.yaml" or not is_model_folder(folder):
        return settings
    saved = read_settings(folder)
    own = {name: value for name, value in saved["settings"].items() if "." not in name}
    layout = {name: own.pop(name) for name in ("bracket_layout", "number_tokens") if name in own}
    instructions = str(folder / INSTRUCTIONS) if saved["instructions"] else None
    settings["tokenizer"] = {"folder": str(folder), "instructions": instructions, **layout}
    settings["codec"] = own
    content = _json(folder / "config.json")
    for group, (section, part) in SECTIONS.items():
        described = folder if section in content else folder / part
        settings[group] = {"architecture": str(described), "weights": None}
    settings["qformer"]["num_queries"] = content.get("num_query_tokens")
    return settings


def _json(file: Path) -> Settings:
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{file.parent} lacks {file.name}; it is not whole") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is no JSON file: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{file} holds no settings of a model")
    return content
