"""Processes of a run: who is awaited, and which one was lost and how."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from lightning import Callback, Trainer

from tests.callbacks.test_faults import FailAlone, two_processes
from tests.tiny import ROOT
from vista.app import processes
from vista.app.meeting import Meeting, Place
from vista.app.processes import Processes
from vista.app.roll import PREFIX, Roll
from vista.data import InputError

MEMBER = """
import sys, time
from vista.app.roll import Roll
roll = Roll(sys.argv[1], int(sys.argv[2]))
print("here", flush=True)
sys.stdin.readline()
if len(sys.argv) > 3:
    roll.close(sys.argv[3])
"""


class StopWaitingError(Exception):
    """Of a test."""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("", 0))
        return int(one.getsockname()[1])


def nothing() -> None:
    """All is well."""


def stop_after(calls: int) -> Callable[[], None]:
    left = iter(range(calls))

    def check() -> None:
        if next(left, None) is None:
            raise StopWaitingError

    return check


def test_who_is_missing_is_said_and_all_go_on_when_it_comes(capsys):
    port = free_port()
    names: dict[int, str] = {}

    def come(rank: int, patience: float, check: Callable[[], None] = nothing) -> None:
        place = Place("127.0.0.1", port, rank, 3)
        stores[rank], names[rank] = Meeting(place, check, patience=patience).hold()

    stores: dict[int, Any] = {}
    others = [Thread(target=come, args=[rank, 100.0]) for rank in (1, 2)]
    others[0].start()
    waits = iter(range(1000))

    def let_the_last_one_come() -> None:
        if next(waits) == 10:
            others[1].start()

    come(0, 0.5, let_the_last_one_come)
    for other in others:
        other.join()
    assert len(set(names.values())) == 1 and names[0] == names[2]
    said = capsys.readouterr().err
    assert f"warning: rank 0 on {socket.gethostname()} has waited " in said
    assert " s: 2 of 3 processes are here, rank 2 is missing (MASTER_ADDR 127.0.0.1, " in said
    assert "rank 1 on" not in said


def test_a_process_says_that_rank_0_does_not_answer(capsys):
    meeting = Meeting(Place("127.0.0.1", free_port(), 1, 2), stop_after(3), patience=0.01)
    with pytest.raises(StopWaitingError):
        meeting.hold()
    assert " s: of 2 processes rank 0 does not answer (MASTER_ADDR " in capsys.readouterr().err


def test_one_process_of_a_host_is_enough_to_say_it(capsys):
    meeting = Meeting(Place("127.0.0.1", free_port(), 1, 2), stop_after(3), False, patience=0.01)
    with pytest.raises(StopWaitingError):
        meeting.hold()
    assert capsys.readouterr().err == ""


def test_nobody_is_awaited_for_ever(monkeypatch):
    monkeypatch.setattr("vista.app.meeting.LIMIT", 0.0)
    with pytest.raises(InputError, match=r"has waited 0 s: 1 of 2 processes are here, rank 1 is"):
        Meeting(Place("127.0.0.1", free_port(), 0, 2), nothing).hold()


def test_a_port_in_use_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"^the port {port} is in use on this host, perhaps"):
            Meeting(Place("127.0.0.1", port, 0, 2), nothing).hold()


def member(name: str, rank: int, *word: str) -> subprocess.Popen[str]:
    """Another process of a run, which is on the roll."""
    command = [sys.executable, "-c", MEMBER, name, str(rank), *word]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "here\n"
    return process


@pytest.fixture
def roll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Roll:
    """Of two processes, with this one on it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("vista.app.roll.gettempdir", lambda: str(tmp_path))
    (tmp_path / f"{PREFIX}of-a-dead-run").mkdir()
    return Roll(uuid4().hex, 0)


@pytest.mark.parametrize(
    ("number", "how"),
    [
        (signal.SIGKILL, "was ended by signal 9 (SIGKILL), most likely since the memory was full"),
        (signal.SIGSEGV, "was ended by signal 11 (SIGSEGV);"),
    ],
)
def test_a_process_that_was_killed_is_named_with_its_signal(roll, number, how):
    other = member(roll.folder.name.removeprefix(PREFIX), 1)
    assert not list(roll.ended())
    os.kill(other.pid, number)
    assert roll.why(60).startswith(f"rank 1 (process {other.pid}) {how}")
    other.communicate()  # its parent has asked how it ended, and nobody can ask again
    assert "ended without a word, as after SIGKILL: most likely since the memory" in roll.why(60)
    roll.close("done")
    assert not list(roll.folder.parent.iterdir())


