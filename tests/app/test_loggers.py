"""Where numbers go: loggers that are asked for, none, and what is refused; and which warnings are never silenced."""

import csv
import warnings
from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

import main
from tests.conftest import FinishedRun
from tests.tiny import FLAGS, run
from vista.app.loggers import loggers_of

LOGGER = """
from pathlib import Path

from lightning.pytorch.loggers import Logger


class Lines(Logger):
    name, version = "lines", 0

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = Path(path)

    def log_metrics(self, metrics, step=None):
        with self.path.open("a") as file:
            file.write(f"{step} {sorted(metrics)}\\n")

    def log_hyperparams(self, *args, **kwargs):
        pass
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fit(root: Path, *words: str) -> None:
    """Two steps of the smallest model, a line in the log for each."""
    short = ["--trainer.max_steps=2", "--trainer.log_every_n_steps=1", "--data.batch_size=4"]
    short += ["--data.tasks=[rec]", "--data.order.epoch_samples=8", "--data.scoring.max_val=4"]
    outcome = run("fit", *FLAGS, f"--data.root={root}", *short, "--name=logged", *words)
    assert outcome.code == 0, outcome.err


def columns(file: Path) -> set[str]:
    """Names of the values in a CSV file of a logger."""
    with file.open() as lines:
        return set(next(csv.reader(lines)))


def test_ours_are_there_where_none_is_named(finished_run: FinishedRun) -> None:
    logs = finished_run.folder / "logs"
    assert {"train/loss", "val/mean", "lr-Muon/pg1"} <= columns(logs / "metrics.csv")
    assert list(logs.glob("events.out.tfevents.*"))


def test_a_logger_of_lightning_works_beside_ours(tiny_world: Path, here: Path) -> None:
    fit(tiny_world, "--trainer.logger=CSVLogger", "--trainer.logger.save_dir=mine")
    (theirs,) = (here / "mine").rglob("metrics.csv")
    ours = here / "runs" / "logged" / "logs"
    assert columns(theirs) == columns(ours / "metrics.csv") > {"train/loss", "val/mean"}
    assert list(ours.glob("events.out.tfevents.*"))


def test_loggers_of_others_in_a_config(tiny_world: Path, here: Path) -> None:
    """Any subclass, several of them; `test` of the run writes to them as well."""
    (here / "lines.py").write_text(LOGGER)
    (here / "mine.yaml").write_text(
        "plugin: lines.py\ntrainer:\n  logger:\n"
        "  - {class_path: plugin_lines.Lines, init_args: {path: a.txt}}\n"
        "  - {class_path: plugin_lines.Lines, init_args: {path: b.txt}}\n"
    )
    fit(tiny_world, "--config", "mine")
    assert "train/loss" in Path("a.txt").read_text() and "lr-Muon" in Path("b.txt").read_text()
    assert (here / "runs" / "logged" / "logs" / "metrics.csv").exists()
    outcome = run("test", "--ckpt_path", "logged", "--config", "mine")
    assert outcome.code == 0, outcome.err
    assert "test/rec_refcoco_val/pr50" in Path("a.txt").read_text()


def test_no_logger_at_all(tiny_world: Path, here: Path) -> None:
    fit(tiny_world, "--trainer.logger=false")
    names = {path.name for path in (here / "runs" / "logged").iterdir()}
    assert "logs" not in names and {"config.yaml", "done.json", "checkpoints"} <= names


def test_which_loggers_there_are(here: Path) -> None:
    mine = CSVLogger(here)
    for given in (None, True):
        kinds = [type(logger) for logger in loggers_of(given, here, training=True)]
        assert kinds == [CSVLogger, TensorBoardLogger]
        assert loggers_of(given, here, training=False) == []
    assert loggers_of(False, here, training=True) == []
    assert loggers_of([mine, mine], here, training=False) == [mine, mine]
    assert loggers_of(mine, here, training=True)[2:] == [mine]


@pytest.mark.parametrize("verb", ["fit", "test"])
def test_another_folder_is_refused(finished_run: FinishedRun, monkeypatch, verb: str) -> None:
    monkeypatch.chdir(finished_run.cwd)
    outcome = run(verb, "--trainer.default_root_dir=elsewhere")
    assert outcome.code == 2
    sentence = "error: --trainer.default_root_dir is not used: a run writes to runs/NAME"
    assert outcome.err.splitlines()[-1].startswith(sentence)


def test_a_bar_and_a_summary_that_are_asked_for_are_shown(tiny_world: Path, here: Path) -> None:
    root = f"--data.root={tiny_world}"
    asked = ["--trainer.enable_progress_bar=true", "--trainer.enable_model_summary=true"]
    outcome = run("fit", *FLAGS, root, "--data.batch_size=4", "--trainer.fast_dev_run=true", *asked)
    assert outcome.code == 0, outcome.err
    assert "Epoch 0" in outcome.out and "Trainable params" in outcome.out


LOSSES = (
    "The dirpath has changed from 'a' to 'b', therefore `best_model_score` won't be reloaded.",
    "`ModelCheckpoint(monitor='val/mean')` could not find the monitored key in the returned metrics",
    "Experiment logs directory a exists and is not empty. Previous log files in this directory will be deleted",
)
CALLBACKS = (
    "callbacks used to create the checkpoint need to be provided during `Trainer` instantiation."
)


def heard(verb: str, texts: tuple[str, ...]) -> list[str]:
    """Those of some warnings that a verb lets through."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        main._quiet(verb)
        for text in texts:
            warnings.warn(text, stacklevel=1)
    return [str(warning.message) for warning in caught]


def test_no_warning_that_tells_of_a_loss_is_silenced() -> None:
    assert heard("fit", (*LOSSES, CALLBACKS)) == [*LOSSES, CALLBACKS]
    assert heard("test", (*LOSSES, CALLBACKS)) == [*LOSSES]  # a test has no need of their state
    assert all(reason for reason in main.ADVICE.values())
    assert heard("fit", tuple(main.ADVICE)) == []


def test_a_sound_run_warns_of_nothing(tiny_world: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*(dirpath|monitored key|logs directory|callbacks used)")
        fit(tiny_world)
