"""Settings that a resume cannot change: each is refused by its name, and nothing else is."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny import run
from vista.app.resume import check_resume, check_states, fixed_settings
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
        ("llm.num_heads", None),
        ("trainer.max_epochs", 3),
        ("data.batch_size", 4),
    ],
)
def test_what_is_used_is_not_refused(checkpoint, name, value):
    check_resume(checkpoint, SETTINGS)
    check_resume(checkpoint, changed(name, value))


def test_rates_of_parts_may_change_but_not_which_parts_have_one(tmp_path):
    """The optimizer keeps a group of parameters for each."""
    one, other, more = (
        {"model": {"optimization": {"rates": rates}}}
        for rates in ({"llm": 1.0}, {"llm": 2.0}, {"llm": 1.0, "tokenizer": 1.0})
    )
    path = tmp_path / "last.ckpt"
    callbacks = {"RunFolder": {"settings": fixed_settings(one)}}
    torch.save({"state_dict": {}, "vista": {}, "callbacks": callbacks}, path)
    check_resume(path, other)
    with pytest.raises(InputError, match=r"--model\.optimization\.rates is \['llm', 'tokenizer'\]"):
        check_resume(path, more)


def test_weights_may_have_been_moved(checkpoint, tmp_path):
    moved = changed("llm.weights", "elsewhere")
    check_resume(checkpoint, moved)
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match=r"--llm\.weights is elsewhere, but it was there when"):
        check_resume(checkpoint, moved)


def test_checkpoints_of_earlier_releases_are_resumed(tmp_path):
    torch.save({"state_dict": {}, "vista": {}}, tmp_path / "last.ckpt")
    check_resume(tmp_path / "last.ckpt", SETTINGS)


STATES = {
    "state_dict": {}, "vista": {}, "pytorch-lightning_version": "2", "epoch": 1, "global_step": 2, "loops": {},
    "callbacks": {}, "lr_schedulers": [], "optimizer_states": [], "MixtureData": {"epoch": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(STATES.keys() - {"state_dict", "vista"}))
def test_a_checkpoint_that_lacks_what_a_resume_needs_is_a_sentence(tmp_path, name):
    torch.save({key: value for key, value in STATES.items() if key != name}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=rf"a\.ckpt lacks {name}.*--model\.init_from"):
        check_states(tmp_path / "a.ckpt", resumed=True)
    if name != "pytorch-lightning_version":
        check_states(tmp_path / "a.ckpt", resumed=False)


def test_a_position_without_its_epoch_is_a_sentence(tmp_path):
    torch.save(STATES | {"MixtureData": {"sample": 1}}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="lacks the epoch of MixtureData"):
        check_states(tmp_path / "a.ckpt", resumed=True)
    torch.save(STATES, tmp_path / "whole.ckpt")
    check_states(tmp_path / "whole.ckpt", resumed=True)


def test_fit_and_test_look_for_it_before_they_begin(finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(finished_run.cwd)
    whole = torch.load(finished_run.folder / "checkpoints" / "best.ckpt", weights_only=True)
    file = tmp_path / "a.ckpt"
    for verb, name in (("fit", "epoch"), ("fit", "loops"), ("test", "pytorch-lightning_version")):
        torch.save({key: value for key, value in whole.items() if key != name}, file)
        outcome = run(verb, "--ckpt_path", file, "--config", finished_run.folder / "config.yaml")
        assert outcome.code == 2 and f"a.ckpt lacks {name}, so it cannot be" in outcome.err
