"""Uploading a model's folder to the Hugging Face hub.

The token is the library's own business: it is read where `hf auth login` has put it, and never seen here.
"""

import re
from pathlib import Path
from typing import Protocol

from vista.data import InputError
from vista.printable import say

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class Hub(Protocol):
    """What is asked of `huggingface_hub.HfApi`."""

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> object:
        """Make a place for a model."""

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> object:
        """Upload all files of a folder."""


def check_name(name: str) -> None:
    """Refuse what is no name of a model on the hub.

    Raises:
        InputError: says how such a name looks.
    """
    if not NAME.fullmatch(name):
        raise InputError(
            f"--push {name!r} is no name of a model on the hub; it looks like owner/name"
        )


def push(folder: Path, name: str, hub: Hub) -> None:
    """Say what is uploaded, then upload it; a new place is private until its owner opens it.

    Raises:
        InputError: the hub refuses, or cannot be reached.
    """
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    size = sum(file.stat().st_size for file in files) / 1e6
    names = ", ".join(file.relative_to(folder).as_posix() for file in files)
    say(f"uploading {len(files)} files ({size:,.1f} MB) to https://huggingface.co/{name}: {names}")
    try:
        hub.create_repo(name, private=True, exist_ok=True)
        hub.upload_folder(
            repo_id=name, folder_path=str(folder), commit_message="Exported by VistaLLM"
        )
    except Exception as error:  # each kind of trouble with a network has an error of its own
        kind = type(error).__name__
        raise InputError(
            f"{folder} is written, but was not uploaded to {name} ({kind}); see `hf auth whoami`, then upload it by "
            f"`hf upload {name} {folder}`"
        ) from error
    say(f"uploaded: https://huggingface.co/{name}")
