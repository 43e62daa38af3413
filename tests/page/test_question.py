"""Regions and words of a person as prompts; what is missing or too much is one sentence."""

import pytest

import tasks  # noqa: F401
from tests.page.asking import question
from vista.codec.codec import Codec
from vista.data import InputError
from vista.page.limits import Limits
from vista.page.question import annotation_of, read_question, turns_of, without_pictures
from vista.task import Task

CODEC = Codec(num_points=4)
POINT = {"kind": "point", "image": 0, "points": [[0.25, 0.5]]}
BOX = {"kind": "box", "image": 0, "points": [[0.5, 0.6], [0.1, 0.2]]}  # corners in any order
MASK = {"kind": "mask", "image": 0, "points": [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]]}


def prompt(task, words="", *regions, sizes=((50, 100),)):
    asked = question(*map(str, range(len(sizes))), task=task, words=words, regions=list(regions))
    read = read_question(asked, Limits())
    found = Task.known[task](CODEC)
    return turns_of(read, found, annotation_of(read, found, sizes))[-1][0]


@pytest.mark.parametrize(("region", "text"), [(POINT, "[250, 500]"), (BOX, "[100, 200, 500, 599]")])
def test_a_region_is_written_by_the_codec(region, text):
    assert prompt("reg", "", region) == f"<image> Describe the region {text}."
    assert prompt("pqa", "What is it?", region) == f"<image> Look at {text}. What is it?"


def test_a_mask_is_its_outline_in_the_points_of_the_codec():
    text = prompt("reg", "", MASK)
    numbers = text.partition("[")[2].partition("]")[0].split(", ")
    assert len(numbers) == 8
    assert all(min(abs(int(number) - 200), abs(int(number) - 800)) < 60 for number in numbers)


def test_a_region_does_not_depend_on_the_pixels_of_a_picture():
    assert prompt("reg", "", BOX, sizes=((4000, 8000),)) == prompt("reg", "", BOX)


def test_words_name_regions_by_their_numbers():
    words = prompt("res", "the circle left of #2", BOX, POINT)
    assert words == "<image> Give the mask of the circle left of [250, 500] [100, 200, 500, 599]."
    assert prompt("vqav2", "Is #1 red?", POINT) == "<image> Is [250, 500] red?"


def test_regions_that_no_word_names_are_asked_about():
    assert prompt("llava", "What is it?", POINT) == "<image> Look at [250, 500]. What is it?"
    assert prompt("rec", "the same as", POINT).startswith(
        "<image> Where is the same as [250, 500]?"
    )


def test_words_name_no_token():
    assert "<image> <image>" not in prompt("llava", "<image> <|12|> </s>")
    assert prompt("llava", "<image> </s>") == "<image> < image> < /s>"


def test_earlier_turns_come_first_and_without_pictures():
    turns = [{"prompt": "Where is <image>?", "answer": "[1, 2, 3, 4] <bsep> [1, 2, 3, 4] </s>"}]
    read = read_question(question("a", task="vqav2", words="red?", turns=turns), Limits())
    task = Task.known["vqav2"](CODEC)
    found = turns_of(read, task, annotation_of(read, task, [(9, 9)]))
    assert found == (
        ("Where is < image>?", "[1, 2, 3, 4] <bsep> [1, 2, 3, 4] < /s>"),
        ("<image> red?", ""),
    )


def test_a_prompt_as_people_read_it():
    assert without_pictures("Image 1: <image> Image 2: <image> Is it true?") == "Is it true?"


@pytest.mark.parametrize(
    ("task", "words", "count", "sentence"),
    [
        ("res", " ", 1, "res needs words"),
        ("reg", "", 1, "reg needs a region"),
        ("coseg", "", 1, "coseg compares pictures"),
        ("nlvr2", "true", 3, "nlvr2 asks about 2 pictures, and here are 3"),
        ("caption", "", 0, "add a picture first"),
        ("caption", "", 9, "there are 9 pictures, more than 8"),
        ("caption", "x" * 2001, 1, "more than 2000"),
    ],
)
def test_what_is_missing_or_too_much_is_a_sentence(task, words, count, sentence):
    with pytest.raises(InputError, match=sentence):
        prompt(task, words, sizes=((9, 9),) * count)


@pytest.mark.parametrize(
    "change",
    [
        {"regions": [{"kind": "box", "image": 0, "points": [[0.5, 0.5]]}]},
        {"regions": [{"kind": "star", "image": 0, "points": [[0.5, 0.5]]}]},
        {"regions": [{"kind": "point", "image": 0, "points": [["a", 0.5]]}]},
        {"regions": [{"kind": "point", "image": 0, "points": [[float("nan"), 0.5]]}]},
        {"regions": [{"kind": "point", "image": 1, "points": [[0.5, 0.5]]}]},
        {"regions": [POINT] * 9},
        {"regions": None},
        {"turns": [{"prompt": "a"}]},
        {"turns": [{"prompt": "a", "answer": "b"}] * 17},
        {"pictures": 3},
    ],
)
def test_what_the_page_does_not_send_is_a_sentence(change):
    with pytest.raises(InputError):
        read_question(question("a", task="caption") | change, Limits())
    with pytest.raises(InputError, match="load it again"):
        read_question("text", Limits())
