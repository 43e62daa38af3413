"""Co-segmentation sets of the generated world: folders of images with one object in common.

    coseg/PASCAL/<class>/img_1000.jpg               coseg/PASCAL/<class>/GroundTruth/img_1000.png       0 and 255
    coseg/MSRC/<class>/1_10_s.bmp                   coseg/MSRC/<class>/GroundTruth/1_10_s.bmp           0 and 255
    coseg/iCoSeg/images/<group>/10000.jpg           coseg/iCoSeg/ground_truth/<group>/10000.png         0 and 1

There is no standard archive; these are the folders that copies of the sets have (Faktor and Irani, ICCV 2013;
Rubinstein et al., CVPR 2013; Batra et al., CVPR 2010). A class is a color and a shape, in iCoSeg a size too. Each image
holds one object of the class and one or two others; in the first four images, the next four, ... nothing else occurs
twice.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.synthetic.chunks import Chunk, Pieces
from datamodules.synthetic.drawing import draw_scene
from datamodules.synthetic.files import save_image
from datamodules.synthetic.format import Format
from datamodules.synthetic.phrases import noun, wording
from datamodules.synthetic.scene import COLORED_SHAPES, VALUES, Kind, Scene, SceneObject
from datamodules.synthetic.streams import generator

GROUP = 4  # images between which nothing but the common object occurs twice


class Layout(NamedTuple):
    """Where a set keeps its images and masks; `{kind}` is the class, `{k}` its number, `{n}` the image's number."""

    image: str
    mask: str
    first: int  # number of a class's first image, with as many digits as its last
    classes: int
    white: int

    def paths(
        self,
        common: Kind,
        class_number: int,
        image_number: int,
    ) -> tuple[str, str]:
        """Where an image and its mask are; the numbers count from 0."""
        names = {
            "kind": noun(common).replace(" ", "_"),
            "k": class_number + 1,
            "n": self.first + image_number,
        }
        return self.image.format(**names), self.mask.format(**names)


LAYOUTS = {
    "pascal": Layout(
        "PASCAL/{kind}/img_{n}.jpg",
        "PASCAL/{kind}/GroundTruth/img_{n}.png",
        1000,
        24,
        255,
    ),
    "msrc": Layout(
        "MSRC/{kind}/{k}_{n}_s.bmp",
        "MSRC/{kind}/GroundTruth/{k}_{n}_s.bmp",
        10,
        7,
        255,
    ),
    "icoseg": Layout(
        "iCoSeg/images/{k:03d} {kind}/{n}.jpg",
        "iCoSeg/ground_truth/{k:03d} {kind}/{n}.png",
        10000,
        24,
        1,
    ),
}


def other_kinds(common: Kind, number: int, rng: random.Random) -> list[Kind]:
    """Kinds of which no two have the same color and shape, nor has one those of the common object."""
    free = [kind for kind in COLORED_SHAPES if kind != common._replace(size="")]
    return [_with_any_size(kind, rng) for kind in rng.sample(free, number)]


def _with_any_size(kind: Kind, rng: random.Random) -> Kind:
    return kind._replace(size=rng.choice(VALUES["size"]))


def group_kinds(common: Kind, rng: random.Random) -> list[list[Kind]]:
    """What each of four images holds, the common object first; its size is drawn anew where the kind leaves it open."""
    numbers = [rng.choice((1, 2)) for _ in range(GROUP)]
    others = other_kinds(common, sum(numbers), rng)
    contents = []
    for number in numbers:
        first = common if common.size else _with_any_size(common, rng)
        contents.append([first, *_take_last(others, number)])
    return contents


def _take_last(kinds: list[Kind], number: int) -> list[Kind]:
    """Takes so many from the end of a list."""
    return [kinds.pop() for _ in range(number)]


def find(scene: Scene, kind: Kind) -> SceneObject:
    """The object of a kind, of which there must be one."""
    return next(item for item in scene.objects if item.kind == kind)


def _draw(root: Path, chunk: Chunk) -> Pieces:
    layout = LAYOUTS[chunk.stream.removeprefix("coseg_")]
    for index in range(chunk.start, chunk.stop):
        block, number = divmod(index, layout.classes)
        rng = wording(chunk.seed, chunk.stream, index)
        common = COLORED_SHAPES[number]
        if chunk.stream == "coseg_icoseg":
            common = common._replace(size=VALUES["size"][(number + number // 4) % 2])
        # A scene needs a number of its own in the stream, whose indices are groups here.
        for k, kinds in enumerate(group_kinds(common, rng)):
            scene_rng = generator(chunk.seed, chunk.stream, GROUP * index + k)
            scene = draw_scene(scene_rng, kinds, chunk.image_size)
            mask = find(scene, kinds[0]).mask * np.uint8(layout.white)  # (H, W)
            image_path, mask_path = layout.paths(common, number, GROUP * block + k)
            _save(root / image_path, scene.image)
            _save(root / mask_path, np.repeat(mask[..., None], 3, axis=2))
    return Pieces(chunk.stream, {})


def _save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_image(path, image)


def _write(root: Path, pieces: Sequence[Pieces]) -> None:
    """There are no files beside the images."""


def _texts(scene: Scene, rng: random.Random) -> list[str]:
    return []


FORMAT = Format(
    streams={
        "coseg_pascal": ("num_test", 0.072),
        "coseg_msrc": ("num_test", 0.028),
        "coseg_icoseg": ("num_test", 0.048),
    },
    draw=_draw,
    write=_write,
    texts=_texts,
    version=2,
)
