"""What files of weights hold, by their headers alone: names and sizes of tensors, none of which is read."""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import nn

from vista.data import InputError, MissingFileError
from vista.models.weights import NO_WEIGHTS, TABLES, is_tied

Shape = tuple[int, ...]
INDEX = "model.safetensors.index.json"  # beside shards: which tensor is in which


def shapes_in(path: Path, prefix: str = "") -> dict[str, Shape]:
    """Sizes of all tensors under a prefix, see `vista.models.weights.read_tensors`.

    Raises:
        MissingFileError: no file is there, or a shard is missing that the index names.
        InputError: a file is damaged.
    """
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise MissingFileError(
            f"no .safetensors file at {path}; download the weights into that folder"
        )
    for shard in shards_named(path):
        if path / shard not in files:
            raise MissingFileError(f"{path} lacks the shard {shard}; download it into that folder")
    shapes: dict[str, Shape] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118
                    shapes[name] = tuple(opened.get_slice(name).get_shape())
        except SafetensorError as error:
            raise InputError(
                f"{file} is no safetensors file, or is damaged: {error}; download it again"
            ) from error
    own = {name.removeprefix(prefix): s for name, s in shapes.items() if name.startswith(prefix)}
    return own or shapes


def shards_named(path: Path) -> list[str]:
    """The shards that a folder's index names; none where it has no index.

    Raises:
        InputError: the index is damaged.
    """
    file = path / INDEX
    if not file.is_file():
        return []
    try:
        return sorted(set(json.loads(file.read_text())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{file} is no index of shards; download it again") from error


def unfit(part: nn.Module, path: Path, prefix: str) -> list[str]:
    """What keeps `vista.models.weights.load_part` from filling a part, a sentence each; none: it can.

    Args:
        part: on any device, the meta device too.
        path: a file or a folder.
        prefix: of the part's names.

    Raises:
        MissingFileError, InputError: see `shapes_in`.
    """
    shapes, state = shapes_in(path, prefix), part.state_dict()
    found = [
        f"{path} lacks {name}" for name in state if name not in shapes and not is_tied(part, name)
    ]
    found += [
        f"{path} has {name}, which this {type(part).__name__} lacks"
        for name in sorted(shapes.keys() - state.keys())
        if not NO_WEIGHTS.search(name)
    ]
    own = {name: tuple(tensor.shape) for name, tensor in state.items()}
    return found + _other_sizes(shapes, own, path)


def _other_sizes(theirs: Mapping[str, Shape], own: Mapping[str, Shape], path: Path) -> list[str]:
    """A table of words may have fewer rows in the file: the vocabulary was extended."""
    found = []
    for name in sorted(theirs.keys() & own.keys()):
        there, here = theirs[name], own[name]
        grown = name.endswith(TABLES) and there[1:] == here[1:] and there[0] < here[0]
        if there != here and not grown:
            found.append(f"{path}: {name} has size {there}, the model needs {here}")
    return found
