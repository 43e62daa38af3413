"""Tensors in files, of which any rows are read by themselves: safetensors, and torch's pickles of tensors alone.

    tensors = open_tensors(Path("checkpoints/vicuna"))
    tensors["model.norm.weight"].read(slice(0, 1024))

Nothing is read before it is asked for, and nothing is kept: a process that holds an eighth of the weights reads an
eighth of a file. No code in a file is run.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vista.data import InputError, MissingFileError
from vista.models.gguf import gguf_file, read_gguf

ALL = slice(None)
# How files of weights are called in a folder, the first kind that is there; an index names the files of several.
KINDS = (
    ("model.safetensors.index.json", "*.safetensors"),
    ("pytorch_model.bin.index.json", "pytorch_model*.bin"),
)
PICKLES = (".bin", ".pt", ".pth")


@dataclass(frozen=True)
class Stored:
    """A tensor that is somewhere else.

    Attributes:
        shape: of all of it.
        read: gives some of its rows, which must not be written to; of a number, the number.
    """

    shape: tuple[int, ...]
    read: Callable[[slice], Tensor]

    @classmethod
    def of(cls, tensor: Tensor) -> "Stored":
        """A tensor that is here."""
        return cls(tuple(tensor.shape), partial(rows_of, tensor))


def open_tensors(path: Path) -> dict[str, Stored]:
    """All tensors of a checkpoint, by their names in it.

    Args:
        path: a file (`.safetensors`, `.bin`, `.pt`, `.pth` or `.gguf`), or a folder of some.

    Raises:
        MissingFileError: no file of weights is there, or one that an index names.
        InputError: a file is damaged, or is a pickle of more than tensors.
    """
    if (gguf := gguf_file(path)) is not None:
        return {name: Stored.of(tensor) for name, tensor in read_gguf(gguf).items()}
    tensors: dict[str, Stored] = {}
    for file in _files(path):
        tensors |= _open_pickle(file) if file.suffix in PICKLES else _open_safetensors(file)
    return tensors


def _files(path: Path) -> list[Path]:
    """The files of a checkpoint."""
    found = [path] if path.is_file() else []
    for index, pattern in KINDS if path.is_dir() else ():
        if (path / index).is_file():
            found = [path / name for name in _named_by(path / index)]
        else:
            found = sorted(path.glob(pattern))
        if found:
            break
    lacking = [file for file in found if not file.is_file()]
    if lacking:
        raise MissingFileError(
            f"{path} lacks {lacking[0].name}, which its index names; download it, too"
        )
    if not found:
        raise MissingFileError(
            f"no .safetensors file at {path}, nor a pytorch_model.bin; download the weights into that folder; a part "
            "that is to start at random names it as its `architecture`"
        )
    return found


def _named_by(index: Path) -> list[str]:
    try:
        return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{index} is no index of files of weights; download it again") from error


def _open_safetensors(file: Path) -> dict[str, Stored]:
    try:
        with safe_open(file, framework="pt") as opened:
            names = list(opened.keys())
            shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in names}
    except SafetensorError as error:
        raise InputError(f"{file} is no safetensors file, or is damaged: {error}") from error
    return {
        name: Stored(shape, partial(_read_safetensors, file, name))
        for name, shape in shapes.items()
    }


def _read_safetensors(file: Path, name: str, rows: slice) -> Tensor:
    """Some rows; the file is opened for them alone, since pages of it count as memory as long as it is open."""
    with safe_open(file, framework="pt") as opened:
        part = opened.get_slice(name)
        tensor: Tensor = part[rows] if part.get_shape() else opened.get_tensor(name)
    return tensor


def _open_pickle(file: Path) -> dict[str, Stored]:
    """Tensors of `torch.save`, left on the disk where the file is of this decade; LAVIS wraps them as `model`."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # older files cannot be left on the disk
        content = _load_old(file)
    except Exception as error:  # a damaged or foreign file may make the unpickler fail in any way
        raise InputError(f"{file} is damaged, or holds more than tensors") from error
    for key in ("model", "state_dict", "module"):
        inner = content.get(key) if isinstance(content, Mapping) else None
        content = inner if isinstance(inner, Mapping) else content
    tensors = content.items() if isinstance(content, Mapping) else ()
    return {name: Stored.of(tensor) for name, tensor in tensors if isinstance(tensor, Tensor)}


def _load_old(file: Path) -> object:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # as above
        raise InputError(f"{file} is damaged, or holds more than tensors") from error


def rows_of(tensor: Tensor, rows: slice) -> Tensor:
    """Some rows of a tensor that is here; of a number, the number."""
    return tensor[rows] if tensor.dim() else tensor
