"""Sharding by FSDP2: every process keeps its share of all weights, gradients and optimizer states.

`ShardedStrategy` calls `VistaModule.configure_model`, which comes here. Each transformer layer is one unit, whose
weights are gathered when it runs; what is left (embeddings, head, norms, queries, projection) is the root's. Frozen
parts are sharded too, and so are parts that are laid out without memory (`vista/models/laid_out.py`), which are filled
afterwards. A weight outside of all units would never be synchronised, so the root takes everything else.
"""

from itertools import chain

import torch
from torch import nn
from torch.distributed._composable import checkpoint
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard


def shard(
    model: nn.Module,
    mesh: DeviceMesh,
    bf16: bool = False,
    checkpointing: bool = True,
) -> None:
    """Shard a model in place; once.

    Args:
        model: called as a whole in training, since only its own forward gathers the root's weights.
        mesh: processes, (nodes, devices of a node) as Lightning arranges them: the second dimension shares the weights,
            the first one repeats them.
        bf16: compute and gather in bfloat16; weights and the sums of gradients stay float32.
        checkpointing: compute the activations of layers that are trained a second time instead of keeping them.
    """
    if isinstance(model, FSDPModule):
        return
    if mesh.ndim == 2 and mesh.size(0) == 1:  # one node: nothing is repeated
        assert mesh.mesh_dim_names is not None
        mesh = mesh[mesh.mesh_dim_names[1]]
    policy = MixedPrecisionPolicy()
    if bf16:
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    twice = recomputed_layers(model) if checkpointing else []
    for layer in sharded_layers(model):
        if layer in twice:
            checkpoint(layer)
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    # Needed again at once by the backward pass: the root's weights stay gathered.
    fully_shard(model, mesh=mesh, mp_policy=policy, reshard_after_forward=False)


def sharded_layers(model: nn.Module) -> list[nn.Module]:
    """The layers of all parts, which are units by themselves; what is in none of them is the root's."""
    return list(chain.from_iterable(map(repeated_layers, model.children())))


def recomputed_layers(model: nn.Module) -> list[nn.Module]:
    """The layers whose activations are computed a second time: those that are trained."""
    return list(filter(_is_trained, sharded_layers(model)))


def repeated_layers(part: nn.Module) -> list[nn.Module]:
    """The layers of a part: of what stands in lists of modules of one class, the class with most of the parameters.

    So they are found in any encoder or language model of transformers, whatever they are called; experts in a layer are
    no layers, since it is larger than they are together.

    Returns:
        in the order of the model; none where nothing is repeated.
    """
    found: dict[type, list[nn.Module]] = {}
    for module in part.modules():
        kinds = {type(layer) for layer in module} if isinstance(module, nn.ModuleList) else set()
        if len(kinds) == 1:
            found.setdefault(kinds.pop(), []).extend(module)  # type: ignore[arg-type]
    return max(found.values(), key=_size, default=[])


def _size(layers: list[nn.Module]) -> int:
    return sum(parameter.numel() for parameter in nn.ModuleList(layers).parameters())


def _is_trained(layer: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in layer.parameters())


def gather(model: nn.Module) -> None:
    """Put all weights on every process, so that none waits for another while answers of different lengths are decoded.

    Args:
        model: sharded or not; until `release` it must not be trained.
    """
    units = _units(model)
    if units:
        # Decoding calls layers by themselves. The whole model must have been called first, or it never can be after.
        units[0]._get_fsdp_state()._lazy_init()
    for unit in units:
        unit.set_reshard_after_forward(False, recurse=False)
        unit.unshard()


def release(model: nn.Module) -> None:
    """The end of `gather`: every process keeps its share again."""
    for unit in _units(model):
        unit.set_reshard_after_forward(unit is not model, recurse=False)  # as `shard` set it
        unit.reshard()


def _units(model: nn.Module) -> list[FSDPModule]:
    return [module for module in model.modules() if isinstance(module, FSDPModule)]
