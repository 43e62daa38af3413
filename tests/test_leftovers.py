"""What a killed process leaves is removed; what a live one uses is not."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest

from tests.tiny import ROOT
from vista.leftovers import claim, held, made_and_held, remove_unused, temporary_folder, unused

PROGRAM = """
import sys, time
from pathlib import Path
from vista.leftovers import temporary_folder
with temporary_folder("mine-", Path(sys.argv[1])) as folder:
    (folder / "half").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_live_one_stays(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    try:
        folders = [Path(process.stdout.readline().strip()) for process in processes]  # type: ignore[union-attr]
        os.kill(processes[0].pid, signal.SIGKILL)
        processes[0].wait()
        assert all(folder.is_dir() for folder in folders)
        with temporary_folder("mine-", tmp_path) as folder:
            assert set(tmp_path.iterdir()) == {folders[1], folder}
        assert set(tmp_path.iterdir()) == {folders[1]}
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_only_what_nobody_holds_is_removed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").touch()
    with held(tmp_path / "a"), held(tmp_path / "a"), held(tmp_path / "b"):
        remove_unused(tmp_path.iterdir())
        assert len(list(tmp_path.iterdir())) == 2
    remove_unused([*tmp_path.iterdir(), tmp_path / "not there"])
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_claimed_is_cleared_once_and_kept(tmp_path, monkeypatch):
    """A cache: no other process takes away what this one is writing there."""
    cache = tmp_path / "cache"
    monkeypatch.setattr("vista.leftovers._claimed", {})
    claim(cache)
    part = cache / f"rec-val.{uuid4().hex}.part"
    part.touch()
    claim(cache)
    monkeypatch.setattr("vista.leftovers._claimed", claimed := {})  # as another process
    claim(cache)
    assert list(cache.iterdir()) == [part]
    claimed[cache].close()


def test_what_was_left_in_a_folder_nobody_holds_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("vista.leftovers._claimed", {})
    for name in (f"rec-val.{uuid4().hex}.part", "rec-val.arrow"):
        (tmp_path / name).touch()
    (tmp_path / f"rec-val.5d2c.groups.{uuid4().hex}.part").mkdir()
    claim(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["rec-val.arrow"]


def test_another_programs_parts_stay_in_a_folder_that_becomes_a_cache(tmp_path, monkeypatch):
    """A stranger's config may name any folder as `data.cache`."""
    monkeypatch.setattr("vista.leftovers._claimed", {})
    (tmp_path / "thesis.pdf.part").touch()
    (tmp_path / f"rec-val.{uuid4().hex}.part").touch()
    claim(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.pdf.part"]


def test_a_child_that_outlives_its_parent_holds_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    begun = context.Event()

    def outlive() -> None:
        begun.set()
        time.sleep(60)

    with held(tmp_path):
        child = context.Process(target=outlive)
        child.start()
        assert begun.wait(60)
    try:
        with unused(tmp_path) as free:
            assert free
    finally:
        child.kill()
        child.join()


def test_what_was_taken_for_left_over_is_made_again(tmp_path):
    names = iter("abc")

    def make() -> Path:
        path = tmp_path / next(names)
        if path.name == "c":  # the two before are gone before they are held
            path.touch()
        return path

    with made_and_held(make) as path:
        assert path.name == "c"
    fault = FileNotFoundError("a fault of the block")
    with pytest.raises(FileNotFoundError, match="a fault"), temporary_folder("mine-", tmp_path):
        raise fault
