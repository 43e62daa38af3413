"""Names on disk: configs, run folders, checkpoints."""

import os
import resource
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import torch

from vista.app import runs
from vista.app.runs import (
    find_checkpoint,
    find_config,
    find_file,
    new_run,
    newest_intact,
    newest_run,
    remove_empty,
    remove_leftovers,
    run_of,
)
from vista.data import InputError
from vista.leftovers import held
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


@pytest.mark.parametrize(
    "text", ["no", "3", "{}", '{"checkpoint": 3}', '{"checkpoint": "../b/checkpoints/best.ckpt"}']
)
def test_a_run_names_no_checkpoint_but_its_own(text: str) -> None:
    """A stranger's run could lead to another one, into whose folder `test` would write."""
    finish("b", 1)
    (finish("a", 2) / "done.json").write_text(text)
    with pytest.raises(InputError, match=r"done\.json names "):
        find_checkpoint("a")


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


def test_folders_of_new_runs(here):
    for folder in ("a", "a-2", "a-3", "exp/a", "exp/a-2"):
        assert new_run(folder.removesuffix("-2").removesuffix("-3")) == Path("runs") / folder
        assert (here / "runs" / folder).is_dir()
    remove_empty(here / "runs/exp/a-2")
    assert {path.name for path in (here / "runs").rglob("*")} == {"a", "a-2", "a-3", "exp"} | {"a"}
    (here / "runs/a/config.yaml").touch()
    for folder in ("a", "a-2", "a-3", "exp/a"):
        remove_empty(here / "runs" / folder)
    assert [path.name for path in (here / "runs").rglob("*")] == ["a", "config.yaml"]


def test_runs_that_begin_together_have_a_folder_each():
    """While others take away what they made and wrote nothing into."""
    together, made = Barrier(8), set()

    def begin(number: int) -> list[Path]:
        together.wait()
        return [new_run("exp/a") for _ in range(25)]

    def begin_in_vain() -> None:
        for _ in range(200):
            remove_empty(new_run("exp/b"))

    with ThreadPoolExecutor(9) as pool:
        vain = pool.submit(begin_in_vain)
        found = list(pool.map(begin, range(8)))
        vain.result()
    made = {folder for folders in found for folder in folders}
    assert len(made) == 200 and all(folder.is_dir() for folder in made)


@pytest.mark.parametrize("name", ["", ".", "..", "a/../../b", "/somewhere/else"])
def test_a_run_whose_folder_would_lie_elsewhere_is_refused(here, name):
    with pytest.raises(InputError, match=r"names no folder below runs/, where runs are kept"):
        new_run(name)
    assert not list(here.iterdir())


def test_a_run_with_a_name_of_several_parts_is_found(here):
    older, newer = finish("a", 10), finish("exp/a", 20)
    assert newest_run() == newer and newest_run("exp/a") == newer and newest_run("a") == older
    best = newer / "checkpoints" / "best.ckpt"
    for where in ("", "exp/a", "runs/exp/a"):
        assert find_checkpoint(where) == best
    assert find_checkpoint("exp/a", "last") == best.with_name("last.ckpt")
    again = finish("exp/a-2", 30)
    assert find_checkpoint("exp/a") == again / "checkpoints" / "best.ckpt"
    with pytest.raises(FileNotFoundError, match="exp/b is no folder of a finished run"):
        find_checkpoint("exp/b")
    (here / "runs/linked").symlink_to(here / newer, target_is_directory=True)
    assert newest_run("linked") == Path("runs/linked")


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


def counted(step: int, epochs: int = 0, validated: int = 0) -> dict[str, Any]:
    """A checkpoint with Lightning's counters."""
    loops = {
        "epoch_progress": {"total": {"processed": epochs}},
        "epoch_loop.val_loop.batch_progress": {"total": {"completed": validated}},
    }
    states = {"state_dict": {}, "vista": {}, "global_step": step}
    return states | {"loops": {"fit_loop": loops}}


