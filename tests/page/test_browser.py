"""The page in a real browser: Debian's Chromium without a window, driven by playwright."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.page.asking import picture, png_header

CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists():
    pytest.skip(f"there is no {CHROMIUM}: apt-get install chromium", allow_module_level=True)
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("gradio", reason="gradio is not installed")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WAIT = 60_000  # ms; a shared machine may be slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser: Any, url: str) -> Iterator[Any]:
    """The page in a fresh window; at the end, no error was in its console and no other machine was asked."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 900},
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(WAIT)
    tab = context.new_page()
    asked: list[str] = []
    faults: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("console", lambda message: message.type == "error" and faults.append(message.text))
    tab.goto(url)
    tab.wait_for_selector("#task option:nth-child(5)", state="attached")
    yield tab
    context.close()
    elsewhere = [each for each in asked if not each.startswith((url, "data:", "blob:"))]
    assert elsewhere == []
    # A refused upload is no fault of the page: it is said on it.
    assert [fault for fault in faults if "400 (Bad Request)" not in fault] == []


def upload(tab: Any, *names: str, file: str = "scene.png", seed: int = 0) -> None:
    before = tab.locator("figure").count()
    content = {"name": file, "mimeType": "image/png", "buffer": picture(*names, seed=seed)}
    tab.set_input_files("#files", [content])
    tab.locator("figure").nth(before).wait_for()


def ask(tab: Any, task: str, words: str = "") -> Any:
    """The turn of the answer."""
    before = tab.locator(".turn").count()
    tab.select_option("#task", task)
    if words:
        tab.fill("#words", words)
    tab.click("#ask")
    turn = tab.locator(".turn").nth(before)
    turn.locator("button", has_text="Copy as text").wait_for()
    return turn


def draw(tab: Any, tool: str, *points: tuple[float, float]) -> None:
    tab.check(f"[name=tool][value={tool}]")
    box = tab.locator(".frame svg").first.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    tab.mouse.move(*places[0])
    tab.mouse.down()
    for place in places[1:]:
        tab.mouse.move(*place, steps=4)
    tab.mouse.up()


def test_upload_draw_ask_and_a_second_turn(tab):
    upload(tab, "large red circle", "small blue square")
    draw(tab, "box", (0.2, 0.3), (0.7, 0.8))
    assert tab.locator("#regions button").inner_text() == "#1 box ✕"
    first = ask(tab, "reg")
    assert re.search(
        r"region \[(199|20\d), (29\d|30\d), (69\d|70\d), (79\d|80\d)\]\.", first.inner_text()
    )
    tab.click("#regions button")
    second = ask(tab, "res", "the red circle")
    assert tab.locator(".turn").count() == 2
    assert "Give the mask of the red circle." in second.inner_text()
    assert tab.locator(".frame g[data-shape] path.shape").count() == 1
    assert second.locator(".number").count() == 16
    measures = second.inner_text()
    assert "mean probability of the words" in measures
    assert re.search(r"mean spread of the coordinates ± \d", measures)
    # The earlier answers go along with the next question.
    with tab.expect_request("**/call/ask") as request:
        ask(tab, "vqav2", "What color is it?")
    turns = json.loads(request.value.post_data)["data"][0]["turns"]
    assert [turn["prompt"][:8] for turn in turns] == ["Describe", "Give the"]


def test_numbers_and_shapes_are_linked_either_way(tab):
    upload(tab, "large red circle")
    turn = ask(tab, "res", "the red circle")
    turn.locator(".number").nth(4).hover()  # x of the third point
    assert tab.locator("path.dot.active").get_attribute("data-point") == "2"
    assert "shape active" in tab.locator(".frame path.shape").first.get_attribute("class")
    assert turn.locator(".number.active").count() == 2
    assert "point 3: x" in turn.inner_text()
    tab.mouse.move(0, 0)
    tab.locator("path.dot[data-point='5']").hover(force=True)
    points = turn.locator(".number.active").evaluate_all("all => all.map(n => n.dataset.point)")
    assert points == ["5", "5"]


