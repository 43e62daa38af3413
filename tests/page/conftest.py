"""The page with the weights that come with the clone, and a server of it on a free port."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from datamodules.commands.demo import make_page
from datamodules.commands.options import DemoOptions
from tests.tiny import ROOT
from vista.page.page import Page
from vista.page.server import HOST, listen, server_of


@pytest.fixture(scope="session")
def page() -> Page:
    return make_page(DemoOptions(ckpt_path=str(ROOT / "weights")))


@contextmanager
def served(page: Page) -> Iterator[str]:
    """The address of a server of the page."""
    listening = listen(0)
    server = server_of(page)
    Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://{HOST}:{listening.getsockname()[1]}/"
    server.should_exit = True


@pytest.fixture(scope="session")
def url(page: Page) -> Iterator[str]:
    pytest.importorskip("gradio")
    with served(page) as address:
        yield address
