"""The page without a server: answers, turns, and people who ask at the same time."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.page.asking import COLORS, ask, picture, question
from vista.page.answerer import Answerer
from vista.page.limits import Limits
from vista.page.page import Page


def kept(page: Page, *names: str, seed: int = 0) -> str:
    return str(page.pictures.add(picture(*names, seed=seed), "scene.png")["key"])


@pytest.fixture
def hurried(page: Page) -> Iterator[Page]:
    """The page with other limits, to be set by the test; the model is the same."""
    mine = page.answerer
    answerer = Answerer(mine.model, mine.tokenizer, mine.coordinates, Limits(rows=1, queue=1))
    other = Page(answerer, page.codec, page.template, "hurried")
    other.pictures = page.pictures
    yield other


def test_an_answer_streams_and_ends_with_how_sure_the_model_was(page, monkeypatch):
    monkeypatch.setattr("vista.page.page.PAUSE", 0.0)
    key = kept(page, "large red circle", "small blue square")
    *parts, last = page.ask(question(key, task="res", words="the red circle"))
    assert len(parts) > 4
    for before, after in zip(parts, [*parts[1:], last], strict=True):
        assert after["text"].startswith(before["text"])
    assert {shape["kind"] for part in parts for shape in part["shapes"]} >= {"open", "mask"}
    (shape,) = last["shapes"]
    assert (shape["kind"], len(shape["points"])) == ("mask", page.codec.num_points)
    assert 0 < last["confidence"] <= 1
    assert len(last["spreads"]) == len(shape["numbers"])
    assert last["done"] and not last["malformed"]
    assert last["prompt"] == "Give the mask of the red circle."


def test_a_later_turn_knows_the_pictures_and_what_was_said(page):
    key = kept(page, "large red circle", "small blue square", seed=3)
    first = ask(page, question(key, task="vqav2", words="What color is the circle?"))
    turn = {"prompt": first["prompt"], "answer": first["text"]}
    second = ask(page, question(key, task="rec", words="the blue square", turns=[turn]))
    alone = ask(page, question(key, task="rec", words="the blue square"))
    assert [shape["kind"] for shape in second["shapes"]] == ["box"]
    # Where the square is has not changed; how sure the model is has, since it has read another turn.
    for told in (second, alone):
        ((x0, y0), (x1, y1)) = told["shapes"][0]["points"]
        assert x1 - x0 < 0.4 and y1 - y0 < 0.4
    assert second["confidence"] != alone["confidence"]


def test_every_example_is_answered(page):
    for number in range(len(page.examples)):
        found = page.example(number)
        keys = [each["key"] for each in found["pictures"]]
        asked = {key: found[key] for key in ("task", "words", "regions")}
        told = ask(page, question(*keys, **asked))
        assert told.get("done"), told


def test_ten_people_ask_at_once_and_each_gets_their_own_answer(page):
    asked = []
    for person in range(10):
        name = f"large {COLORS[person % 6]} circle"
        key = kept(page, name, seed=person)
        asked.append(question(key, task="res", words=f"the circle {person}"))
    alone = [ask(page, each) for each in asked]
    gate = threading.Barrier(10)

    def at_once(each):
        gate.wait()
        return ask(page, each)

    with ThreadPoolExecutor(10) as people:
        together = list(people.map(at_once, asked))
    for one, other in zip(alone, together, strict=True):
        assert (one["prompt"], one["text"]) == (other["prompt"], other["text"])
    assert len({told["text"] for told in together}) > 5


def test_a_task_or_a_picture_that_is_not_there_is_a_sentence(page):
    assert "no task 'dance'" in ask(page, question("x", task="dance"))["error"]
    assert "forgotten" in ask(page, question("x", task="caption"))["error"]


def test_a_conversation_longer_than_the_model_reads_is_a_sentence(page):
    key = kept(page, "large red circle")
    turns = [{"prompt": "red " * 400, "answer": "blue " * 400}] * 16
    told = ask(page, question(key, task="caption", turns=turns))
    assert "begin a new one" in told["error"]


def test_an_answer_that_takes_too_long_is_stopped(hurried):
    hurried.answerer.limits = Limits(seconds=0.0)
    told = ask(hurried, question(kept(hurried, "large red circle"), task="res", words="it"))
    assert told == {"error": "stopped after 0 seconds, the most for an answer"}


def test_too_many_questions_are_refused_and_those_who_leave_make_room(hurried, monkeypatch):
    monkeypatch.setattr("vista.page.page.PAUSE", 0.0)
    step, go = type(hurried.answerer)._step, threading.Event()

    def slowly(self, live, new):
        go.wait()
        step(self, live, new)

    monkeypatch.setattr(Answerer, "_step", slowly)
    asked = question(kept(hurried, "large red circle"), task="res", words="it")
    with ThreadPoolExecutor(2) as people:
        waiting = [people.submit(ask, hurried, asked) for _ in range(2)]
        while hurried.answerer._count < 2:
            time.sleep(0.01)
        assert "ask again in a minute" in ask(hurried, asked)["error"]
        go.set()
        assert all(each.result()["done"] for each in waiting)
    assert ask(hurried, asked)["done"]


def test_whoever_closes_the_page_leaves_the_model_to_others(hurried, monkeypatch):
    monkeypatch.setattr("vista.page.page.PAUSE", 0.0)
    asked = question(kept(hurried, "large red circle"), task="gres", words="all")
    left = hurried.ask(asked)
    next(left)
    left.close()
    assert hurried.answerer._count == 0
    assert ask(hurried, asked)["done"]


def test_a_fault_of_one_question_is_told_and_the_next_is_answered(hurried, monkeypatch, capfd):
    asked = question(kept(hurried, "large red circle"), task="res", words="it")
    with monkeypatch.context() as broken:
        broken.setattr(Answerer, "_read", lambda self, new: 1 / 0)
        assert "fault of the program" in ask(hurried, asked)["error"]
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert ask(hurried, asked)["done"]


def test_the_answer_as_coco_json(page):
    key = kept(page, "large red circle")
    asked = question(key, task="rec", words="the red circle")
    told = ask(page, asked)
    coco = page.coco(asked | {"text": told["text"]})
    (image,), (box,) = coco["images"], coco["annotations"]
    assert (image["file_name"], image["width"]) == ("scene.png", 96)
    (x0, y0), (x1, y1) = told["shapes"][0]["points"]
    assert box["bbox"] == pytest.approx([96 * x0, 96 * y0, 96 * (x1 - x0), 96 * (y1 - y0)])


def test_limits_are_settings_of_the_verb(page):
    from datamodules.commands.options import parse_options

    options = parse_options("demo", ["--limits.seconds", "5", "--port", "0"])
    assert options.limits == replace(Limits(), seconds=5.0)
