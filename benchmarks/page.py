"""How soon the page of `demo` answers, in a browser and for ten people at once; and what it looks like.

    python -m benchmarks.page                   ends with one JSON line
    python -m benchmarks.page --shots /tmp      pictures of the page at 1280 and 400 pixels, too

Needs Debian's Chromium and playwright. Seconds from the click on `Ask` to the first words on the page, and to the end.
"""

import argparse
import json
import re
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Any

from playwright.sync_api import sync_playwright

from datamodules.commands.demo import make_page
from datamodules.commands.options import DemoOptions
from vista.page.page import Page
from vista.page.server import HOST, listen, server_of

EXAMPLE = "The masks of several objects"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


def served(page: Page) -> str:
    """The address of a server that ends with this process."""
    listening = listen(0)
    server = server_of(page)
    Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return f"http://{HOST}:{listening.getsockname()[1]}/"


def asked_in(tab: Any) -> tuple[float, float]:
    """Seconds to the first words, and to the end, of one answer in a new conversation."""
    tab.click("#anew")
    begin = time.perf_counter()
    tab.click("#ask")
    tab.locator(".answer", has_text=re.compile("[^. ]")).wait_for()
    first = time.perf_counter() - begin
    tab.wait_for_selector(".turn button")
    return first, time.perf_counter() - begin


def in_a_browser(url: str, times: int, shots: Path | None) -> dict[str, float]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        tab = chromium.new_page(viewport={"width": 1280, "height": 800})
        tab.goto(url)
        tab.select_option("#examples", label=EXAMPLE)
        tab.wait_for_selector("figure")
        seconds = [asked_in(tab) for _ in range(times)]
        for width in (1280, 400) if shots else ():
            tab.set_viewport_size({"width": width, "height": 800})
            tab.hover(".number >> nth=4")
            tab.wait_for_timeout(200)
            tab.screenshot(path=f"{shots}/page_{width}.png", full_page=True)
        chromium.close()
    first, whole = zip(*seconds, strict=True)
    return {
        "first_words": round(statistics.median(first), 2),
        "whole_answer": round(statistics.median(whole), 2),
    }


def at_once(page: Page, people: int) -> float:
    """Seconds until all of them have their answers."""
    found: Any = page.example(2)
    keys = [each["key"] for each in found["pictures"]]
    asked = {**found, "pictures": keys, "turns": []}
    begin = time.perf_counter()
    with ThreadPoolExecutor(people) as pool:
        told = list(pool.map(lambda _: list(page.ask(asked))[-1], range(people)))
    assert all(each["done"] for each in told)
    return round(time.perf_counter() - begin, 2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("benchmarks.page", description="How soon the page answers.")
    parser.add_argument("--times", type=int, default=10, help="answers that the median is of")
    parser.add_argument("--people", type=int, default=10, help="who ask at once")
    parser.add_argument("--shots", type=Path, help="folder for pictures of the page")
    options = parser.parse_args()
    shown = make_page(DemoOptions(ckpt_path="weights"))
    figures = in_a_browser(served(shown), options.times, options.shots)
    print(json.dumps(figures | {f"{options.people}_at_once": at_once(shown, options.people)}))
