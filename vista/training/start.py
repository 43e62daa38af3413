"""What a model begins with: the weights of an earlier stage, or those of its parts' own files.

Every process reads what it holds: a sharded model takes its rows out of a checkpoint of one file or of many, whatever
the number of processes that wrote it, and none of them ever has all.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from vista.models.laid_out import all_tensors, fill, give_memory
from vista.models.stored import Stored
from vista.training import sharded_checkpoints as sharded
from vista.training.checkpoint_files import Checkpoint
from vista.training.checkpoints import open_weights, read_states
from vista.training.model_folder import FolderWeights, is_model_folder


def describe(path: Path) -> Checkpoint:
    """A sound checkpoint, or a folder of `export`, whose weights are names and shapes, left on the disk.

    Raises:
        InputError: it is damaged, or something else.
    """
    _, shapes = open_weights(path)
    return read_states(path) | {"state_dict": shapes}


def fill_from(module: nn.Module, path: Path) -> None:
    """Take the weights of a checkpoint by their names.

    Args:
        module: of the same names and shapes, see `describe`; sharded or not, laid out or not.
        path: a file, the folder of a sharded checkpoint, or one of `export`.

    Raises:
        InputError: what is read is damaged.
    """
    exported = is_model_folder(path)
    if path.is_dir() and not exported:
        give_memory(module)
        own = all_tensors(module)
        names = sharded.empty_tensors(path, sharded.WEIGHTS, "meta")
        alone = not any(isinstance(own[name], DTensor) for name in names)
        shares = {f"{sharded.WEIGHTS}{name}": own[name].detach() for name in names}
        sharded.read_into(shares, path, alone)
    else:
        weights = FolderWeights(path) if exported else read_states(path)["state_dict"]
        shapes = weights.shapes() if exported else weights
        fill(module, _stored(weights, shapes))


def _stored(weights: Mapping[str, Tensor], shapes: Mapping[str, Tensor]) -> dict[str, Stored]:
    """Weights that are looked at one by one; a mapping may read each from its file when it is asked for."""
    return {
        name: Stored(tuple(t.shape), partial(_read, weights, name)) for name, t in shapes.items()
    }


def _read(weights: Mapping[str, Tensor], name: str, rows: slice) -> Tensor:
    tensor = weights[name]
    return tensor[rows] if tensor.dim() else tensor
