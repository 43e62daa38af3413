"""The processes of a run, from their start to their end: all come together, and all end when one of them is lost."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from subprocess import Popen
from threading import Event, Thread
from typing import Any

from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, ModelParallelStrategy, Strategy

from vista.app.errors import left_alone
from vista.app.meeting import Meeting, Place
from vista.app.roll import Roll, how
from vista.data import InputError

PARENT = "VISTA_PARENT"  # the process that started this one as one of its run
GRACE = 5.0  # seconds in which a process may end by itself after another one is lost


class Processes:
    """Lets the processes of a trainer meet, and watches over those of this host."""

    def __init__(self) -> None:
        """Nobody is known yet."""
        self.roll: Roll | None = None
        self.ends = Event()  # this process does
        self.children: list[Popen[bytes]] = []  # those that it has started as others of its run

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Around all that this process does as one of a run; the others learn that it ended by itself.

        Raises:
            InputError: says which other process was lost, in the place of what its neighbour says in gloo or NCCL.
        """
        word = "failed"
        try:
            yield
            word = "done"
        except RuntimeError as error:
            if self.roll is None or not left_alone(error):
                raise
            raise InputError(self.roll.why()) from error
        except SystemExit:  # such as after a signal, on which all have agreed
            word = "done"
            raise
        finally:
            self.ends.set()
            if self.roll is not None:
                self.roll.close(word)

    def meet_before(self, strategy: Strategy) -> None:
        """Let the processes of a trainer meet before its strategy connects them."""
        if not isinstance(strategy, DDPStrategy | FSDPStrategy | ModelParallelStrategy):
            return
        launcher = strategy.launcher
        if launcher is not None and not hasattr(launcher, "cluster_environment"):
            return  # one that forks, which is no way to train here
        environment = strategy.cluster_environment
        if environment is not None and not environment.creates_processes_externally:
            os.environ[PARENT] = str(os.getpid())
        meet_and_connect = partial(self._meet, strategy, strategy.setup_environment)
        strategy.setup_environment = meet_and_connect  # type: ignore[method-assign]

    def _meet(self, strategy: Any, connect: Callable[[], None]) -> None:
        self._take_over(strategy.launcher)
        strategy.set_world_ranks()
        environment = strategy.cluster_environment
        rank, size = environment.global_rank(), environment.world_size()
        if size == 1:
            connect()
            return
        place = Place(environment.main_address, environment.main_port, rank, size)
        speaks = environment.local_rank() == 0  # one of each host is enough
        server, name = Meeting(place, self._check_family, speaks).hold()
        self.roll = Roll(name, rank)
        Thread(target=self._watch, args=[self.roll], daemon=True).start()
        connect()  # which finds the server at the same port
        del server

    def _take_over(self, launcher: Any) -> None:
        """Lightning's own watch kills this process when another one is gone, without a word: it gets none to watch."""
        watched = getattr(launcher, "procs", [])
        self.children = list(watched)
        if watched:
            launcher.procs = self.children
            watched.clear()

    def _check_family(self) -> None:
        parent = os.environ.get(PARENT, "")
        if not self.children and parent not in ("", str(os.getpid()), str(os.getppid())):
            raise InputError("this process ends because the one that started it is gone")
        for number, child in enumerate(self.children, 1):
            if code := child.poll():
                raise InputError(f"process {number} of this host {how(code)}; the run cannot begin")

    def _watch(self, roll: Roll) -> None:
        """End this process where another one is gone and it does not notice: NCCL may wait for ever."""
        while not self.ends.wait(1.0):
            if any(process.word != "done" for process in roll.ended()):
                break
        if self.ends.wait(GRACE):
            return
        print(f"error: {roll.why()}", file=sys.stderr, flush=True)
        roll.close("failed")
        os.kill(os.getpid(), signal.SIGKILL)