def test_the_newest_checkpoint_is_the_one_furthest_in_the_run(here):
    """Not the one whose file is newest: a copy may keep no times, and turn their order round."""
    folder = here / "runs/killed/checkpoints"
    folder.mkdir(parents=True)
    order = {
        "last": counted(20, 2, 5), "validated": counted(20, 1, 5), "step=20": counted(20, 1), "step=18": counted(18, 1),
        "best": counted(10, 1, 5),
    }  # fmt: skip
    for time, (name, content) in enumerate(order.items()):
        torch.save(content, folder / f"{name}.ckpt")
        os.utime(folder / f"{name}.ckpt", (time, time))
    for name in order:
        assert newest_intact(here / "runs/killed") == folder / f"{name}.ckpt"
        (folder / f"{name}.ckpt").unlink()


def leave(run: Path) -> set[str]:
    """A run's folder as kills leave it: what is sound, and what is half."""
    sound = {
        "config.yaml",
        "checkpoints/last.ckpt",
        "predictions/res.jsonl",
        "predictions/unfinished.json",
    }
    sound |= {"checkpoints/step=4.ckpt/.metadata", "checkpoints/step=4.ckpt/__0_0.distcp"}
    sound |= {
        "checkpoints/step=6.before.ckpt/.metadata"
    }  # what should have taken its place never came
    half = {
        "checkpoints/best.ckpt.unfinished",
        "checkpoints/step=8.ckpt/__0_0.distcp",
        "done.json.part",
    }
    half |= {
        "checkpoints/step=8.ckpt.unfinished/.metadata",
        "predictions/res.joined",
        "scores_test.part",
    }
    half |= {"checkpoints/step=4.before.ckpt/.metadata"}
    for name in sound | half:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("x")
    return sound


def files(run: Path) -> set[str]:
    return {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}


def test_what_kills_leave_in_a_run_is_removed_unless_it_lives(here):
    run = here / "runs/killed"
    sound = leave(run)
    before = files(run)
    with held(run):
        remove_leftovers(run)
        assert files(run) == before
    remove_leftovers(run)
    assert files(run) == sound and not (run / "checkpoints/step=8.ckpt").exists()
    remove_leftovers(here / "runs/nowhere")


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
    kept = {path.name for path in (here / "new").iterdir()}
    assert kept == {"last.ckpt", "last.ckpt.sha256"}


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


def slurm(here: Path, job: int, status: int = 0) -> tuple[list[str], bool]:
    """The words after `fit` that a job runs, and whether it is queued again."""
    programs, said = here / "programs", here / "said"
    programs.mkdir(exist_ok=True)
    said.unlink(missing_ok=True)
    for program in ("srun", "scontrol"):
        code = f"exit {status}" if program == "srun" else ""
        (programs / program).write_text(f'#!/bin/bash\necho {program} "$@" >> {said}\n{code}\n')
        (programs / program).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SLURM_JOB_ID": str(job),
    }
    script = runs.CONFIGS.parent / "examples" / "slurm.sh"
    assert subprocess.run(["bash", script], cwd=here, env=environment).returncode == status
    line, *more = said.read_text().splitlines()
    return line.partition(" fit ")[2].split(), more == [f"scontrol requeue {job}"]


def test_a_job_goes_on_from_its_own_run_alone(here):
    def save(run: str, time: int) -> None:
        path = here / "runs" / run / "checkpoints" / "last.ckpt"
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (time, time))  # a copy may turn the times round

    words, again = slurm(here, 1)
    assert words[-2:] == ["--name", "job1/stage1"] and "--ckpt_path" not in words and not again
    save("job1/stage1", 10)  # still running when others of the same script begin
    for job in (2, 11):
        words, _ = slurm(here, job)
        assert words[-2:] == ["--name", f"job{job}/stage1"] and "--ckpt_path" not in words
    words, again = slurm(here, 1, status=143)
    assert words[-2:] == ["--ckpt_path", "runs/job1/stage1"] and again
    save("job1/stage1-2", 20)
    (here / "runs/job1/stage1-3/checkpoints").mkdir(
        parents=True
    )  # ended before its first checkpoint
    words, again = slurm(here, 1, status=2)
    assert words[-2:] == ["--ckpt_path", "runs/job1/stage1-2"] and not again
    save("job1/stage1-10", 5)
    words, _ = slurm(here, 1)
    assert words[-2:] == ["--ckpt_path", "runs/job1/stage1-10"]
