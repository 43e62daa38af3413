"""Sharded checkpoints: a folder into which every process writes its share of the weights and of the optimizer's state.

    last.ckpt/.metadata  __0_0.distcp  __1_0.distcp  meta.pt

The shards hold tensors and nothing else; what is no tensor is in `meta.pt`. torch would load any other entry as a
pickle, and `.metadata` as it is, so that whoever writes one of them could run code. Here every name that `.metadata`
asks for must be one of those that torch itself writes, and an entry that is no tensor is refused before a shard is
opened.
"""

import io
import pickle
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile

import torch
from torch import Tensor
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex, TensorStorageMetadata
from torch.distributed.checkpoint.planner import (
    LoadPlan,
    LoadPlanner,
    ReadItem,
    SavePlan,
    SavePlanner,
)
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from vista.data import InputError
from vista.training import checkpoint_files as files
from vista.training.checkpoint_files import Checkpoint

META = "meta.pt"
WEIGHTS = "state_dict."  # how the names of weights begin
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


def write_shards(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Write this process's share; returns when all processes have written theirs.

    Raises:
        OSError: one of the processes cannot write; raised in all.
    """
    with _own_errors():
        dcp.save(dict(tensors), storage_writer=_Writer(folder))


def finish(rest: Checkpoint, path: Path) -> None:
    """Add what is no tensor to the shards, and move all of it to its place.

    Raises:
        OSError: it cannot be written; what was at `path` is still there.
    """
    files.save(rest, files.unfinished(path) / META)
    files.move_folder(path)


def read_rest(folder: Path) -> Checkpoint:
    """What is no tensor: counters, settings of the text, and what the data and each callback remember.

    Raises:
        InputError: it is damaged, or something else.
    """
    if not (folder / META).is_file():
        raise InputError(f"{folder} lacks {META}, it was not written to the end")
    return files.load(folder / META, {"vista"})


def read_sharded(folder: Path) -> Checkpoint:
    """Whole weights and the settings beside them, without the optimizer's state.

    Args:
        folder: of a sharded checkpoint; its weights must fit into this process's memory.

    Raises:
        InputError: it is damaged, or something else.
    """
    weights = read_tensors(folder, WEIGHTS)
    return {"state_dict": weights} | read_rest(folder)


def read_tensors(folder: Path, prefix: str) -> dict[str, Tensor]:
    """All tensors whose names begin with a prefix, which is cut off, read by one process.

    Raises:
        InputError: one of them is damaged.
    """
    tensors = empty_tensors(folder, prefix)
    named = {f"{prefix}{name}": tensor for name, tensor in tensors.items()}
    read_into(named, folder, alone=True)
    return tensors


class ShardedWeights(Mapping[str, Tensor]):
    """Whole weights by their names, each read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        """Look at the names."""
        self.folder, self.empty = folder, empty_tensors(folder, WEIGHTS, "meta")

    def __getitem__(self, name: str) -> Tensor:
        tensor = torch.empty_like(self.empty[name], device="cpu")
        read_into({f"{WEIGHTS}{name}": tensor}, self.folder, alone=True)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.empty)

    def __len__(self) -> int:
        return len(self.empty)


def empty_tensors(folder: Path, prefix: str, device: str = "cpu") -> dict[str, Tensor]:
    """Tensors of the saved shapes and types; see `read_tensors`."""
    tensors = {}
    for name, entry in sound_metadata(folder).state_dict_metadata.items():
        if name.startswith(prefix) and isinstance(entry, TensorStorageMetadata):
            empty = torch.empty(entry.size, dtype=entry.properties.dtype, device=device)
            tensors[name.removeprefix(prefix)] = empty
    return tensors


