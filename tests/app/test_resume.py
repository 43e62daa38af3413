"""Settings that a resume cannot change: each is refused by its name, and nothing else is."""

from pathlib import Path
from typing import Any

import pytest
import torch

from vista.app.resume import check_resume, fixed_settings
from vista.data import InputError

SETTINGS: dict[str, Any] = {
    "seed_everything": 0,
    "model": {"optimization": {"optimizer": "muon", "learning_rate": 1.0}, "trainable": ["llm"]},
    "llm": {"num_heads": 2, "max_positions": 2048, "weights": "there"},
    "qformer": {"num_heads": 2, "dropout": 0.1, "weights": None},
    "trainer": {"max_epochs": 1},
    "data": {"batch_size": 8},
}


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    callbacks = {"RunFolder": {"settings": fixed_settings(SETTINGS)}}
    path = tmp_path / "last.ckpt"
    torch.save({"state_dict": {}, "vista": {}, "callbacks": callbacks}, path)
    return path


def changed(name: str, value: Any) -> dict[str, Any]:
    """The settings, one of them being another."""
    group, *rest = name.split(".")
    if not rest:
        return SETTINGS | {group: value}
    below = SETTINGS[group]
    if len(rest) == 2:
        return SETTINGS | {group: below | {rest[0]: below[rest[0]] | {rest[1]: value}}}
    return SETTINGS | {group: below | {rest[0]: value}}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed_everything", 1),
        ("model.optimization.optimizer", "adamw"),
        ("model.trainable", ["tokenizer", "llm"]),
        ("llm.num_heads", 4),
        ("qformer.weights", "elsewhere"),
    ],
)
def test_what_would_not_be_used_is_refused(checkpoint, name, value):
    with pytest.raises(InputError) as error:
        check_resume(checkpoint, changed(name, value))
    assert str(error.value).startswith(f"--{name} is {value}, but it was ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model.optimization.learning_rate", 2.0),
        ("qformer.dropout", 0.0),
        ("llm.max_positions", 4096),
        ("trainer.max_epochs", 3),
        ("data.batch_size", 4),
    ],
)
def test_what_is_used_is_not_refused(checkpoint, name, value):
    check_resume(checkpoint, SETTINGS)
    check_resume(checkpoint, changed(name, value))


def test_weights_may_have_been_moved(checkpoint, tmp_path):
    moved = changed("llm.weights", "elsewhere")
    check_resume(checkpoint, moved)
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match=r"--llm\.weights is elsewhere, but it was there when"):
        check_resume(checkpoint, moved)


def test_checkpoints_of_earlier_releases_are_resumed(tmp_path):
    torch.save({"state_dict": {}, "vista": {}}, tmp_path / "last.ckpt")
    check_resume(tmp_path / "last.ckpt", SETTINGS)
