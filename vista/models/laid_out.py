"""Modules whose parameters are laid out without memory (on torch's meta device), and how they are filled.

    with without_memory():
        llm = LLM(weights=folder)       # 7 billion parameters, no bytes; `load_part` notes where they are
    shard(llm, mesh)                    # or not
    fill(llm, llm.filling.tensors)      # a tensor at a time; every process reads the rows that it holds

So neither a second copy of the weights is ever there, nor, in a sharded run, all of them in one process.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Shard
from torch.nn.modules.module import register_module_parameter_registration_hook

from vista.models.merged import plain_name
from vista.models.stored import Stored

Place = tuple[nn.Module, str]  # a module and the name by which it holds a parameter
_laying_out: ContextVar[bool] = ContextVar("laying_out", default=False)


@contextmanager
def without_memory() -> Iterator[None]:
    """Parameters that are made in here take no memory; buffers, which no file holds, are what they always are.

    While they are made, all of them lie in the same memory, that of the largest one. So the random numbers that they
    would begin with are passed over, and what is built next begins as if these had been kept.
    """
    shared = _SharedMemory()
    hook = register_module_parameter_registration_hook(shared.lend)  # type: ignore[arg-type]
    token = _laying_out.set(True)
    try:
        yield
    finally:
        hook.remove()
        _laying_out.reset(token)
    shared.give_back()


@contextmanager
def with_memory() -> Iterator[None]:
    """Within `without_memory`: what is built in here is no part of a model, but read from, and keeps its weights."""
    token = _laying_out.set(False)
    try:
        yield
    finally:
        _laying_out.reset(token)


def laying_out() -> bool:
    """Whether what is built now takes no memory."""
    return _laying_out.get()


def is_laid_out(module: nn.Module) -> bool:
    """Whether parameters wait to be filled."""
    return any(parameter.is_meta for parameter in module.parameters())


def keep_frozen_in(module: nn.Module, dtype: torch.dtype) -> None:
    """Keep parameters that are not trained in a type of their own, before they are sharded; laid out or not."""
    for parameter in module.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)


def give_memory(module: nn.Module) -> None:
    """Parameters that were laid out get memory, in their own sizes and types; of sharded ones, this process's rows."""
    places: dict[int, list[Place]] = {}  # of each parameter, by its `id`; one that is tied has two
    laid_out: dict[int, nn.Parameter] = {}
    for owner in module.modules():
        for name, parameter in owner.named_parameters(recurse=False, remove_duplicate=False):
            if parameter.is_meta:
                laid_out[id(parameter)] = parameter
                places.setdefault(id(parameter), []).append((owner, name))
    for key, parameter in laid_out.items():
        filled = _with_memory(parameter)
        for owner, name in places[key]:
            setattr(owner, name, filled)


@torch.no_grad()
def fill(module: nn.Module, tensors: Mapping[str, Stored]) -> None:
    """Give parameters and buffers their values.

    Args:
        module: sharded or not, laid out or not, filled in place.
        tensors: by names of `module.state_dict()`, in the same shapes; of a tensor's several names the last one counts.
    """
    give_memory(module)
    own = all_tensors(module)
    last = {id(own[name]): name for name in own if name in tensors}
    for name in last.values():
        local = local_rows(own[name])
        if local.numel():
            local.copy_(tensors[name].read(own_rows(own[name])))


def all_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters, by all of their names, and buffers; those below an adapter by the names that they have without it."""
    parameters = module.named_parameters(remove_duplicate=False)
    named = {**dict(parameters), **dict(module.named_buffers(remove_duplicate=False))}
    return {plain_name(name): tensor for name, tensor in named.items()}


def local_rows(tensor: Tensor) -> Tensor:
    """The rows of a tensor that this process holds, in its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def own_rows(tensor: Tensor) -> slice:
    """Which rows of a tensor this process holds: all, or those of its share, as FSDP2 deals them out."""
    if not isinstance(tensor, DTensor):
        return slice(None)
    for dim, placement in enumerate(tensor.placements):
        if isinstance(placement, Shard):
            assert placement.dim == 0, "FSDP2 shares rows"
            share = -(-len(tensor) // tensor.device_mesh.size(dim))
            first = min(tensor.device_mesh.get_local_rank(dim) * share, len(tensor))
            return slice(first, first + len(tensor.to_local()))
    return slice(None)


def _with_memory(parameter: nn.Parameter) -> nn.Parameter:
    """A parameter like one that was laid out, whose values are not set."""
    if not isinstance(parameter, DTensor):
        return nn.Parameter(torch.empty_like(parameter, device="cpu"), parameter.requires_grad)
    mesh = parameter.device_mesh
    sharded = DTensor.from_local(
        torch.empty_like(parameter.to_local(), device=mesh.device_type),
        mesh,
        parameter.placements,
        run_check=False,
        shape=parameter.shape,
        stride=parameter.stride(),
    )
    return nn.Parameter(sharded, parameter.requires_grad)


class _SharedMemory:
    """Where parameters are that nobody reads."""

    def __init__(self) -> None:
        self.memory = torch.empty(0, dtype=torch.uint8)
        self.lent: dict[int, nn.Parameter] = {}  # by `id`
        self.places: list[Place] = []

    def lend(
        self, module: nn.Module, name: str, parameter: nn.Parameter | None
    ) -> nn.Parameter | None:
        """What a module keeps in the place of a parameter; None: the parameter, as where it is tied to another one."""
        if parameter is None or parameter.is_meta or not laying_out():
            return None
        self.places.append((module, name))
        if id(parameter) in self.lent:
            return None
        size = parameter.numel() * parameter.itemsize
        if size > len(self.memory):
            self.memory = torch.empty(size, dtype=torch.uint8)
        values = self.memory[:size].view(parameter.dtype).view(parameter.shape)
        lent = nn.Parameter(values, parameter.requires_grad)
        self.lent[id(lent)] = lent
        return lent

    def give_back(self) -> None:
        """Put parameters on the meta device in the places of all that were lent."""
        laid_out = {
            key: nn.Parameter(lent.detach().to("meta"), lent.requires_grad)
            for key, lent in self.lent.items()
        }
        for module, name in self.places:
            key = id(getattr(module, name, None))
            if key in laid_out:
                setattr(module, name, laid_out[key])
