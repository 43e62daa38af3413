"""Names on disk: configs, run folders, checkpoints."""

import os
import resource
import signal
from pathlib import Path

import pytest
import torch

from vista.app import runs
from vista.app.runs import find_checkpoint, find_config, find_file, new_run, newest_run, run_of
from vista.training.checkpoints import read_checkpoint, write_checkpoint


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finish(name: str, seconds: int) -> Path:
    """A finished run of a certain age."""
    folder = Path("runs") / name
    (folder / "checkpoints").mkdir(parents=True)
    for file in ("best.ckpt", "last.ckpt"):
        (folder / "checkpoints" / file).touch()
    (folder / "config.yaml").touch()
    (folder / "done.json").write_text('{"checkpoint": "checkpoints/best.ckpt", "step": 3}')
    os.utime(folder / "done.json", (seconds, seconds))
    return folder


def test_a_config_is_looked_for_here_and_then_in_configs(here):
    assert (
        find_config("stage1")
        == find_config("stage1.yaml")
        == runs.CONFIGS / "stages" / "stage1.yaml"
    )
    (here / "stage1.yaml").write_text("name: mine\n")
    assert find_config("stage1").resolve() == here / "stage1.yaml"
    with pytest.raises(
        FileNotFoundError,
        match=r"no config 'stag1' here or in configs/; did you mean 'stage1\.yaml'",
    ):
        find_config("stag1")
    with pytest.raises(
        FileNotFoundError, match=r"configs/ holds .*coinit\.yaml, .*stage1\.yaml, .*tiny\.yaml"
    ):
        find_config("qqqq.yaml")


def test_a_file_of_the_project_is_found_from_any_folder(here):
    assert find_file(None) is None
    assert find_file("configs/tiny/tokenizer") == runs.CONFIGS / "tiny" / "tokenizer"
    assert find_file("nowhere/weights") == Path("nowhere/weights")
    (here / "configs" / "tiny" / "tokenizer").mkdir(parents=True)
    assert find_file("configs/tiny/tokenizer") == Path("configs/tiny/tokenizer")


def test_names_of_new_runs():
    assert new_run("a") == Path("runs/a")
    Path("runs/a").mkdir(parents=True)
    assert new_run("a") == Path("runs/a-2")
    Path("runs/a-2").mkdir()
    assert new_run("a") == Path("runs/a-3")


def test_the_newest_finished_run():
    with pytest.raises(
        FileNotFoundError, match=r"no finished run under runs/; train one by `python main\.py fit"
    ):
        newest_run()
    older, newer, newest = finish("stage1", 10), finish("stage1-2", 20), finish("stage1-big", 30)
    Path("runs/stage1-3").mkdir()  # not finished
    assert newest_run() == newest
    assert newest_run("stage1") == newer  # `stage1-big` is a name of its own
    os.utime(older / "done.json", (40, 40))
    assert newest_run("stage1") == older
    with pytest.raises(
        FileNotFoundError, match="no finished run 'stgae1' under runs/; did you mean 'stage1'"
    ):
        newest_run("stgae1")


def test_what_a_checkpoint_may_be_called():
    folder = finish("stage1", 10)
    best, last = folder / "checkpoints" / "best.ckpt", folder / "checkpoints" / "last.ckpt"
    for where in ("", "stage1", "runs/stage1", str(best)):
        assert find_checkpoint(where) == best
    assert find_checkpoint("stage1", "last") == last
    assert find_checkpoint(best, "last") == best
    sharded = Path("elsewhere/step.ckpt")
    sharded.mkdir(parents=True)
    assert find_checkpoint(sharded) == sharded
    assert run_of(best) == folder and run_of(sharded) is None
    with pytest.raises(FileNotFoundError, match=r"there is no checkpoint x/stage1\.ckpt"):
        find_checkpoint("x/stage1.ckpt")
    with pytest.raises(FileNotFoundError, match="x/stage1 is no folder of a finished run"):
        find_checkpoint("x/stage1")  # not silently the run of that name under runs/


def test_a_killed_run_is_resumed_from_its_newest_intact_checkpoint(here):
    folder = here / "runs/killed/checkpoints"
    folder.mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="runs/killed holds no checkpoint that can be read"):
        find_checkpoint("runs/killed", "last")
    for time, name in enumerate(("first", "second", "cut")):
        torch.save({"state_dict": {"w": torch.zeros(99)}, "vista": {}}, folder / f"{name}.ckpt")
        os.utime(folder / f"{name}.ckpt", (time, time))
    (folder / "cut.ckpt").write_bytes((folder / "cut.ckpt").read_bytes()[:300])
    os.utime(folder / "cut.ckpt", (9, 9))
    with pytest.warns(
        UserWarning, match=r"cut\.ckpt is no checkpoint, or is damaged; the one before it is taken"
    ):
        assert find_checkpoint("runs/killed", "last").name == "second.ckpt"
    with pytest.raises(FileNotFoundError, match="runs/killed is no folder of a finished run"):
        find_checkpoint("runs/killed")


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(here):
    first, second = (
        {"state_dict": {"w": torch.full((9999,), value)}, "vista": {}} for value in (1.0, 2.0)
    )
    write_checkpoint(first, here / "new" / "last.ckpt")
    limit, handler = (
        resource.getrlimit(resource.RLIMIT_FSIZE),
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (20_000, limit[1])
    )  # the disk has room for half of it
    try:
        with pytest.raises(OSError, match="File too large"):
            write_checkpoint(second, here / "new" / "last.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert read_checkpoint(here / "new" / "last.ckpt")["state_dict"]["w"][0] == 1
    write_checkpoint(second, here / "new" / "last.ckpt")
    assert read_checkpoint(here / "new" / "last.ckpt")["state_dict"]["w"][0] == 2
    assert [path.name for path in (here / "new").iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("lazy", [False, True])
def test_only_sound_checkpoints_are_read(here, lazy):
    good = {"state_dict": {"w": torch.zeros(2)}, "vista": {}}
    torch.save(good, here / "good.ckpt")
    assert read_checkpoint(here / "good.ckpt", lazy)["state_dict"]["w"].tolist() == [0, 0]
    torch.save({"state_dict": {}}, here / "other.ckpt")
    torch.save(good | {"code": Path}, here / "code.ckpt")
    (here / "empty.ckpt").touch()
    (here / "text.ckpt").write_text("hello")
    (here / "cut.ckpt").write_bytes((here / "good.ckpt").read_bytes()[:300])
    for name in ("other", "code", "empty", "text", "cut"):
        with pytest.raises(ValueError, match=rf"{name}\.ckpt is no checkpoint") as error:
            read_checkpoint(here / f"{name}.ckpt", lazy)
        assert "\n" not in str(error.value)