def test_a_process_that_has_said_why_is_named_after_one_that_was_lost(roll):
    name = roll.folder.name.removeprefix(PREFIX)
    member(name, 1, "done").communicate("\n")
    assert "another host" in roll.why(0.5)
    member(name, 2, "failed").communicate("\n")
    assert roll.why(60) == "this process ends because rank 2 did, which has said why"
    lost = member(name, 3)
    lost.kill()
    assert roll.why(60).startswith(f"rank 3 (process {lost.pid}) was ended by signal 9")
    lost.communicate()


def test_a_process_that_notices_nothing_is_ended(roll, monkeypatch, capsys):
    lost = member(roll.folder.name.removeprefix(PREFIX), 1)
    lost.kill()
    ends: list[tuple[int, int]] = []
    monkeypatch.setattr(processes, "GRACE", 0.0)
    monkeypatch.setattr("os.kill", lambda *signal: ends.append(signal))
    Processes()._watch(roll)
    lost.communicate()
    assert (
        ends == [(os.getpid(), signal.SIGKILL)]
        and "error: rank 1 (process" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("error", "word"), [(ValueError, "failed"), (SystemExit, "done"), (None, "done")]
)
def test_a_process_leaves_a_last_word(roll, error, word):
    words: list[str] = []
    watch = Processes()
    watch.roll = SimpleNamespace(close=words.append)  # type: ignore[assignment]
    if error is None:
        with watch.watched():
            pass
    else:
        with pytest.raises(error), watch.watched():
            raise error
    assert words == [word] and watch.ends.is_set()


def test_what_a_library_says_of_its_neighbour_is_replaced(roll):
    watch = Processes()
    watch.roll = SimpleNamespace(close=str, why=lambda: "rank 1 was lost")  # type: ignore[assignment]
    with pytest.raises(InputError, match=r"^rank 1 was lost$"), watch.watched():
        raise RuntimeError("[gloo] Connection closed by peer [127.0.0.1]:4711")
    with pytest.raises(RuntimeError, match="shapes"), watch.watched():
        raise RuntimeError("shapes differ")


def test_lightning_has_nobody_to_watch():
    child: Any = SimpleNamespace(poll=lambda: -9)
    seen, launcher, watch = [child], SimpleNamespace(), Processes()
    launcher.procs = seen
    watch._take_over(launcher)
    assert seen == [] and launcher.procs == [child]
    with pytest.raises(InputError, match=r"process 1 of this host was ended by signal 9 \(SIGK"):
        watch._check_family()


def test_a_process_whose_parent_is_gone_does_not_wait_for_it(monkeypatch):
    monkeypatch.setenv(processes.PARENT, str(os.getppid()))
    Processes()._check_family()
    monkeypatch.setenv(processes.PARENT, "1")
    if os.getppid() != 1:
        with pytest.raises(InputError, match="the one that started it is gone"):
            Processes()._check_family()


class KillFirst(Callback):
    """What the system does to a process when the memory is full."""

    rank = 0

    def on_before_backward(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_rank == self.rank and trainer.global_step == 2:
            os.kill(os.getpid(), signal.SIGKILL)


class KillSecond(KillFirst):
    """The other one."""

    rank = 1


@pytest.mark.slow
@pytest.mark.parametrize("killed", [KillFirst, KillSecond])
def test_after_a_kill_of_one_of_two_processes_the_other_says_which(killed, tiny_world, tmp_path):
    done = two_processes(tiny_world, tmp_path, killed)
    assert done.returncode == (2 if killed.rank else -9)
    assert f"error: rank {killed.rank} (process" in done.stderr
    assert "SIGKILL" in done.stderr and "memory" in done.stderr
    assert "Traceback" not in done.stderr and "has said why" not in done.stderr


@pytest.mark.slow
def test_after_an_error_in_one_of_two_processes_the_other_says_whose(tiny_world, tmp_path):
    done = two_processes(tiny_world, tmp_path, FailAlone)
    assert "error: no room for the sample s:17" in done.stderr
    assert "error: this process ends because rank 0 did, which has said why" in done.stderr
