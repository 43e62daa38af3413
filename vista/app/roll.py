"""The processes of a run on this host: which of them live, and how the others ended.

vista-roll-1f0e...       in the system's folder of temporary files, one for a run
    0                    `4711`         the process of rank 0 lives: it holds this file
    1                    `4712 failed`  it has said why, and has ended or is about to
    2                    `4713`         nobody holds it: rank 2 ended without a word, so it was killed
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import gettempdir
from typing import NamedTuple

from vista.leftovers import held, made_and_held, remove_unused, unused

PREFIX = "vista-roll-"
MEMORY = "most likely since the memory was full (`dmesg` tells)"


class Ended(NamedTuple):
    """A process that is no more."""

    rank: int
    pid: int
    word: str  # its last one; empty: none


class Roll:
    """Keeps this process on the roll of its host until it is closed."""

    def __init__(self, name: str, rank: int) -> None:
        """Enter this process, and remove the rolls of dead runs.

        Args:
            name: of the run, the same in all its processes.
            rank: of this process.
        """
        self.folder = Path(gettempdir(), PREFIX + name)
        self.file = self.folder / str(rank)
        remove_unused(self.folder.parent.glob(f"{PREFIX}*"))
        self._held = ExitStack()
        self._held.enter_context(made_and_held(self._make_folder))
        self.file.write_text(str(os.getpid()))
        self._held.enter_context(held(self.file))

    def _make_folder(self) -> Path:
        self.folder.mkdir(exist_ok=True)
        return self.folder

    def close(self, word: str) -> None:
        """Leave a last word: `failed` or `done`. The last process takes the roll away."""
        self.file.write_text(f"{os.getpid()} {word}")
        self._held.close()
        remove_unused([self.folder])

    def ended(self) -> Iterator[Ended]:
        """The processes of this host that are no more."""
        for file in self.folder.glob("*"):
            with suppress(FileNotFoundError), unused(file) as gone:  # the last one removes the roll
                if gone:
                    pid, _, word = file.read_text().partition(" ")
                    yield Ended(int(file.name), int(pid or 0), word)

    def why(self, wait: float = 3.0) -> str:
        """Why this process cannot go on: which one was lost and how, in one sentence.

        Args:
            wait: seconds after which it is taken for sure that all others of this host live.
        """
        until = time.monotonic() + wait
        while time.monotonic() < until:
            time.sleep(0.3)  # what closes a connection may still be about to let its file go
            ended = sorted(self.ended())
            if lost := [process for process in ended if not process.word]:
                return f"{' and '.join(map(fate, lost))}; this process ends with it"
            if failed := [process for process in ended if process.word == "failed"]:
                return f"this process ends because rank {failed[0].rank} did, which has said why"
        return (
            "this process ends because the connection to another host was lost: a process there was lost, and the "
            "others there say which"
        )


def fate(process: Ended) -> str:
    """How a process ended that has said nothing, as far as the system still knows."""
    name = f"rank {process.rank} (process {process.pid})"
    try:
        # Those behind the name, which is in brackets; the last one is the status, while nobody has asked for it.
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        fields = []
    if not fields or fields[0] != "Z":
        return f"{name} ended without a word, as after SIGKILL: {MEMORY}"
    return f"{name} {how(os.waitstatus_to_exitcode(int(fields[-1])))}"


def how(code: int) -> str:
    """How a process ended, from its exit code; a negative one is a signal."""
    if code >= 0:
        return f"ended with status {code}"
    text = f"was ended by signal {-code} ({signal.Signals(-code).name})"
    return f"{text}, {MEMORY}" if -code == signal.SIGKILL else text
