"""What killed processes leave behind: files and folders that they would have moved or removed.

Whoever works in one holds a lock on it, which the system takes away with the process, however it ends: what nobody
holds is left over. Where a file system keeps no locks, nothing counts as left over, and nothing is removed.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir, mkdtemp

# What is being written: a name, a number of its own (`uuid4().hex`), an ending. Nothing else is removed from a folder,
# which may be a stranger's choice.
PARTS = f"*.{'[0-9a-f]' * 32}.part"
_locks: set[int] = set()  # descriptors of this process
_claimed: dict[Path, ExitStack] = {}  # folders of this process


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Show other processes that a file or folder is in use, for the length of the block.

    Raises:
        FileNotFoundError: it is not there.
    """
    lock = os.open(path, os.O_RDONLY)
    _locks.add(lock)
    _let_children_close()
    try:
        with suppress(OSError):  # no locks here
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield
    finally:
        _locks.discard(lock)
        os.close(lock)


@contextmanager
def made_and_held(make: Callable[[], Path]) -> Iterator[Path]:
    """What `make` makes, held; made once more where somebody took it for left over before it was held."""
    while True:
        path = make()
        with ExitStack() as stack:
            try:
                stack.enter_context(held(path))
            except FileNotFoundError:
                continue
            if path.exists():
                yield path
                return


@contextmanager
def unused(path: Path) -> Iterator[bool]:
    """Whether no process holds a file or folder, nor can for the length of the block."""
    try:
        lock = os.open(path, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        yield _locked(lock)
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@cache
def _let_children_close() -> None:
    """A loader process that outlives the one that started it must not hold what that one held."""
    os.register_at_fork(after_in_child=_close_all)


def _close_all() -> None:
    for lock in _locks:
        os.close(lock)
    _locks.clear()


def claim(folder: Path) -> None:
    """Make a folder and hold it until this process ends; what is not finished in one that nobody held is removed.

    Args:
        folder: where this process is about to write parts, named as `PARTS` says.
    """
    folder = folder.resolve()
    if folder in _claimed:
        return
    with suppress(OSError):  # whoever writes there says so
        folder.mkdir(parents=True, exist_ok=True)
        with unused(folder) as free:
            left = folder.glob(PARTS) if free else ()
            for path in left:
                remove(path)
        _claimed[folder] = ExitStack()
        _claimed[folder].enter_context(held(folder))


def remove_unused(paths: Iterable[Path]) -> None:
    """Remove those of some files and folders that no process holds, as far as this one may."""
    for path in paths:
        with unused(path) as free:
            if free:
                remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and this process may."""
    rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink(missing_ok=True)


@contextmanager
def temporary_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A folder that is removed after the block, with all of the same prefix that killed processes left there.

    Args:
        prefix: of its name.
        parent: where it lies; None: where the system has temporary files.
    """
    parent = parent or Path(gettempdir())
    remove_unused(parent.glob(f"{prefix}*"))
    with made_and_held(lambda: Path(mkdtemp(prefix=prefix, dir=parent))) as folder:
        try:
            yield folder
        finally:
            rmtree(folder, ignore_errors=True)
