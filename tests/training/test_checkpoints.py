"""A checkpoint is what was written, or is refused in one sentence; at every moment of a save there is a sound one."""

import hashlib
import os
import pickle
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint import FileSystemReader

from benchmarks.step_tags import mixed_tensors, tag
from tests.tiny import FLAGS, run
from vista.app.runs import find_checkpoint
from vista.data import InputError
from vista.training import checkpoint_files, sharded_checkpoints
from vista.training.checkpoint_files import unfinished
from vista.training.checkpoints import (
    check_sound,
    copy_checkpoint,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
NAME = "state_dict.w"


def write_file(value: float, path: Path) -> None:
    content = {"state_dict": {"w": torch.full((999,), value)}, "vista": {}, "global_step": value}
    write_checkpoint(content, path)


def write_folder(value: float, path: Path, **more: Any) -> None:
    """As `ShardedStrategy` does, by one process."""
    checkpoint_files.discard(unfinished(path))
    unfinished(path).mkdir(parents=True)
    tensors = {NAME: torch.full((999,), value), **more}
    sharded_checkpoints.write_shards(tensors, unfinished(path))
    sharded_checkpoints.finish({"vista": {}, "global_step": value}, path)


WRITERS = {"file": write_file, "folder": write_folder}
both = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())


def weight(path: Path) -> float:
    (value,) = set(read_checkpoint(path)["state_dict"]["w"].tolist())
    return float(value)


def shard(path: Path) -> Path:
    (file,) = path.glob("*.distcp")
    return file


def flip(file: Path, position: int) -> None:
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)


