"""A loader counts its waiting, and replaces processes that were born asleep."""

import multiprocessing
import signal
import time
from typing import Any

import pytest
from torch.utils.data import Dataset, _utils

from datamodules import timed_loader
from datamodules.timed_loader import TimedLoader


class Numbers(Dataset[int]):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> int:
        return index


def test_a_loader_knows_how_long_its_batches_were_waited_for(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    class Slow:
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> int:
            clock[0] += 1
            return index

    loader = TimedLoader(Slow(), batch_size=2)  # type: ignore[arg-type]
    for epoch in (1, 2):
        for _ in loader:
            clock[0] += 10  # training
        assert loader.waited == 4 * epoch


def fail(worker: int) -> None:
    raise ZeroDivisionError


@pytest.fixture
def born_asleep(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the first so many loader processes sleep, deaf to SIGTERM as one that hangs in the interpreter is."""
    left = multiprocessing.Value("i", 0)
    answer = timed_loader._answer

    def first_sleep(*arguments: Any) -> None:
        with left.get_lock():
            left.value -= 1
            asleep = left.value >= 0
        if asleep:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        answer(*arguments)

    monkeypatch.setattr(timed_loader, "_answer", first_sleep)
    monkeypatch.setattr(timed_loader, "PATIENCE", 1.0)
    monkeypatch.setattr(_utils, "MP_STATUS_CHECK_INTERVAL", 0.2)
    return left


@pytest.mark.parametrize(("workers", "asleep"), [(1, 1), (2, 1), (2, 3)])
def test_processes_that_sleep_are_replaced(born_asleep, capfd, workers, asleep):
    born_asleep.value = asleep
    loader = TimedLoader(Numbers(), batch_size=2, num_workers=workers)
    assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3], [4, 5]]
    assert capfd.readouterr().err.count("is replaced") == (2 if asleep > workers else 1)
    assert loader.waited > 1 and not multiprocessing.active_children()


def test_what_a_process_begins_with_is_kept():
    loader = TimedLoader(Numbers(), num_workers=1, worker_init_fn=fail)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            next(iter(loader))
    assert loader.worker_init_fn is fail


def test_processes_that_never_wake_are_an_error(born_asleep):
    born_asleep.value = 99
    with pytest.raises(RuntimeError, match=r"did not wake 3 times; set --data.num_workers 0"):
        next(iter(TimedLoader(Numbers(), num_workers=1)))
    assert not multiprocessing.active_children()
