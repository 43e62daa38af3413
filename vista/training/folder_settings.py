"""What a model's folder says of itself (`vista/training/model_folder.py`), read without torch or transformers.

So that a name on the command line is looked up, and a wrong one is told, before anything large is imported.
"""

import json
from pathlib import Path
from typing import Any

from vista.data import InputError

SETTINGS = "vista.json"
INSTRUCTIONS = "qformer_tokenizer"
STATES = ("epoch", "global_step", "pytorch-lightning_version")  # what is kept of a checkpoint
KEYS = {"settings", "instructions", "tied", *STATES}


def is_model_folder(path: Path) -> bool:
    """Whether a path is a folder that `export` has written."""
    return (path / SETTINGS).is_file()


def read_settings(folder: Path) -> dict[str, Any]:
    """What `vista.json` says.

    Raises:
        InputError: it is damaged, or something else.
    """
    file = folder / SETTINGS
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is no JSON file: {error}") from error
    if not isinstance(content, dict) or not content.keys() >= KEYS:
        raise InputError(f"{file} is not what `export` writes; it holds {', '.join(sorted(KEYS))}")
    if not isinstance(content["settings"], dict) or not isinstance(content["tied"], dict):
        raise InputError(f"{file}: settings and tied must each be a group of values")
    return content
