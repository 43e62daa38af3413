"""Training with sharded weights (`vista/training/sharding.py`): Lightning's strategy, with sound checkpoints.

Lightning writes a checkpoint over the one before, so that a kill leaves half of each, and puts into the shards what is
no tensor, too, which is then read as a pickle.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer

from vista.data import InputError
from vista.first_process import on_first
from vista.models.weights import check_shapes
from vista.training import sharded_checkpoints as sharded
from vista.training.checkpoint_files import Checkpoint, discard, unfinished
from vista.training.resume import Group

GROUPS = "optimizer_groups"  # of each optimizer, the settings of its groups of parameters


class ShardedStrategy(ModelParallelStrategy):
    """Its checkpoints are written beside their place and moved when every process is done."""

    def save_checkpoint(
        self, checkpoint: Checkpoint, filepath: str | Path, storage_options: object = None
    ) -> None:
        """Write what `Trainer.save_checkpoint` collects; every process must call it.

        Raises:
            OSError: one of the processes cannot write; raised in all, and the checkpoint before is still there.
        """
        if not self._save_distributed_checkpoint:  # one file is asked for
            super().save_checkpoint(checkpoint, filepath, storage_options)
            return
        path = Path(self.broadcast(filepath))
        tensors, rest = split(checkpoint)
        try:
            on_first(partial(_make_empty, unfinished(path)))
            sharded.write_shards(tensors, unfinished(path))
            on_first(partial(sharded.finish, rest, path))
        finally:
            if self.is_global_zero:
                discard(unfinished(path))

    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> Checkpoint:
        """Fill the model and its optimizers; the rest is returned.

        Raises:
            InputError: the checkpoint is damaged, or of another model.
        """
        path = Path(self.broadcast(checkpoint_path))
        if not path.is_dir():
            return super().load_checkpoint(path, weights_only)
        assert self.model is not None
        _fill_model(self.model, path)
        rest = sharded.read_rest(path)
        groups = rest.pop(GROUPS, [])
        if len(groups) != len(self.optimizers):
            raise InputError(f"{path} was not made by a training with the same optimizer")
        for index, optimizer in enumerate(self.optimizers):
            _fill_optimizer(optimizer, index, groups[index], self.model, path)
        return rest


def split(checkpoint: Checkpoint) -> tuple[dict[str, Tensor], Checkpoint]:
    """What goes into shards, by names that no other tensor has, and all the rest."""
    rest = dict(checkpoint)
    weights, optimizers = rest.pop("state_dict"), rest.pop("optimizer_states", [])
    tensors = {f"{sharded.WEIGHTS}{name}": tensor for name, tensor in weights.items()}
    for index, states in enumerate(optimizers):
        tensors |= _flat(states["state"], index)
    rest[GROUPS] = [states["param_groups"] for states in optimizers]
    return tensors, rest


def _flat(states: Mapping[str, Mapping[str, Tensor]], index: int) -> dict[str, Tensor]:
    """The moments of all parameters of an optimizer, which is counted by `index`."""
    flat = {}
    for parameter, moments in states.items():
        for name, moment in moments.items():
            flat[f"optimizer_{index}.state.{parameter}.{name}"] = moment
    return flat


def _make_empty(folder: Path) -> None:
    discard(folder)
    folder.mkdir(parents=True)


def _fill_model(model: nn.Module, path: Path) -> None:
    own: Checkpoint = get_model_state_dict(model)
    check_shapes(sharded.empty_tensors(path, sharded.WEIGHTS, "meta"), own)
    sharded.read_into({f"{sharded.WEIGHTS}{name}": own[name] for name in own}, path)
    model.load_state_dict(own)


def _fill_optimizer(
    optimizer: Optimizer,
    index: int,
    groups: Sequence[Group],
    model: nn.Module,
    path: Path,
) -> None:
    own: Checkpoint = get_optimizer_state_dict(model, optimizer)
    sharded.read_into(_flat(own["state"], index), path)
    own["param_groups"] = groups
    set_optimizer_state_dict(model, optimizer, own, options=StateDictOptions(cpu_offload=True))
