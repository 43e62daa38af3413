"""`predict` about many images: every question is answered once, also over a kill, and the files say the same."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_masks

from callbacks.many_answers import coco_results, picture_name, regions_of
from datamodules.asked_by_person import Question, asked
from main import main
from tests.tiny import run
from vista.data import InputError, Prediction
from vista.rle import encode_mask


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder without runs, and three images in a folder of it, one of which is none."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for color in ("red", "blue"):
        image = Image.new("RGB", (96, 64), "white")
        image.paste(color, (20, 20, 60, 60))
        image.save(f"photos/{color}.png")
    Path("photos/text.png").write_text("this is no image")
    Path("photos/notes.txt").write_text("nor this")


def lines(file):
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


def test_a_folder_is_gone_on_with(monkeypatch):
    words = ["predict", "--images", "photos", "--text", "the square", "--task", "rec"]
    done = run(*words)
    assert done.code == 0, done.err
    assert "text.png is empty, damaged or no BMP" in done.err
    found = {record["id"]: record for record in lines("answers/answers.jsonl")}
    assert set(found) == {"red.png", "blue.png", "text.png"}
    assert found["text.png"]["malformed"] and not found["text.png"]["text"]
    boxes = found["red.png"]["boxes"]
    (result,) = [r for r in lines("answers/coco_results.json")[0] if r["image_id"] == "red.png"]
    (x0, y0, x1, y1), (x, y, width, height) = boxes[0], result["bbox"]
    assert (x, y) == (x0, y0) and (x + width, y + height) == pytest.approx((x1, y1))
    pictures = {path.name for path in Path("answers/pictures").iterdir()}
    assert pictures == {"red.png.png", "blue.png.png", "text.png.png"}

    # A kill has left one whole answer and half of another; the file is repaired meanwhile.
    whole, cut = Path("answers/answers.jsonl").read_text().splitlines(keepends=True)[:2]
    Path("answers/answers.jsonl").write_text(whole + cut[:20])
    shutil.copy("photos/red.png", "photos/text.png")
    again = run(*words)
    assert again.code == 0, again.err
    assert "3 answers, 1 of them from before" in again.out
    after = {record["id"]: record for record in lines("answers/answers.jsonl")}
    assert after["text.png"]["boxes"] == after["red.png"]["boxes"] == boxes
    third = run(*words)
    assert third.code == 0 and lines("answers/answers.jsonl") == list(after.values())
    other = run(*words, "--model.decoding.temperature", "0.5")
    assert other.code != 0 and "answers holds answers of other weights or settings" in other.err


def test_questions_of_several_tasks(tmp_path):
    asked_of = tmp_path / "asked"  # images are relative to the file
    asked_of.mkdir()
    questions = [
        {"id": "7", "image": "../photos/red.png", "task": "res", "text": "the red square"},
        {"image": "../photos/blue.png", "text": "What color is the square?"},
        {
            "images": ["../photos/red.png", "../photos/blue.png"],
            "task": "nlvr2",
            "text": "Both are red.",
        },
    ]
    file = asked_of / "q.jsonl"
    file.write_text("\n".join(map(json.dumps, questions)))
    done = run("predict", "--questions", file, "--task", "vqav2", "--out", "mine")
    assert done.code == 0, done.err
    found = {record["id"]: record for record in lines("mine/answers.jsonl")}
    assert {key: record["task"] for key, record in found.items()} == {
        "7": "res", "2": "vqav2", "3": "nlvr2",
    }  # fmt: skip
    (result,) = lines("mine/coco_results.json")[0]
    assert result["image_id"] == 7
    mask = coco_masks.decode(result["segmentation"])
    assert mask.shape == (64, 96) and mask.any()


def test_one_answer_is_as_before():
    done = run("predict", "--images", "photos/red.png", "--text", "the square", "--task", "rec")
    assert done.code == 0 and Path("answer.png").is_file() and not Path("answers").exists()


def test_what_is_one_question():
    assert asked(["a.png"], "", "x", "rec") == []
    assert asked(["a.png", "b.png"], "", "x", "nlvr2") == []
    assert asked(["a.png", "b/a.png"], "", "x", "rec") == [
        Question("a.png", "rec", ("a.png",), "x"), Question("b/a.png", "rec", ("b/a.png",), "x"),
    ]  # fmt: skip
    assert [q.id for q in asked(["photos"], "", "x", "rec")] == ["blue.png", "red.png", "text.png"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "line 1: this is not JSON"),
        ("[]", "line 1: a question has id, image, images, task, text; this is"),
        ('{"image": "a.png", "size": 3}', "line 1: a question has id, image"),
        ('{"text": "x", "task": "rec"}', "line 1: `image` or `images` name files"),
        (
            '{"image": "a.png", "task": "recc"}',
            "line 1: there is no task 'recc'; did you mean 'rec'",
        ),
        ('{"image": "a.png", "task": "rec", "id": "1"}\n' * 2, "line 2: the id '1' stands twice"),
    ],
)
def test_a_line_that_is_no_question(line, sentence):
    Path("q.jsonl").write_text(line)
    with pytest.raises(InputError, match=sentence):
        asked([], "q.jsonl", "", "")


def test_a_folder_without_images():
    Path("empty").mkdir()
    with pytest.raises(InputError, match=r"empty holds no image"):
        asked(["empty"], "", "x", "rec")


def test_many_answers_need_a_folder():
    outcome = run("predict", "--images", "photos", "--task", "rec", "--out", "a.png")
    assert (
        outcome.code != 0
        and "--out is a.png; answers to many questions go into a folder" in outcome.err
    )


def test_names_of_pictures_are_files_of_the_folder_and_differ():
    names = ["a/b", "a%2Fb", "..", "x" * 300, "y" * 300, "a b"]
    pictures = [picture_name(name) for name in names]
    assert len(set(pictures)) == len(names)
    assert all("/" not in name and len(name) < 140 and name != ".." for name in pictures)


def test_regions_come_back():
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    assert np.array_equal(coco_masks.decode(encode_mask(mask)), mask)
    record = regions_of(Prediction(boxes=[(1.0, 2.0, 4.5, 6.0)], masks=[mask]))
    first, second = coco_results({"id": "12", "confidence": 0.0, **record})
    assert first == {"image_id": 12, "category_id": 1, "score": 1.0, "bbox": [1.0, 2.0, 3.5, 4.0]}
    assert second["segmentation"] == encode_mask(mask)
    assert regions_of(Prediction(text="red")) == {}


def test_help_names_the_ways_to_ask(capsys):
    with pytest.raises(SystemExit):
        main(["predict", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--questions" in shown and "or folders" in shown