def read_into(tensors: Mapping[str, Tensor], folder: Path, alone: bool = False) -> None:
    """Fill tensors in place by their names; of sharded ones each process reads its share.

    Args:
        tensors: of the shapes that were saved.
        folder: of a sharded checkpoint.
        alone: whether this process reads by itself, whatever others do.

    Raises:
        InputError: what is read is damaged.
    """
    with _own_errors(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")  # which is meant
        dcp.load(dict(tensors), storage_reader=_Reader(folder), no_dist=alone)


def sound_metadata(folder: Path) -> Metadata:
    """What a sharded checkpoint holds, and where; all of it is tensors, and is there in full length.

    Raises:
        InputError: it is damaged, unfinished or something else, or holds what is no tensor.
    """
    try:
        metadata = _read_metadata(folder)
        sizes = {file.name: file.stat().st_size for file in folder.iterdir() if file.is_file()}
        for name, entry in metadata.state_dict_metadata.items():
            _check_entry(name, entry, metadata.storage_data, sizes)
    except Exception as error:  # a damaged file may make the unpickler fail in any way
        raise InputError(f"{folder} is no sharded checkpoint, or is damaged: {error}") from error
    return metadata


def _read_metadata(folder: Path) -> Metadata:
    with (folder / ".metadata").open("rb") as file:
        metadata: Metadata = _MetadataUnpickler(file).load()
    return metadata


def _check_entry(
    name: str, entry: object, storage: Mapping[MetadataIndex, Any], sizes: Mapping[str, int]
) -> None:
    """Refuse an entry that is no tensor, or of which a part is missing.

    Args:
        name: of the entry.
        entry: what the metadata say of it.
        storage: where each part of each tensor begins (bytes), how long it is, and in which file.
        sizes: of the files, in bytes.
    """
    if not isinstance(entry, TensorStorageMetadata):
        raise InputError(f"{name} is no tensor, and loading it could run code")
    found = 0
    for chunk in entry.chunks:
        info = storage[MetadataIndex(name, chunk.offsets)]
        if info.relative_path not in sizes:
            raise InputError(f"it lacks {info.relative_path}, it was not written to the end")
        size, end = sizes[info.relative_path], info.offset + info.length
        if info.offset < 0 or end > size:
            raise InputError(f"{info.relative_path} has {size} bytes, {name} ends at {end}")
        if prod(chunk.sizes) * entry.properties.dtype.itemsize > info.length:
            raise InputError(f"{name} is larger than what is kept of it")
        found += prod(chunk.sizes)
    if found != prod(entry.size):
        raise InputError(f"{found} of {prod(entry.size)} numbers of {name} are there")


class _MetadataUnpickler(pickle.Unpickler):
    """Finds nothing but what torch itself writes."""

    def find_class(self, module: str, name: str) -> object:
        dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if dtype or (module, name) in ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


class _Writer(FileSystemWriter):
    """torch's writer, which says why it cannot write."""

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        with files.disk_errors():
            return super().write_data(plan, planner)


class _Reader(FileSystemReader):
    """torch's reader, of sound checkpoints alone, which compares what it reads with the sums that torch writes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.metadata = sound_metadata(folder)
        self.transforms = _Sums()  # type: ignore[assignment]

    def read_metadata(self, *args: object, **kwargs: object) -> Metadata:
        return self.metadata

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        try:
            return super().read_data(plan, planner)
        except OSError:
            raise
        except Exception as error:  # damaged bytes may make torch fail in any way
            raise InputError(f"{self.path} is damaged: {error}") from error


class _Sums:
    """Stands where a reader would unpack: a part of a tensor is an archive that keeps a CRC-32 of all it holds."""

    def transform_load_stream(
        self, read_item: ReadItem, transform_descriptors: Sequence[str], raw_stream: IO[bytes]
    ) -> IO[bytes]:
        archive = io.BytesIO(raw_stream.read())
        if ZipFile(archive).testzip() is not None:
            raise InputError(f"the sum of {read_item.storage_index.fqn} is another")
        archive.seek(0)
        return archive


@contextmanager
def _own_errors() -> Iterator[None]:
    """Around what torch does in all processes together, which packs the errors of all of them into one of its own.

    Raises:
        Exception: that of the first process that failed, in every process.
    """
    try:
        yield
    except CheckpointException as error:
        first, _ = error.failures[min(error.failures)]
        raise first from error