def test_copies(tab):
    upload(tab, "large red circle", file="mine.png")
    turn = ask(tab, "rec", "the red circle")
    turn.locator("text=Copy as text").click()
    tab.locator("#help", has_text="copied").wait_for()
    assert re.fullmatch(r"\[\d+(, \d+){3}\]", tab.evaluate("navigator.clipboard.readText()"))
    tab.evaluate("document.getElementById('help').textContent = ''")
    turn.locator("text=Copy as COCO JSON").click()
    tab.locator("#help", has_text="copied").wait_for()
    coco = json.loads(tab.evaluate("navigator.clipboard.readText()"))
    assert coco["images"][0]["file_name"] == "mine.png"
    assert len(coco["annotations"]) == 1


def test_broken_files_are_sentences_on_the_page(tab, tmp_path):
    files = {
        "huge.png": (
            png_header(60_000, 60_000),
            "huge.png is too large: more than 50000000 pixels",
        ),
        "notes.png": (b"only words", "notes.png is empty, damaged or no"),
        "long.png": (bytes(30_000_000), "long.png is too large: more than 20 MB"),
    }
    for name, (content, sentence) in files.items():
        (tmp_path / name).write_bytes(content)
        tab.set_input_files("#files", tmp_path / name)
        tab.locator("#problem", has_text=sentence).wait_for()
    assert tab.locator("figure").count() == 0
    upload(tab, "large red circle")
    assert tab.locator("#problem").inner_text() == ""


def test_a_question_that_lacks_something_is_a_sentence_and_no_turn(tab):
    tab.click("#ask")
    tab.locator("#problem", has_text="add a picture first").wait_for()
    upload(tab, "large red circle")
    tab.select_option("#task", "reg")
    tab.click("#ask")
    tab.locator("#problem", has_text="reg needs a region").wait_for()
    assert tab.locator(".turn").count() == 0


def test_several_pictures_each_with_its_own_mask(tab):
    tab.select_option("#examples", label="What three images have in common")
    tab.locator("figure").nth(2).wait_for()
    ask(tab, "coseg")
    frames = tab.locator(".frame")
    assert [frames.nth(k).locator("g[data-shape]").count() for k in range(3)] == [1, 1, 1]
    tab.locator("figcaption button").nth(1).click()
    assert tab.locator("figure").count() == 2
    assert tab.locator(".turn").count() == 0


@pytest.mark.parametrize(
    ("tool", "keys", "kind"),
    [
        ("point", ["ArrowLeft", "Enter"], "point"),
        ("box", ["Shift+ArrowLeft", "Enter", "Shift+ArrowRight", "Shift+ArrowDown", " "], "box"),
        (
            "mask",
            ["Enter", "Shift+ArrowRight", "Enter", "Shift+ArrowDown", "Enter", "Enter"],
            "mask",
        ),
    ],
)
def test_by_the_keyboard_alone(tab, tool, keys, kind):
    upload(tab, "large red circle")  # the one thing that a system's own window is needed for
    tab.focus("#examples")
    tab.keyboard.press("Tab")
    for _ in range(["look", "point", "box", "mask"].index(tool)):
        tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.tagName") == "svg"
    for key in keys:
        tab.keyboard.press(key)
    assert tab.locator("#regions button").inner_text() == f"#1 {kind} ✕"
    while tab.evaluate("document.activeElement.id") != "task":
        tab.keyboard.press("Tab")
    tab.keyboard.type("rec")
    tab.keyboard.press("Tab")
    tab.keyboard.type("the red circle")
    tab.keyboard.press("Enter")
    tab.locator(".turn button").first.wait_for()
    while not tab.evaluate("document.activeElement.classList.contains('shape-text')"):
        tab.keyboard.press("Tab")
    tab.keyboard.press("ArrowRight")
    assert "point 1: x" in tab.locator(".turn").inner_text()
    assert tab.locator("path.dot.active").get_attribute("data-point") == "0"


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_window(tab, width):
    tab.set_viewport_size({"width": width, "height": 800})
    tab.select_option("#examples", label="The masks of several objects")
    tab.locator("figure").wait_for()
    ask(tab, "gres")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("#ask", "#files", "#task", "figure", ".answer"):
        box = tab.locator(name).first.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width, name
