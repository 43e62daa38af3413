"""What a model begins with: the weights of an earlier stage, or those of its parts' own files.

Every process reads what it holds: a sharded model takes its rows out of a checkpoint of one file or of many, whatever
the number of processes that wrote it, and none of them ever has all.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from vista.models.laid_out import all_tensors, fill, give_memory
from vista.models.merged import merging_of
from vista.models.stored import Stored
from vista.training import sharded_checkpoints as sharded
from vista.training.checkpoint_files import Checkpoint
from vista.training.checkpoints import open_weights, read_checkpoint, read_states
from vista.training.model_folder import is_model_folder


def describe(path: Path) -> Checkpoint:
    """A sound checkpoint whose weights are names and shapes, left on the disk; adapters count as merged.

    Raises:
        InputError: it is damaged, or something else.
    """
    checkpoint = read_checkpoint(path, lazy=True)
    if merging_of(checkpoint) is not None or path.is_dir():
        _, checkpoint["state_dict"] = open_weights(path)
    checkpoint["vista"].pop("adapters", None)
    return checkpoint


def fill_from(module: nn.Module, path: Path) -> None:
    """Take the weights of a checkpoint by their names; its adapters are merged.

    Args:
        module: of the same names and shapes, see `describe`, adapters aside; sharded or not, laid out or not.
        path: a file, or the folder of a sharded checkpoint.

    Raises:
        InputError: what is read is damaged.
    """
    if path.is_dir() and not is_model_folder(path) and merging_of(read_states(path)) is None:
        give_memory(module)
        own = all_tensors(module)
        names = sharded.empty_tensors(path, sharded.WEIGHTS, "meta")
        alone = not any(isinstance(own[name], DTensor) for name in names)
        shares = {f"{sharded.WEIGHTS}{name}": own[name].detach() for name in names}
        sharded.read_into(shares, path, alone)
    else:
        weights, shapes = open_weights(path)
        fill(module, {name: _stored(weights, name, tuple(shapes[name].shape)) for name in weights})


def _stored(weights: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Stored:
    """A weight that is read when it is asked for, and then whole."""
    return Stored(shape, lambda rows: weights[name][rows] if shape else weights[name])
