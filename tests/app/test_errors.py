"""How a run ends early: a sentence where a person can help, the traceback where the code is at fault."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning import Callback, Trainer
from torch.utils.data import DataLoader, Dataset

from main import main
from tasks import Task
from tests.tiny import FLAGS, ROOT, run
from vista.app.errors import sentence, settings_blamed, told_in_one_sentence
from vista.data import InputError, MissingFileError, SampleError

PLACE = "task where, source where_refcoco, annotation 1234, file x.jpg"
SLIP = f"{PLACE}: ValueError: too many values to unpack (expected 2)"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Faulty(Dataset):
    """One sample that cannot be made: a slip in a task, or a file that is not there."""

    def __init__(self, error: type[Exception], text: str) -> None:
        self.error, self.text = error, text

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> torch.Tensor:
        try:
            first, second = (1, 2, 3)
        except ValueError as error:
            raise self.error(self.text) from error
        return torch.tensor([first, second])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InputError("the file x.json\n  is cut"), "the file x.json is cut"),
        (MissingFileError("there is no x.json"), "there is no x.json"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full; free some space and begin again"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "runs/a"), "the disk is full, runs/a cannot"),
        (PermissionError(errno.EACCES, "Permission denied", "runs/a"), "runs/a cannot be opened: Permission denied"),
        (OSError(errno.EROFS, "Read-only file system", "runs/a"), "runs/a cannot be opened: Read-only file system"),
        (RuntimeError("[rank1] Connection closed by peer [::1]"), "this process ends because another one did"),
    ],
)  # fmt: skip
def test_what_a_person_can_help_is_one_sentence(error, said, capsys):
    with pytest.raises(SystemExit) as stop, told_in_one_sentence():
        raise error
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {said}")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("too many values to unpack (expected 2)"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "x"),
        PermissionError("a library says no"),
        RuntimeError("shape mismatch"),
        KeyError("label"),
    ],
)
def test_a_fault_of_code_keeps_its_traceback(error, capsys):
    with pytest.raises(type(error)) as raised, told_in_one_sentence():
        raise error
    assert raised.value is error
    assert sentence(error) == capsys.readouterr().err == ""


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_slip_in_a_task_says_where_first_and_keeps_its_traceback(num_workers, capsys):
    loader = DataLoader(Faulty(SampleError, SLIP), num_workers=num_workers)
    with pytest.raises(SampleError) as raised, told_in_one_sentence():
        next(iter(loader))
    assert capsys.readouterr().err == f"error: {SLIP}\n"
    if num_workers:  # what is printed after the sentence
        assert "first, second = (1, 2, 3)" in str(raised.value)
    else:
        assert isinstance(raised.value.__cause__, ValueError)


def test_a_sentence_from_a_loader_process_is_one_line(capsys):
    loader = DataLoader(Faulty(InputError, f"{PLACE}: it has no box"), num_workers=1)
    with pytest.raises(SystemExit), told_in_one_sentence():
        next(iter(loader))
    assert capsys.readouterr().err == f"error: {PLACE}: it has no box\n"


def test_a_plugin_with_a_syntax_error_keeps_its_traceback(here):
    (here / "mine.py").write_text("class Mine\n    pass\n")
    words = [sys.executable, str(ROOT / "main.py"), "check-task", "mine", "--plugin", "mine.py"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "SyntaxError" in done.stderr
    assert 'mine.py", line 1' in done.stderr and not done.stderr.startswith("error: ")


def test_a_config_that_is_not_utf_8_is_one_sentence(here):
    (here / "mine.yaml").write_bytes("data: {root: Bücher}\n".encode("latin-1"))
    outcome = run("fit", "--config", "mine.yaml")
    assert outcome.code == 2
    assert "the config mine.yaml is not YAML: 'utf-8' codec can't decode byte" in outcome.err


@pytest.mark.parametrize(
    "words", [["fit", *FLAGS], ["pretrain", "--config", "stage0", "--encoder.image_size=32"]]
)
def test_what_lightning_says_of_a_setting_is_one_sentence(words):
    outcome = run(*words, "--trainer.accelerator=gpuu")
    assert outcome.code == 2
    assert "error: You selected an invalid accelerator name: `accelerator='gpuu'`" in outcome.err


def test_a_world_that_cannot_be_written_is_one_sentence(here):
    (here / "world").mkdir()
    (here / "world" / "mine.txt").touch()
    outcome = run("fit", *FLAGS, "--data.root=world")
    assert outcome.code == 2
    assert "world is not empty and holds no world.json; choose another root" in outcome.err


class FullDisk(Callback):
    """No room is left, after there was some for the last checkpoint or before."""

    def __init__(self, saved: bool) -> None:
        self.saved = saved

    def on_fit_start(self, trainer: Trainer, *_: object) -> None:
        Path(trainer.default_root_dir, "large").touch()
        if not self.saved:
            self.on_train_batch_end()

    def on_train_batch_end(self, *_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("saved", "advice"),
    [
        (True, "free some space, then resume with `--ckpt_path runs/full`; what was saved is kept"),
        (False, "free some space and begin again"),
    ],
)
def test_a_full_disk_of_a_run_says_whether_it_can_be_resumed(saved, advice, tiny_world):
    callback = ["--trainer.callbacks+=tests.app.test_errors.FullDisk"]
    callback.append(f"--trainer.callbacks.saved={str(saved).lower()}")
    words = ["--config=stage1", *FLAGS, "--data.tasks=[rec]", f"--data.root={tiny_world}"]
    outcome = run("fit", *words, "--name=full", "--trainer.limit_val_batches=0", *callback)
    assert outcome.code == 2
    assert f"error: the disk of runs/full is full; {advice}\n" in outcome.err


def test_only_complaints_about_settings_are_for_a_person():
    with pytest.raises(InputError, match=r"^no such strategy$"), settings_blamed():
        raise ValueError("no such strategy")
    with pytest.raises(MissingFileError), settings_blamed():
        raise MissingFileError("x")
    with pytest.raises(TypeError), settings_blamed():
        raise TypeError("a fault of code")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_slip_in_the_target_of_a_plugin(num_workers, here, tiny_world, monkeypatch, capsys):
    monkeypatch.setattr(Task, "known", dict(Task.known))  # no other test meets this task
    (here / "slip.py").write_text(
        "from tasks.rec import REC\n\n\nclass Slip(REC):\n    name = 'slip'\n"
        "    templates = ('<image> Where is <expr>?',)\n\n"
        "    def target(self, annotation):\n        x, y = annotation.boxes[0]\n        return f'{x} {y}'\n"
    )
    (here / "slip.yaml").write_text(
        "plugin: slip.py\n"
        "data: {sources: {slip_refcoco: {task: slip, dataset: refcoco, train: train, val: val}}}\n"
    )
    settings = [*FLAGS, f"--data.root={tiny_world}", f"--data.num_workers={num_workers}"]
    with pytest.raises(SampleError):
        main(["fit", "--config", "slip", *settings])
    err = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    (line,) = err
    assert re.match(
        r"error: task slip, source slip_refcoco, annotation \w+, file coco/.*\.jpg: ", line
    )
    assert line.endswith("ValueError: too many values to unpack (expected 2)")
