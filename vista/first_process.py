"""What one process finds out, all are told: files are looked at once, however many GPUs a run has."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch.distributed as dist

T = TypeVar("T")


def on_first(function: Callable[[], T], group: dist.ProcessGroup | None = None) -> T:
    """Call a function in the first process only and give every process its result, or its exception.

    Args:
        function: its result or exception is pickled where there are several processes.
        group: the processes; None: all there are. Each of them must come here.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return function()
    outcome: list[Any] = [None, None]
    if dist.get_rank(group) == 0:
        try:
            outcome[0] = function()
        # Whatever it is, it is sent on: the other processes wait for the outcome.
        except Exception as error:
            outcome[1] = error
    source = dist.get_global_rank(group, 0) if group else 0
    dist.broadcast_object_list(outcome, src=source, group=group)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]
