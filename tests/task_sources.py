"""Annotations to test the tasks on: hand-written files of every dataset, hand-made groups, and a small world."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from pycocotools import mask as coco_mask

from datamodules.readers import READERS
from datamodules.synthetic.world import write_world
from tasks import Task
from vista.codec.codec import Codec
from vista.data import Annotation

FORMATS = Path(__file__).parent / "formats"
# (task, dataset, split); formats first, then the world.
ON_FORMATS = [
    ("caption", "coco", "val2017"),
    ("vqav2", "vqav2", "val"),
    *(
        (task, dataset, "val")
        for task in ("rec", "res", "reg")
        for dataset in ("refcoco", "refcocop", "refcocog")
    ),
    ("reg", "visual_genome", "all"),
    *(
        (task, "grefcoco", split)
        for task in ("grec", "gres")
        for split in ("val", "testA", "testB")
    ),
    ("vcr", "vcr", "val"),
    *((task, dataset, "val") for task in ("pqa", "bqa") for dataset in ("looktwice", "localqa")),
    ("bqa", "visual7w", "val"),
    ("textvqa", "textvqa", "val"),
    ("iconqa", "iconqa", "test"),
    ("iconqa", "iconqa", "choose_img_val"),
    ("hateful_memes", "hateful_memes", "dev_seen"),
    ("pope", "pope", "random"),
    ("nlvr2", "nlvr2", "dev"),
    ("spot_caption", "flickr30k_entities", "val"),
    ("llava", "llava_instruct", "train"),
    ("coseg", "coseg", "by hand"),
    ("attcoseg", "attcoseg", "by hand"),
]
ON_WORLD = [
    ("caption", "coco", "val2017"),
    ("vqav2", "vqav2", "val"),
    *((task, "refcoco", "val") for task in ("rec", "res", "reg")),
    ("nlvr2", "nlvr2", "dev"),
    ("coseg", "coseg_groups", "train2017"),
]


@cache
def world() -> Path:
    """The root of a small world, written once."""
    root = Path(mkdtemp()) / "world"
    write_world(root, num_train=20, num_val=20, num_test=20, num_workers=1)
    return root


@cache
def annotations(
    task: str, dataset: str, split: str, on_world: bool = False
) -> tuple[Annotation, ...]:
    """What the task asks about, of one split."""
    if split == "by hand":
        read = list(BY_HAND[dataset])
    else:
        read = list(READERS[dataset](world() if on_world else FORMATS, split))
    assert read
    return tuple(Task.known[task](Codec()).regroup(read))


def ellipse(height: int, width: int, shift: int) -> np.ndarray:
    """A filled ellipse, bool (H, W)."""
    y, x = np.mgrid[:height, :width]
    return ((x - width / 2 - shift) / (width / 4)) ** 2 + ((y - height / 2) / (height / 3)) ** 2 < 1


def rle(mask: np.ndarray) -> dict:
    """COCO's RLE of a mask, counts as text."""
    found = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": found["counts"].decode()}


SIZES = ((90, 120), (120, 80), (100, 100), (70, 140))
BY_HAND = {
    "coseg": [
        Annotation(
            id=f"cow_{number}",
            images=tuple(f"coseg/MSRC/cow/{number}_{k}.bmp" for k in range(4)),
            sizes=SIZES,
            segmentations=tuple(
                rle(ellipse(*size, shift=3 * k - number)) for k, size in enumerate(SIZES)
            ),
            extra={"class": "cow", "count": [True, True, True, number == 0]},
        )
        for number in range(2)
    ],
    "attcoseg": [
        Annotation(
            id=f"5_0_{i}_{j}",
            images=tuple(f"groupwise_res/images/g/{k}.jpg" for k in range(4)),
            sizes=SIZES,
            expression="a red cup",
            segmentations=tuple(
                rle(ellipse(*s, shift=k)) if k in (i, j) else [] for k, s in enumerate(SIZES)
            ),
            extra={"present": [k in (i, j) for k in range(4)], "pair": [i + 1, j + 1]},
        )
        for i, j in ((0, 1), (1, 3), (0, 3))
    ],
}
