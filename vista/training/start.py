"""What a model begins with: the weights of an earlier stage, or those of its parts' own files.

Every process reads what it holds: a sharded model takes its rows out of a checkpoint of one file or of many, whatever
the number of processes that wrote it, and none of them ever has all.
"""

from pathlib import Path

from torch import nn
from torch.distributed.tensor import DTensor

from vista.models.laid_out import all_tensors, fill, give_memory
from vista.models.stored import Stored
from vista.training import sharded_checkpoints as sharded
from vista.training.checkpoint_files import Checkpoint
from vista.training.checkpoints import read_checkpoint, read_states


def describe(path: Path) -> Checkpoint:
    """A sound checkpoint whose weights are names and shapes, left on the disk.

    Raises:
        InputError: it is damaged, or something else.
    """
    checkpoint = read_checkpoint(path, lazy=True)
    if path.is_dir():
        checkpoint["state_dict"] = sharded.empty_tensors(path, sharded.WEIGHTS, "meta")
    return checkpoint


def fill_from(module: nn.Module, path: Path) -> None:
    """Take the weights of a checkpoint by their names.

    Args:
        module: of the same names and shapes, see `describe`; sharded or not, laid out or not.
        path: a file, or the folder of a sharded checkpoint.

    Raises:
        InputError: what is read is damaged.
    """
    if path.is_dir():
        give_memory(module)
        own = all_tensors(module)
        names = sharded.empty_tensors(path, sharded.WEIGHTS, "meta")
        alone = not any(isinstance(own[name], DTensor) for name in names)
        shares = {f"{sharded.WEIGHTS}{name}": own[name].detach() for name in names}
        sharded.read_into(shares, path, alone)
    else:
        states = read_states(path)["state_dict"]
        fill(module, {name: Stored.of(tensor) for name, tensor in states.items()})
