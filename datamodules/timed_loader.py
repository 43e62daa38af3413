"""The loader of all batches: it knows how long it was waited for, and none of its processes sleeps for ever.

CPython 3.11 takes the lock of its list of threads in a process that was just forked. If another thread held it at that
moment, as gloo's may after a message, the new process waits for it for ever, and all processes of a run with it.
"""

import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.synchronize import Semaphore
from typing import Any, TypeVar

from torch.utils.data import DataLoader

T = TypeVar("T")
SETTLE = 0.05  # seconds of quiet before the processes are forked: other threads come to rest
PATIENCE = 30.0  # seconds until a process that does not answer counts as asleep
TRIES = 3


class TimedLoader(DataLoader[T]):
    """A loader that has counted for how many seconds its batches were waited for, in `waited`."""

    waited = 0.0

    def __iter__(self) -> Iterator[T]:  # type: ignore[override]
        """The batches."""
        began = time.perf_counter()
        for batch in self._begin():
            self.waited += time.perf_counter() - began
            yield batch
            began = time.perf_counter()

    def _begin(self) -> Iterator[T]:
        """The batches of processes that all have answered.

        Raises:
            RuntimeError: several times in turn, some did not.
        """
        if not self.num_workers:
            return super().__iter__()
        begin = self.worker_init_fn  # Lightning's, which seeds a process
        for _ in range(TRIES):
            time.sleep(SETTLE)
            awake = multiprocessing.Semaphore(0)
            self.worker_init_fn = partial(_answer, awake, begin)
            batches = super().__iter__()
            self.worker_init_fn = begin
            if all(awake.acquire(timeout=PATIENCE) for _ in range(self.num_workers)):
                return batches
            print("a loader process did not wake and is replaced", file=sys.stderr, flush=True)
            _stop(batches)
        raise RuntimeError(
            f"loader processes did not wake {TRIES} times; set --data.num_workers 0 to do without them"
        )


def _answer(awake: Semaphore, begin: Callable[[int], None] | None, worker: int) -> None:
    """The first thing that a process does."""
    awake.release()
    if begin is not None:
        begin(worker)


def _stop(batches: Any) -> None:
    """End all processes; one that sleeps hears no other signal than the last."""
    batches._shutdown_workers()
    for process in batches._workers:
        process.kill()
        process.join()
