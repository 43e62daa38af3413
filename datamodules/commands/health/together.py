"""The processes of a run together: they meet, exchange a tensor, and tell each other what they would train on."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TypeVar

import torch
import torch.distributed as dist

from datamodules.commands.bare import Run
from datamodules.commands.configured import Setup
from datamodules.commands.health.finding import Finding, fault
from datamodules.commands.mixture_lengths import choice_of, train_mixture
from datamodules.order import SHUFFLE, Order
from vista.app.meeting import Meeting, Place
from vista.app.strict_yaml import Settings

T = TypeVar("T")
PATIENCE = timedelta(minutes=5)  # for one exchange
# Where data lie may differ from host to host.
LOCAL = ("root", "cache")


@dataclass(frozen=True)
class Processes:
    """This process among those of its run, as torchrun says in the environment.

    Attributes:
        rank: of this process.
        size: how many there are.
        local: how many of them are on this host.
    """

    rank: int = 0
    size: int = 1
    local: int = 1


def of_environment() -> Processes:
    """Who this process is; alone where nothing is said."""
    names = {"rank": "RANK", "size": "WORLD_SIZE", "local": "LOCAL_WORLD_SIZE"}
    return Processes(
        **{key: int(os.environ.get(name, Processes.__dict__[key])) for key, name in names.items()}
    )


def connect(processes: Processes) -> None:
    """Wait for all processes, and connect them.

    Raises:
        InputError: somebody never came; it is said who.
    """
    address = os.environ.get("MASTER_ADDR", "localhost")
    place = Place(
        address, int(os.environ.get("MASTER_PORT", "29500")), processes.rank, processes.size
    )
    server, _ = Meeting(place, lambda: None).hold()
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    del server


def disconnect() -> None:
    """The end of `connect`, if there was one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def look_at_exchange(processes: Processes) -> Iterator[Finding]:
    """The sum of all ranks, on the cards where there are any; the second time, since the first one connects."""
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    seconds = 0.0
    for _ in range(2):
        number = torch.full((1024,), float(processes.rank), device=device)
        began = time.perf_counter()
        dist.all_reduce(number)
        total = float(number[0])  # waits for a card
        seconds = time.perf_counter() - began
    wanted = processes.size * (processes.size - 1) / 2
    if total != wanted:
        yield fault(
            "exchange",
            f"the sum of all ranks is {total:g}, not {wanted:g}; look at the network and at NCCL",
        )
    else:
        yield Finding(
            "exchange",
            f"{processes.size} processes, {1000 * seconds:.3g} ms a round trip on {device.type}",
        )


def config_digest(settings: Settings) -> str:
    """The same for the same settings, wherever the data lie."""
    data = settings.get("data") or {}
    shared = {key: value for key, value in data.items() if key not in LOCAL}
    text = json.dumps({**settings, "data": shared}, sort_keys=True, default=str)
    return sha256(text.encode()).hexdigest()[:16]


def order_digest(setup: Setup, run: Run) -> str:
    """The same for the same samples in the same order."""
    choice = choice_of(setup, run)
    loaded, groups = train_mixture(setup, run, choice)
    order = run.data["order"]
    weights = choice.weights(loaded)
    made = Order(groups, weights, order.seed, order.epoch_samples, order.sorted_epochs)
    first = made.epoch(0).samples(0, min(made.length, run.data["batch_size"])).tolist()
    about = [SHUFFLE, order.seed, order.sorted_epochs, made.described(), first]
    about.append([source.name for source in loaded])
    return sha256(json.dumps(about).encode()).hexdigest()[:16]


def gather(value: T, processes: Processes) -> list[T]:
    """What each process has, in the order of their ranks."""
    if processes.size == 1:
        return [value]
    values = [value] * processes.size
    dist.all_gather_object(values, value)
    return values


def look_at_digests(digests: Sequence[Mapping[str, str]]) -> Iterator[Finding]:
    """A line for each digest that must be the same on all ranks; one that could not be made is named by its own check.

    Args:
        digests: of each rank, by what they are of.
    """
    advice = {
        "config": "give all ranks the same configs and options",
        "order": "give all ranks the same annotation files, and remove data.cache where it is stale",
    }
    for what, text in advice.items():
        found = [each.get(what, "") for each in digests]
        differing = [rank for rank, digest in enumerate(found) if digest and digest != found[0]]
        unknown = [rank for rank, digest in enumerate(found) if not digest]
        if differing and found[0]:
            ranks = ", ".join(map(str, differing))
            yield fault(f"same {what}", f"rank {ranks} has another one than rank 0; {text}")
        elif unknown:
            ranks = ", ".join(map(str, unknown))
            yield fault(
                f"same {what}", f"not known on rank {ranks}; see the faults before this one"
            )
        else:
            yield Finding(f"same {what}", f"{found[0]} on {len(found)} processes")
