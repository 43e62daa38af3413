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
from vista.models.merged import merging_of
from vista.models.stored import Stored, rows_of
from vista.training import sharded_checkpoints as sharded
from vista.training.checkpoint_files import Checkpoint
from vista.training.checkpoints import open_weights, read_states, weights_and_shapes
from vista.training.folder_settings import is_model_folder


def describe(path: Path) -> Checkpoint:
    """A sound checkpoint, or a folder of `export`, whose weights are names and shapes, left on the disk.

    Returns:
        it without its adapters, which are merged into the weights.

    Raises:
        InputError: it is damaged, or something else.
    """
    _, shapes = open_weights(path)
    states = read_states(path)
    vista = {key: value for key, value in states["vista"].items() if key != "adapters"}
    return states | {"vista": vista, "state_dict": shapes}


def fill_from(module: nn.Module, path: Path) -> None:
    """Take the weights of a checkpoint by their names; its adapters are merged.

    Args:
        module: of the same names and shapes, see `describe`, adapters aside; sharded or not, laid out or not.
        path: a file, the folder of a sharded checkpoint, or one of `export`.

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
        fill(module, _stored(*weights_and_shapes(path)))


def _stored(weights: Mapping[str, Tensor], shapes: Mapping[str, Tensor]) -> dict[str, Stored]:
    """Weights that are looked at one by one; a mapping may read each from its file when it is asked for."""
    return {
        name: Stored(tuple(t.shape), partial(_read, weights, name)) for name, t in shapes.items()
    }


def _read(weights: Mapping[str, Tensor], name: str, rows: slice) -> Tensor:
    return rows_of(weights[name], rows)
