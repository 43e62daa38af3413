"""The weights that come with the clone: small, whole, and they answer."""

from pathlib import Path

import pytest
from PIL import Image

from tests.tiny import ROOT, run
from vista.app.runs import OWN_WEIGHTS, find_checkpoint
from vista.training.checkpoints import read_checkpoint

pytestmark = pytest.mark.skipif(
    not (ROOT / "weights" / "model.safetensors").is_file(),
    reason="weights/ holds no model.safetensors yet; `python main.py export --out weights` writes it",
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder without runs, and two images in it."""
    monkeypatch.chdir(tmp_path)
    for color in ("red", "blue"):
        image = Image.new("RGB", (96, 96), "white")
        image.paste(color, (20, 20, 60, 60))
        image.save(f"{color}.png")


def test_they_are_small_and_whole():
    size = sum(file.stat().st_size for file in OWN_WEIGHTS.rglob("*") if file.is_file())
    assert size <= 6_000_000
    assert find_checkpoint("weights") == OWN_WEIGHTS
    assert read_checkpoint(OWN_WEIGHTS)["state_dict"]


@pytest.mark.parametrize(
    ("task", "images", "text"),
    [
        ("rec", ["red.png"], "the red square"),
        ("res", ["red.png"], "the red square"),
        ("nlvr2", ["red.png", "blue.png"], "There is a red square in the left image."),
    ],
)
def test_they_answer_where_there_is_no_run(task, images, text):
    done = run("predict", "--images", *images, "--text", text, "--task", task)
    assert done.code == 0, done.err
    assert "the weights that come with the clone, weights/" in done.out
    assert Path("answer.png").is_file() and "malformed" not in done.out
