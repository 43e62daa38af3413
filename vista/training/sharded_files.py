"""Sharded checkpoints: the folders that `ModelParallelStrategy` writes, read by one process.

    last.ckpt/.metadata  __0_0.distcp  __1_0.distcp  meta.pt

`.metadata` is a pickle. torch loads it as it is, so whoever writes it can run code; here every name that it asks for
must be one of those that torch itself writes.
"""

import argparse
import pickle
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.default_planner import _EmptyStateDictLoadPlanner
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.state_dict_loader import _load_state_dict

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


class _MetadataUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED or (module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


class _Reader(FileSystemReader):
    """torch's reader, but for the pickle."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.metadata = read_metadata(folder)

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        return self.metadata


def read_metadata(folder: Path) -> Metadata:
    """What a sharded checkpoint holds, and where.

    Raises:
        ValueError: it is damaged, unfinished or something else.
    """
    try:
        with (folder / ".metadata").open("rb") as file:
            metadata: Metadata = _MetadataUnpickler(file).load()
        missing = {info.relative_path for info in metadata.storage_data.values()} - {p.name for p in folder.iterdir()}
    except Exception as error:
        raise ValueError(f"{folder} is no sharded checkpoint, or is damaged: {error}") from error
    if missing:
        raise ValueError(f"{folder} lacks {sorted(missing)[0]}, it was not written to the end")
    return metadata


def read_sharded(folder: Path) -> dict[str, Any]:
    """Whole weights and the settings beside them, without the optimizer's state.

    Args:
        folder: of a sharded checkpoint; its weights must fit into this process's memory.

    Raises:
        ValueError: it is damaged, or something else.
    """
    weights: dict[str, Any] = {}
    planner = _EmptyStateDictLoadPlanner(keys={"state_dict"})
    _load_state_dict(weights, storage_reader=_Reader(folder), planner=planner, no_dist=True)
    return weights | torch.load(folder / "meta.pt", map_location="cpu", weights_only=True)


def main(arguments: list[str]) -> None:
    """The verb `consolidate`."""
    from vista.app.runs import find_checkpoint, read_checkpoint, write_checkpoint

    parser = argparse.ArgumentParser(
        prog="main.py consolidate", description="Write the weights of a sharded checkpoint into one file."
    )
    parser.add_argument("checkpoint", help="a run, its folder, or the folder of a sharded checkpoint")
    parser.add_argument("out", type=Path, help="file to write, for --ckpt_path or --model.init_from")
    chosen = parser.parse_args(arguments)
    checkpoint = read_checkpoint(find_checkpoint(chosen.checkpoint))
    kept = {
        key: checkpoint[key] for key in ("state_dict", "vista", "epoch", "global_step", "pytorch-lightning_version")
    }
    write_checkpoint(kept, chosen.out)
    print(f"{chosen.out}: {len(kept['state_dict'])} tensors")
