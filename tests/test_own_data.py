"""Own data from its files to scores: trained on for a few steps, tested and drawn, in each of the forms."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from datamodules.synthetic.world import write_world
from main import main
from tests.own_data import of_world, write_jsonl, write_masks
from tests.tiny import FLAGS, ROOT

SHARES = "shares: {train: 0.6, val: 0.2, test: 0.2}"
FEW = ["--data.order.epoch_samples=16", "--data.batch_size=8", "--trainer.max_epochs=1"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("own") / "small"
    write_world(root, num_train=24, num_val=4, num_test=4, num_workers=1)
    return root


def write_swift(root: Path) -> str:
    write_jsonl(root / "mine.jsonl", "ms-swift", of_world(root), "pixels")
    return f"{{task: rec, dataset: jsonl, own: {{files: {{all: mine.jsonl}}, {SHARES}}}"


def write_llava(root: Path) -> str:
    write_jsonl(root / "mine.jsonl", "llava", of_world(root), "norm1")
    return f"{{task: grec, dataset: jsonl, own: {{files: {{all: mine.jsonl}}, {SHARES}}}"


def write_folder(root: Path) -> str:
    write_masks(root / "mine", of_world(root), root)
    return f"{{task: res, dataset: folder, own: {{files: {{all: mine}}, {SHARES}}}"


def write_coco(root: Path) -> str:
    file = "coco/annotations/instances_train2017.json"
    images = "images: coco/train2017"
    return f"{{task: gres, dataset: coco_file, own: {{files: {{all: {file}}}, {images}, {SHARES}}}"


@pytest.mark.slow
@pytest.mark.parametrize("write", [write_swift, write_llava, write_folder, write_coco])
def test_train_test_and_draw(
    write: Callable[[Path], str],
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["main.py"])
    Path("configs").symlink_to(ROOT / "configs")  # the tiny tokenizer
    source = f"{write(world)}, train: train, val: val, test: {{mine_test: test}}}}"
    Path("mine.yaml").write_text(f"data:\n  root: {world}\n  sources:\n    mine: {source}\n")
    main(["fit", "--config", "mine.yaml", *FLAGS, *FEW])
    main(["test", "--data.num_workers", "0"])
    (row,) = json.loads(Path("runs/mine/scores_test.json").read_text())["table"]
    assert row["name"] == "mine_test" and row["n"] >= 1 and row["parse_failures"] == 0
    assert list(Path("runs/mine/pictures").glob("mine_*.png"))
    if "jsonl" in source:
        said = capsys.readouterr().out
        assert "mine: mine.jsonl: form " in said and "three of them are drawn in" in said
        assert cv2.imread("runs/mine/pictures/own_mine.png") is not None
    main(["data", "show", "--config", "mine.yaml", "--source", "mine", "--out", "mine.html"])
    page = Path("mine.html").read_text()
    assert page.count("<article>") >= 10 and (" (masks)" in page or " (boxes)" in page)
