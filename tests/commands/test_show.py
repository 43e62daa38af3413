"""`data show`: one page of samples, which holds its pictures and runs nothing."""

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from datamodules.commands.configured import read_setup
from datamodules.commands.show import iou_of, text
from tests.own_data import plain, write_jsonl
from tests.task_sources import FORMATS
from tests.tiny import run
from vista.data import Annotation, Prediction

SOURCES = """
data:
  root: {root}
  cache: {cache}
  sources:
    gres: {{task: gres, dataset: grefcoco, val: val}}
    nlvr2: {{task: nlvr2, dataset: nlvr2, val: dev}}
    servers: {{task: vqav2, dataset: vqav2, test: {{servers: test}}}}
    mine: {{task: rec, dataset: jsonl, train: train, root: {own}}}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    own = tmp_path / "own"
    given = plain(30, (100, 200), own)
    given[0].expression = "<script>alert(1)</script> \x1b[2J"
    write_jsonl(own / "train.jsonl", "ms-swift", given, "pixels")
    file = tmp_path / "some.yaml"
    file.write_text(SOURCES.format(root=FORMATS, cache=tmp_path / "compiled", own=own))
    return str(file)


@pytest.mark.parametrize("source", ["gres", "nlvr2", "servers", "mine"])
def test_page_holds_all(config: str, tmp_path: Path, source: str) -> None:
    out = tmp_path / "pages/a.html"
    words = ["--config", config, "--source", source, "--n", "5", "--out", str(out)]
    outcome = run("data", "show", *words)
    assert outcome.code == 0, outcome.err
    page = out.read_text()
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert page.count("<article>") == len(pictures) >= 1 and len(pictures) <= 5
    assert "<script" not in page and "http" not in page and "\x1b" not in page
    for picture in pictures:
        content = np.frombuffer(base64.b64decode(picture), np.uint8)
        assert max(cv2.imdecode(content, cv2.IMREAD_COLOR).shape) <= 1280
    if source == "mine":
        assert "form ms-swift, coordinates are pixels by bbox_type" in page
        assert "form ms-swift, coordinates are pixels" in outcome.out
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        shares = re.findall(r"([\d.]+) \(boxes\)", page)
        assert len(shares) == 5 and all(float(share) > 0.9 for share in shares)


def test_what_is_not_there_is_a_sentence(config: str, tmp_path: Path) -> None:
    for words, said in (
        (["--source", "mines"], "did you mean 'mine'?"),
        (["--source", "mine", "--split", "dev"], "jsonl has no split 'dev'"),
        (["--source", "mine", "--n", "0"], "--n is 0"),
    ):
        outcome = run("data", "show", "--config", config, *words)
        assert outcome.code != 0 and said in outcome.err and "Traceback" not in outcome.err


def test_settings_of_own_data_that_are_unknown_are_named(config: str, tmp_path: Path) -> None:
    file = Path(config)
    file.write_text(file.read_text().replace("train: train, root", "own: {shape: x}, root"))
    outcome = run("data", "show", "--config", config, "--source", "mine")
    assert outcome.code != 0 and "source mine: `own` takes files, shares" in outcome.err
    file.write_text(file.read_text().replace("{shape: x}", "{form: qwen}"))
    assert read_setup([config], None, []).sources["mine"].own.form == "qwen"  # type: ignore[union-attr]


def test_iou_of_masks_and_boxes() -> None:
    square = [[0, 0, 10, 0, 10, 10, 0, 10]]
    a = Annotation("1", ("a",), ((10, 20),), boxes=((0, 0, 10, 10),), segmentations=(square,))
    half = np.zeros((10, 20), bool)
    half[:, :5] = True
    assert iou_of(a, Prediction(masks=[half])) == "0.500 (masks)"
    assert iou_of(a, Prediction(boxes=[(0, 0, 10, 5)])) == "0.500 (boxes)"
    assert iou_of(a, Prediction(answer="x")).startswith("-")
    two = Annotation("1", ("a", "b"), ((10, 20), (10, 20)), segmentations=(square, []))
    assert iou_of(two, Prediction(masks=[half, half & False])) == "0.750 (masks)"


def test_long_texts_are_cut() -> None:
    assert len(text("x" * 10**6)) < 2100
