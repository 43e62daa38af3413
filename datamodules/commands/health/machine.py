"""The machine: room for checkpoints and for batches in shared memory, processor cores, optional packages."""

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch

from datamodules.commands.bare import Run
from datamodules.commands.health.finding import Finding, fault
from vista.app.run_folder import RunFolder
from vista.app.runs import RUNS
from vista.app.settings import settings_named
from vista.app.strict_yaml import Settings

GB = 1e9
SHARED_MEMORY = Path("/dev/shm")
PREFETCHED = 2  # batches that a loader process keeps ready
PER_CORE = 4  # loader processes of a core: they wait for the disk most of the time
# Optional packages, what they are for, and the words in settings that ask for them.
EXTRAS = {
    "torchvision": ("image processors of transformers' fast kind", ("processor",)),
    "peft": ("LoRA", ("adapters",)),
    "bitsandbytes": ("weights in four bits", ("qlora", "nf4", "quantization")),
}


def kept_at_once() -> int:
    """Checkpoints that a run has on the disk at most: all that it keeps, and the one that is being written."""
    run = RunFolder(Path(), "")
    return sum(callback.save_top_k for callback in (run.best, run.last, run.recent)) + 1


def look_at_disk(checkpoint: int) -> Iterator[Finding]:
    """Room for the checkpoints of a run.

    Args:
        checkpoint: bytes of one.
    """
    folder = RUNS.absolute()
    while not folder.exists():
        folder = folder.parent
    free, kept = shutil.disk_usage(folder).free, kept_at_once()
    needed = checkpoint * kept
    what = f"{kept} checkpoints of {checkpoint / GB:.3g} GB need {needed / GB:.3g} GB, {free / GB:.3g} are free"
    if needed > free:
        yield fault(
            "disk", f"{what} at {folder}; free some space, or make {RUNS} a link to another disk"
        )
    else:
        yield Finding("disk", f"{what} at {folder}")


def look_at_loading(
    run: Run, image_size: int, world_size: int, local_size: int
) -> Iterator[Finding]:
    """Whether the batches of all loader processes of this host fit into shared memory; how many cores they have.

    Args:
        run: batch size and number of loader processes.
        image_size: side of an image in pixels.
        world_size: processes of the run.
        local_size: those of this host.
    """
    workers = run.data["num_workers"] * local_size
    rows = -(-run.data["batch_size"] // world_size)
    needed = workers * PREFETCHED * rows * 3 * image_size**2 * 4
    if SHARED_MEMORY.is_dir():
        free = shutil.disk_usage(SHARED_MEMORY).free
        what = f"{workers} loader processes need {needed / GB:.2g} GB of {SHARED_MEMORY}, {free / GB:.2g} are free"
        advice = "; set data.num_workers lower, or begin the container with a larger --shm-size"
        yield Finding("shared memory", what if needed <= free else what + advice, needed <= free)
    cores = len(os.sched_getaffinity(0))
    threads = torch.get_num_threads() * local_size
    what = f"{cores} cores for {workers} loader processes and {threads} threads of {local_size} processes"
    if workers > PER_CORE * cores:
        yield fault("cores", f"{what}; set data.num_workers lower")
    elif local_size > 1 and threads > cores * 2:
        yield fault("cores", f"{what}; set OMP_NUM_THREADS={max(1, cores // local_size)}")
    else:
        yield Finding("cores", what)


def look_at_extras(settings: Settings) -> Iterator[Finding]:
    """A line for each optional package; one that the settings ask for must be there."""
    words = {name.rpartition(".")[2] for name in settings_named(settings)}
    for package, (purpose, asked_by) in EXTRAS.items():
        there = find_spec(package) is not None
        if there:
            yield Finding(f"extra {package}", f"present ({purpose})")
        elif words & set(asked_by):
            yield fault(
                f"extra {package}",
                f"missing, and the config asks for {purpose}: pip install {package}",
            )
        else:
            yield Finding(f"extra {package}", f"missing, and not asked for ({purpose})")
