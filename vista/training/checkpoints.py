"""Checkpoints on disk: one file, the folder of a sharded one, or a folder that `export` has written.

The folders have files of their own: `vista/training/sharded_checkpoints.py` and `model_folder.py`. Each checkpoint is
whole or not there. `check_sound` says whether one can be trusted to be what was written; whatever reads a checkpoint
asks it first.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from vista.models.merged import MergedWeights, merging_of, plain_names
from vista.training import checkpoint_files as files
from vista.training import model_folder as exported
from vista.training import sharded_checkpoints as sharded
from vista.training.checkpoint_files import Checkpoint
from vista.training.folder_settings import is_model_folder


def check_sound(path: Path) -> None:
    """Whether a checkpoint is whole: files by their sums, the folder of a sharded one by the lengths of its shards.

    Raises:
        InputError: says what is wrong with it.
    """
    if is_model_folder(path):
        exported.check_folder(path)
    elif path.is_dir():
        sharded.sound_metadata(path)
    else:
        files.check_sum(path)
    read_states(path)


def read_checkpoint(path: Path, lazy: bool = False) -> Checkpoint:
    """A sound checkpoint of ours; no code in it is run.

    Args:
        path: a file, or a folder, which comes without the optimizer's state.
        lazy: leave the tensors on the disk, to look at names and shapes alone; those of a folder are left out.

    Raises:
        InputError: it is damaged, or something else.
    """
    check_sound(path)
    if lazy:
        return read_states(path)
    if is_model_folder(path):
        return exported.read_folder(path)
    return sharded.read_sharded(path) if path.is_dir() else _read_file(path)


def open_weights(path: Path) -> tuple[Mapping[str, Tensor], dict[str, Tensor]]:
    """The weights of a sound checkpoint, of which none is in memory before it is asked for; adapters are merged.

    Returns:
        by name the weights, each read at every look; and tensors of their shapes, which may be without memory.

    Raises:
        InputError: it is damaged, or something else.
    """
    check_sound(path)
    return weights_and_shapes(path)


def weights_and_shapes(path: Path) -> tuple[Mapping[str, Tensor], dict[str, Tensor]]:
    """`open_weights` of a checkpoint that was found sound, since the sums of large files take minutes."""
    if is_model_folder(path):
        folder = exported.FolderWeights(path)
        return folder, folder.shapes()
    weights: Mapping[str, Tensor]
    if path.is_dir():
        weights = sharded.ShardedWeights(path)
        shapes = sharded.empty_tensors(path, sharded.WEIGHTS, "meta")
    else:
        weights = shapes = _read_file(path, lazy=True)["state_dict"]
    merging = merging_of(read_states(path))
    if merging is None:
        return weights, shapes
    plain = {name: shapes[own] for name, own in plain_names(shapes).items()}
    return MergedWeights(weights, merging), plain


def read_states(path: Path) -> Checkpoint:
    """A checkpoint without its tensors: counters, and what the data and each callback remember.

    It is not looked at whether the tensors are sound.

    Raises:
        InputError: it is damaged, or something else.
    """
    if is_model_folder(path):
        return exported.read_states(path)
    return sharded.read_rest(path) if path.is_dir() else _read_file(path, lazy=True)


def progress(checkpoint: Mapping[str, Any]) -> tuple[int, int, int]:
    """How far a run is in a checkpoint, to be compared: steps, epochs, batches of validations.

    After the last step of an epoch it is validated, and then ended; a checkpoint may be written at each of the three.
    """
    loops = checkpoint.get("loops", {}).get("fit_loop")
    if not loops:
        return checkpoint.get("global_step", 0), 0, 0
    epochs = loops["epoch_progress"]["total"]["processed"]
    validated = loops["epoch_loop.val_loop.batch_progress"]["total"]["completed"]
    return checkpoint["global_step"], epochs, validated


def _read_file(path: Path, lazy: bool = False) -> Checkpoint:
    return files.load(path, {"state_dict", "vista"}, lazy)


def write_checkpoint(content: Checkpoint, path: Path) -> None:
    """Write a checkpoint of one file, with its sum.

    Raises:
        OSError: it cannot be written; what was at `path` is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        files.write_sum(files.save(content, files.unfinished(path)), path)
        files.move_file(path)
    finally:
        files.discard(files.unfinished(path))
        files.discard(files.unfinished(files.sum_file(path)))


def copy_checkpoint(source: Path, target: Path) -> None:
    """A copy, which is as old as the first one; whole, or not there.

    Raises:
        OSError: it cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    files.discard(files.unfinished(target))
    try:
        if source.is_dir():
            shutil.copytree(source, files.unfinished(target))
            files.move_folder(target)
        else:
            shutil.copy2(source, files.unfinished(target))
            if files.sum_file(source).is_file():
                digest = files.sum_file(source).read_text().partition(" ")[0]
                files.write_sum(digest, target)
            files.move_file(target)
    finally:
        files.discard(files.unfinished(target))
        files.discard(files.unfinished(files.sum_file(target)))


def remove_checkpoint(path: Path) -> None:
    """Take a checkpoint away, with its sum."""
    files.remove(path)


def identity(path: Path) -> list[list[str | int]]:
    """What tells a checkpoint from another one at the same place: names, sizes and last changes (ns) of its files."""
    found = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [(file.name, file.stat()) for file in found if file.is_file()]
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
