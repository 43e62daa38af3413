"""Weights by the name that they have on the Hugging Face hub, where a folder could be named."""

import re
from functools import cache
from pathlib import Path

from vista.data import MissingFileError

ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# What is downloaded: weights, settings and tokenizers; no pickle and no code.
SETTINGS = ("*.json",)
WANTED = ("*.safetensors", *SETTINGS, "*.model", "*.txt")


def local(path: Path, wanted: tuple[str, ...] = WANTED) -> Path:
    """A path that is there; what is none, but reads like `owner/name`, is downloaded once.

    Args:
        path: a file, a folder, or the name of a model on the hub.
        wanted: patterns of the files that are downloaded; others may be, later, into the same folder.

    Returns:
        the path itself where it is there or reads like none on the hub, else the downloaded folder.

    Raises:
        MissingFileError: the hub has no such model, or cannot be reached; says how it is downloaded elsewhere.
    """
    return path if path.exists() or not ID.fullmatch(str(path)) else _downloaded(path, wanted)


@cache
def _downloaded(path: Path, wanted: tuple[str, ...]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(path), allow_patterns=list(wanted)))
    except Exception as error:  # each kind of trouble with a network has an error of its own
        raise MissingFileError(
            f"there is no folder {path}, and it could not be fetched from the hub; where there is a network, run "
            f"`hf download {path} --include {' '.join(map(repr, WANTED))} --local-dir DIR`, and name that folder"
        ) from error
