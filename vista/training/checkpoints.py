"""Checkpoints on disk: one file that is whole or not there, or a folder that `ModelParallelStrategy` writes.

    last.ckpt/.metadata  __0_0.distcp  __1_0.distcp  meta.pt

`.metadata` is a pickle. torch loads it as it is, so whoever writes it can run code; here every name that it asks for
must be one of those that torch itself writes.
"""

import os
import pickle
import shutil
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.default_planner import _EmptyStateDictLoadPlanner
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.state_dict_loader import _load_state_dict

from vista.data import InputError

Checkpoint: TypeAlias = dict[
    str, Any
]  # Lightning's, with `vista`: the tokenizer and the settings of the text

META = "meta.pt"
OF_METADATA = (
    "Metadata", "MetadataIndex", "StorageMeta", "ChunkStorageMetadata", "TensorStorageMetadata", "TensorProperties",
    "BytesStorageMetadata", "_MEM_FORMAT_ENCODING",
)  # fmt: skip
ALLOWED = {
    *(("torch.distributed.checkpoint.metadata", name) for name in OF_METADATA),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    ("torch.serialization", "_get_layout"),
    ("torch", "Size"),
    ("pathlib", "PosixPath"),
}


def read_checkpoint(path: Path, lazy: bool = False) -> Checkpoint:
    """A checkpoint of ours; no code in it is run.

    Args:
        path: a file, or the folder of a sharded one, which comes without the optimizer's state.
        lazy: leave the tensors on the disk, to look at names and shapes alone.

    Raises:
        InputError: it is damaged, or something else.
    """
    if path.is_dir():
        return {"metadata": read_metadata(path)} if lazy else read_sharded(path)
    checkpoint = _load(path, lazy)
    if not isinstance(checkpoint, dict) or not {"state_dict", "vista"} <= checkpoint.keys():
        raise InputError(f"{path} is no checkpoint of VistaLLM")
    return checkpoint


def read_states(path: Path) -> Checkpoint:
    """A checkpoint without its tensors: counters, and what the data and each callback remember.

    Raises:
        InputError: it is damaged, or something else.
    """
    return _load(path / META, lazy=False) if path.is_dir() else read_checkpoint(path, lazy=True)


def _load(path: Path, lazy: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=lazy)
    except OSError:
        raise
    except Exception as error:  # a damaged file may make the unpickler fail in any way
        raise InputError(f"{path} is no checkpoint, or is damaged") from error


def copy_checkpoint(source: Path, target: Path) -> None:
    """A copy, which is as old as the first one; whole, or not there.

    Raises:
        OSError: it cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(target.name + ".unfinished")
    try:
        if source.is_dir():
            shutil.copytree(source, unfinished)
        else:
            shutil.copy2(source, unfinished)
        unfinished.replace(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.unlink(missing_ok=True)


def identity(path: Path) -> list[list[str | int]]:
    """What tells a checkpoint from another one at the same place: names, sizes and last changes (ns) of its files."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [(file.name, file.stat()) for file in files if file.is_file()]
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


def write_checkpoint(content: Checkpoint, path: Path) -> None:
    """Write a checkpoint of one file beside its place, and move it there when it is whole and on the disk.

    Raises:
        OSError: it cannot be written; what was at `path` is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with unfinished.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(
                file.fileno()
            )  # a file that is moved but not on the disk would be lost with the power
        unfinished.replace(path)
    except RuntimeError as error:
        # torch trips over its own file's end and hides why it could not write.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
    finally:
        unfinished.unlink(missing_ok=True)


def read_sharded(folder: Path) -> Checkpoint:
    """Whole weights and the settings beside them, without the optimizer's state.

    Args:
        folder: of a sharded checkpoint; its weights must fit into this process's memory.

    Raises:
        InputError: it is damaged, or something else.
    """
    weights: Checkpoint = {}
    planner = _EmptyStateDictLoadPlanner(keys={"state_dict"})
    _load_state_dict(weights, storage_reader=_Reader(folder), planner=planner, no_dist=True)
    return weights | _load(folder / META, lazy=False)


def read_metadata(folder: Path) -> Metadata:
    """What a sharded checkpoint holds, and where.

    Raises:
        InputError: it is damaged, unfinished or something else.
    """
    try:
        with (folder / ".metadata").open("rb") as file:
            metadata: Metadata = _MetadataUnpickler(file).load()
        needed = {info.relative_path for info in metadata.storage_data.values()}
        missing = needed - set(os.listdir(folder))
    except Exception as error:  # a damaged file may make the unpickler fail in any way
        raise InputError(f"{folder} is no sharded checkpoint, or is damaged: {error}") from error
    if missing:
        raise InputError(f"{folder} lacks {min(missing)}, it was not written to the end")
    return metadata


class _MetadataUnpickler(pickle.Unpickler):
    """Finds nothing but what torch itself writes."""

    def find_class(self, module: str, name: str) -> object:
        dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if dtype or (module, name) in ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


class _Reader(FileSystemReader):
    """torch's reader, but for the pickle."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.metadata = read_metadata(folder)

    def read_metadata(self, *args: object, **kwargs: object) -> Metadata:
        return self.metadata
