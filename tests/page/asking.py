"""Pictures and questions as a browser sends them."""

import struct
import zlib
from typing import Any

import cv2
import numpy as np

from datamodules.synthetic.drawing import draw_scene
from datamodules.synthetic.scene import Kind
from vista.page.page import Page

COLORS = ("red", "green", "blue", "yellow", "purple", "orange")


def picture(*names: str, seed: int = 0, side: int = 96) -> bytes:
    """A PNG file of a scene with these objects, `large red circle`."""
    kinds = [Kind(*name.split()) for name in names]
    scene = draw_scene(np.random.default_rng(seed), kinds, side)
    _, data = cv2.imencode(".png", cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR))
    return bytes(data)


def png_header(width: int, height: int) -> bytes:
    """A PNG file of that size without a pixel."""
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n"
    for name, content in ((b"IHDR", size), (b"IDAT", b""), (b"IEND", b"")):
        check = zlib.crc32(name + content)
        file += struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)
    return file


def question(*keys: object, task: str, words: str = "", **more: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"regions": [], "turns": []}
    return {"pictures": list(keys), "task": task, "words": words} | empty | more


def ask(page: Page, data: dict[str, Any]) -> dict[str, Any]:
    """What is told last."""
    *_, last = page.ask(data)
    return last