def test_a_file_with_a_flipped_byte_is_refused(tmp_path):
    path = tmp_path / "last.ckpt"
    write_file(1, path)
    assert weight(path) == 1
    size = path.stat().st_size
    for position in (size // 3, size // 2, size - 300):
        flip(path, position)
        for lazy in (False, True):
            with pytest.raises(InputError, match=r"last\.ckpt is damaged: its sum is not that in "):
                read_checkpoint(path, lazy)
        flip(path, position)
    assert weight(path) == 1


def test_the_sum_is_that_of_sha256sum_and_goes_where_its_file_goes(tmp_path):
    path, copy = tmp_path / "last.ckpt", tmp_path / "copies" / "best.ckpt"
    write_file(1, path)
    copy_checkpoint(path, copy)
    for file in (path, copy):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        kept = file.with_name(f"{file.name}.sha256")
        assert kept.read_text() == f"{digest}  {file.name}\n"
    alone = tmp_path / "alone.ckpt"
    shutil.copy(path, alone)
    assert weight(alone) == 1
    remove_checkpoint(copy)
    assert not list(copy.parent.iterdir())


def test_a_shard_that_is_cut_or_gone_is_refused(tmp_path):
    path = tmp_path / "last.ckpt"
    write_folder(1, path)
    assert weight(path) == 1
    content = shard(path).read_bytes()
    for length in (len(content) - 1, len(content) // 2, 0):
        shard(path).write_bytes(content[:length])
        for lazy in (False, True):
            with pytest.raises(InputError, match=rf"__0_0\.distcp has {length} bytes, {NAME} ends"):
                read_checkpoint(path, lazy)
    shard(path).unlink()
    with pytest.raises(InputError, match=r"lacks __0_0\.distcp, it was not written to the end"):
        check_sound(path)


def test_a_shard_with_a_flipped_byte_is_refused(tmp_path):
    path = tmp_path / "last.ckpt"
    write_folder(1, path)
    flip(shard(path), shard(path).stat().st_size // 2)  # a number: its length is right
    with pytest.raises(InputError, match=rf"last\.ckpt is damaged: the sum of {NAME} is another"):
        read_checkpoint(path)


def test_a_folder_without_a_part_of_a_tensor_or_its_settings_is_refused(tmp_path):
    path = tmp_path / "last.ckpt"
    write_folder(1, path)
    metadata = sharded_checkpoints.sound_metadata(path)
    chunk = metadata.state_dict_metadata[NAME].chunks[0]  # type: ignore[union-attr]
    for sizes, complaint in (((99,), "99 of 999 numbers"), ((10**9,), "larger than what is kept")):
        chunk.sizes = torch.Size(sizes)
        pickle.dump(metadata, (path / ".metadata").open("wb"))
        with pytest.raises(InputError, match=complaint):
            check_sound(path)
    write_folder(1, path)
    (path / "meta.pt").unlink()
    with pytest.raises(InputError, match=r"lacks meta\.pt, it was not written to the end"):
        check_sound(path)


@both
def test_of_a_killed_run_the_newest_sound_one_is_taken_and_why(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/killed/checkpoints")
    for step in (1, 2):
        write(step, folder / f"step={step}.ckpt")
        os.utime(folder / f"step={step}.ckpt", (step, step))
    newest = folder / "step=2.ckpt"
    damaged = newest if newest.is_file() else shard(newest)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    os.utime(newest, (2, 2))
    with pytest.warns(UserWarning, match=r"step=2\.ckpt is .*; the one before it is taken"):
        assert weight(find_checkpoint("runs/killed", "last")) == 1


def as_others_write(path: Path) -> None:
    """A folder with an entry that is no tensor, as torch writes it: harmless, but it is a pickle."""
    path.mkdir(parents=True)
    content = {NAME: torch.zeros(3), "optimizer_0.param_groups.lr": 0.1}
    dcp.save(content, storage_writer=dcp.FileSystemWriter(path))
    torch.save({"vista": {}, "global_step": 1, "epoch": 0}, path / "meta.pt")


def test_an_entry_that_is_no_tensor_is_refused_before_a_shard_is_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    opened = list[object]()
    monkeypatch.setattr(FileSystemReader, "read_data", lambda *given: opened.append(given))
    path = tmp_path / "last.ckpt"
    as_others_write(path)
    for lazy in (False, True):
        with pytest.raises(InputError, match="lr is no tensor, and loading it could run code"):
            read_checkpoint(path, lazy)
    sharded = "--trainer.strategy=vista.training.sharded_strategy.ShardedStrategy"
    named = [f"--ckpt_path={path}", *FLAGS]
    for words in (
        ["consolidate", str(path), "whole.ckpt"],
        ["fit", "--config", "stage1", *named, "--model.optimization.optimizer=adamw", sharded],
        ["fit", "--config", "stage1", *FLAGS, f"--model.init_from={path}"],
        ["validate", *named],
        ["test", *named],
        ["predict", "--task=rec", "--images=a.png", *named],
    ):
        outcome = run(*words)
        assert outcome.code == 2 and "lr is no tensor" in outcome.err, (words, outcome.err)
    assert not opened and not Path("whole.ckpt").exists()


class Killed(BaseException):
    """No code is run after a kill, so that nothing is tidied up."""


@contextmanager
def killed_after(moves: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Each file that is moved or removed counts; behind the last one nothing happens to the disk any more."""
    done = list[str]()

    def counted(name: str) -> Any:
        real = getattr(Path, name)

        def call(*given: Any, **more: Any) -> Any:
            if len(done) >= moves:
                raise Killed
            done.append(f"{name} {given[0].name}")
            return real(*given, **more)

        return call

    def discard(path: Path) -> None:
        if len(done) < moves:
            shutil.rmtree(path, ignore_errors=True)

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, counted(name))
        patch.setattr(checkpoint_files, "discard", discard)
        yield done


@both
@pytest.mark.parametrize("moves", range(7))
def test_at_every_moment_of_a_save_there_is_a_sound_checkpoint(tmp_path, monkeypatch, write, moves):
    folder = tmp_path / "runs/killed/checkpoints"
    write(1, folder / "last.ckpt")
    with killed_after(moves, monkeypatch) as done:
        try:
            write(2, folder / "last.ckpt")
        except Killed:
            assert len(done) == moves
    values = set()
    for path in folder.glob("*.ckpt"):
        check_sound(path)
        values.add(weight(path))
    assert values and values <= {1, 2}
    write(3, folder / "last.ckpt")
    assert weight(folder / "last.ckpt") == 3
    left = {path.name for path in folder.iterdir()} - {"last.ckpt.sha256"}
    assert left == {"last.ckpt"}, "the next save takes what was left away"


@both
def test_a_full_disk_keeps_the_checkpoint_before(tmp_path, write):
    path = tmp_path / "last.ckpt"
    write(1, path)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limit[1]))  # room for half of it
    try:
        with pytest.raises(OSError, match="File too large"):
            write(2, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert weight(path) == 1


def test_the_benchmark_sees_a_mixture_of_two_steps(tmp_path):
    path = tmp_path / "last.ckpt"
    moments = {"optimizer_0.state.w.step": torch.tensor(7.0)}
    write_folder(tag(7), path, **moments)
    rest = {"vista": {}, "global_step": 7}
    torch.save(rest, path / "meta.pt")
    assert mixed_tensors(path) == (2, [])
    torch.save(rest | {"global_step": 8}, path / "meta.pt")
    assert mixed_tensors(path) == (2, ["optimizer_0.state.w.step", NAME])
    half = torch.cat([torch.full((500,), tag(7)), torch.full((500,), tag(8))])
    write_folder(tag(8), path, **{"state_dict.v": half})
    torch.save(rest | {"global_step": 8}, path / "meta.pt")
    assert mixed_tensors(path) == (2, ["state_dict.v"])
