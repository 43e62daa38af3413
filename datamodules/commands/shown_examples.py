"""Questions that are there at a click on the page of `demo`, about scenes of the generated world."""

import cv2
import numpy as np

from datamodules.synthetic.drawing import draw_scene
from datamodules.synthetic.scene import Kind, Scene
from vista.page.page import ShownExample

SIDE = 288  # three pixels for one of the world that the tiny model is trained on

SHAPES = ("large red circle", "small blue square", "small red triangle")
GROUPS = (
    ("large blue ring", "small yellow square"),
    ("small green triangle", "large blue ring"),
    ("large blue ring", "small red circle", "small purple square"),
)


def shown_examples() -> list[ShownExample]:
    """One of each kind: a mask, boxes, words on a region, several pictures, a conversation."""
    scene = _scene(SHAPES, seed=1)
    group = [_scene(names, seed=2 + k) for k, names in enumerate(GROUPS)]
    one = [_file(scene, "shapes.png")]
    several = [_file(each, f"group_{k}.png") for k, each in enumerate(group, 1)]
    circle = next(item for item in scene.objects if item.kind.shape == "circle")
    corners = [number / SIDE for number in circle.box]
    box = {"kind": "box", "image": 0, "points": [corners[:2], corners[2:]]}
    point = {"kind": "point", "image": 0, "points": [[circle.x / SIDE, circle.y / SIDE]]}
    return [
        ShownExample("The mask of an object", "res", "the large red circle", one),
        ShownExample("The box of an object", "rec", "the blue square", one),
        ShownExample("The masks of several objects", "gres", "all red objects", one),
        ShownExample("A question in free words", "llava", "What is in the image?", one),
        ShownExample("A caption with boxes", "spot_caption", "", one),
        ShownExample("Words for a box", "reg", "", one, [box]),
        ShownExample("A question about a point", "pqa", "What color is it?", one, [point]),
        ShownExample(
            "Is it true of two images?", "nlvr2", "Both images contain a blue ring.", several[:2]
        ),
        ShownExample("What three images have in common", "coseg", "", several),
    ]


def _scene(names: tuple[str, ...], seed: int) -> Scene:
    kinds = [Kind(*name.split()) for name in names]
    return draw_scene(np.random.default_rng(seed), kinds, SIDE)


def _file(scene: Scene, name: str) -> tuple[str, bytes]:
    _, data = cv2.imencode(".png", cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR))
    return name, data.tobytes()
