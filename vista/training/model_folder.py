"""A model as one folder: what `export` writes, transformers reads, and every verb takes for a checkpoint.

config.json  model.safetensors      an InstructBLIP of transformers; where the encoder is of another kind, each of
                                    vision_model/ qformer/ language_model/ is a folder of transformers by itself
tokenizer.json  qformer_tokenizer/  what texts are cut by
vista.json  vista.safetensors       what transformers does not know: the settings of the text, and tensors of no part
config.yaml  README.md              how it was trained (`vista/app/model_settings.py`), and the model card

Tensors are read one at a time, and no code in a folder is run. Each of their files has its sum beside it.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vista.data import InputError
from vista.tokens.tokenizer import Tokenizer
from vista.training import checkpoint_files as files
from vista.training.checkpoint_files import Checkpoint
from vista.training.folder_settings import INSTRUCTIONS, STATES, read_settings

OTHER_TENSORS = "vista.safetensors"
PARTS = ("vision_model", "qformer", "language_model")
PREFIX = "model."  # of the names of weights in a checkpoint, which transformers' names lack


class FolderWeights(Mapping[str, Tensor]):
    """The weights of a folder by their names in a checkpoint, as they were saved; each is read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        """Look at the names.

        Raises:
            InputError: a file is missing or damaged.
        """
        self.places: dict[str, tuple[Path, str]] = {}
        for file in _files(folder):
            own = "" if file.name == OTHER_TENSORS else PREFIX
            part = f"{file.parent.name}." if file.parent != folder else ""
            with opened(file) as tensors:
                for name in tensors.keys():  # noqa: SIM118
                    self.places[f"{own}{part}{name}"] = file, name
        # Where the head is the embeddings, transformers saves one of the two.
        self.tied: dict[str, str] = read_settings(folder)["tied"]
        for name, other in self.tied.items():
            if other not in self.places:
                raise InputError(f"{folder} lacks {other}")
            self.places[name] = self.places[other]

    def __getitem__(self, name: str) -> Tensor:
        file, own = self.places[name]
        with opened(file) as tensors:
            tensor: Tensor = tensors.get_tensor(own)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def shapes(self) -> dict[str, Tensor]:
        """Tensors of the same shapes without memory."""
        found = {}
        for name, (file, own) in self.places.items():
            with opened(file) as tensors:
                found[name] = torch.empty(tensors.get_slice(own).get_shape(), device="meta")
        return found


def read_folder(folder: Path) -> Checkpoint:
    """A folder as a checkpoint without the optimizer's state, its numbers in float32.

    Raises:
        InputError: it is damaged, or not of `export`.
    """
    weights = FolderWeights(folder)
    tensors: dict[str, Tensor] = {}
    for name in sorted(weights, key=weights.tied.__contains__):
        tensor = tensors[weights.tied[name]] if name in weights.tied else weights[name]
        tensors[name] = tensor.float() if tensor.is_floating_point() else tensor
    return {"state_dict": tensors} | read_states(folder)


def read_states(folder: Path) -> Checkpoint:
    """What is no tensor: the counters, the tokenizer and the settings of the text.

    Raises:
        InputError: it is damaged, or not of `export`.
    """
    saved = read_settings(folder)
    settings = saved["settings"]
    own = {key: settings[key] for key in ("bracket_layout", "number_tokens") if key in settings}
    instructions = folder / INSTRUCTIONS if saved["instructions"] else None
    try:
        tokenizer = Tokenizer(folder, instructions=instructions, **own)
    except (InputError, FileNotFoundError):
        raise
    except Exception as error:  # whatever transformers raises of a damaged file
        reason = " ".join(str(error).split())
        raise InputError(f"{folder}/tokenizer.json is damaged: {reason}") from error
    vista = {"tokenizer": tokenizer.to_json(), "settings": settings}
    return {"vista": vista} | {key: saved[key] for key in STATES}


def check_folder(folder: Path) -> None:
    """Compare each file of tensors with its sum.

    Raises:
        InputError: one is missing or damaged.
    """
    for file in _files(folder):
        files.check_sum(file)
    FolderWeights(folder)


def index_of(file: Path) -> Path:
    """Where it stands which of several files holds which tensor, as transformers writes it."""
    return file.with_name(f"{file.name}.index.json")


def _files(folder: Path) -> list[Path]:
    """All files of tensors of a folder.

    Raises:
        InputError: one that an index names is not there, or lies elsewhere.
    """
    found = [folder / OTHER_TENSORS]
    for each in (folder, *(folder / part for part in PARTS)):
        whole = each / "model.safetensors"
        if index_of(whole).is_file():
            found += [each / name for name in _named_by(index_of(whole))]
        elif whole.is_file() or each == folder:
            found.append(whole)
    if missing := [file for file in found if not file.is_file()]:
        raise InputError(f"{folder} lacks {missing[0].relative_to(folder)}; it is not whole")
    return found


def _named_by(index: Path) -> list[str]:
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{index} is no index of files of tensors") from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise InputError(f"{index} names {name!r}, which is no file beside it")
    return names


@contextmanager
def opened(file: Path) -> Iterator[Any]:
    """A file of tensors, which is not read before a tensor is asked for.

    Raises:
        InputError: it is damaged.
    """
    try:
        with safe_open(file, framework="pt") as tensors:
            yield tensors
    except SafetensorError as error:
        raise InputError(f"{file} is no safetensors file, or is damaged: {error}") from error
