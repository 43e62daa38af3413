"""Co-segmentation: the object that all images of a class have in common. PASCAL, MSRC and iCoSeg.

Faktor and Irani, Co-Segmentation by Composition, ICCV 2013 (PASCAL, 20 classes); Rubinstein et al., CVPR 2013 (MSRC, 7
classes of 10 images), https://people.csail.mit.edu/mrub/ObjectDiscovery; Batra et al., CVPR 2010 (iCoSeg, 38 groups),
http://chenlab.ece.cornell.edu/projects/touch-coseg. There is no standard archive: copies hold folders of images, and
folders of masks with the same names.

    coseg/PASCAL/<class>/img_1001.jpg           coseg/PASCAL/<class>/GroundTruth/img_1001.png
    coseg/MSRC/<class>/5_1_s.bmp                coseg/MSRC/<class>/GroundTruth/5_1_s.bmp
    coseg/iCoSeg/images/<group>/12425.jpg       coseg/iCoSeg/ground_truth/<group>/12425.png
    Each set may be laid out in either way; a mask's name may end in `_GT`.

A mask is white (255, or 1) on the object.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from datamodules.readers.reader import Reader
from vista.data import Annotation, Size

SETS = {"pascal": "PASCAL", "msrc": "MSRC", "icoseg": "iCoSeg"}
MASKS = ("GroundTruth", "ground_truth")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


class CoSegReader(Reader):
    """One annotation per group of images of one class; `segmentations` has one RLE per image. The split is the set.

    A class is cut into consecutive groups; the last one is filled up from the start of the class.
    `extra`: `class`, `count` (bool per image; False: a filled image, already part of another group).

    Args:
        root: the data root.
        split: `pascal`, `msrc` or `icoseg`.
        group_size: images in a group; a class with fewer is one group.
    """

    name = "coseg"
    fields = frozenset({"segmentations", "sizes"})
    splits = tuple(SETS)
    source = "https://people.csail.mit.edu/mrub/ObjectDiscovery"

    def __init__(self, root: Any, split: str, group_size: int = 4) -> None:
        super().__init__(root, split)
        self.group_size = group_size

    def _annotations(self) -> Iterator[Annotation]:
        top = self.file(f"coseg/{SETS[self.split]}")
        images = top / "images" if (top / "images").is_dir() else top
        for folder in sorted(
            path
            for path in self.watch(images).iterdir()
            if path.is_dir() and path.name not in MASKS
        ):
            members = list(self._members(top, folder))
            size = min(self.group_size, len(members))
            for start in range(0, len(members), max(size, 1)):
                group = members[start : start + size]
                filled = members[: size - len(group)]
                yield Annotation(
                    id=f"{folder.name}_{start // size}",
                    images=tuple(path for path, _, _ in group + filled),
                    sizes=tuple(hw for _, hw, _ in group + filled),
                    segmentations=tuple(rle for _, _, rle in group + filled),
                    extra={
                        "class": folder.name,
                        "count": [True] * len(group) + [False] * len(filled),
                    },
                )

    def _members(self, top: Path, folder: Path) -> Iterator[tuple[str, Size, dict[str, Any]]]:
        """(path, (H, W), RLE) of each image of a class that has a mask, by name."""
        places = [place for name in MASKS for place in (folder / name, top / name / folder.name)]
        there = [place for place in places if self.watch(place).is_dir()]
        masks = {path.stem.removesuffix("_GT"): path for place in there for path in files(place)}
        for image in files(self.watch(folder)):
            path = image.relative_to(self.root).as_posix()
            if image.stem not in masks:
                self.leave_out(path, "it has no mask")
                continue
            mask = read_mask(self.watch(masks[image.stem]))
            with Image.open(image) as opened:
                width, height = opened.size
            if mask.shape != (height, width):
                self.leave_out(
                    path, f"its mask has size {list(mask.shape)}, the image {[height, width]}"
                )
                continue
            yield path, (height, width), encode(mask)


def files(folder: Path) -> list[Path]:
    """The images in a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def read_mask(path: Path) -> np.ndarray:
    """A mask file as bool (H, W); grey pixels at the border of an object belong to the nearer side."""
    with Image.open(path) as image:
        values = np.asarray(image.convert("L"))
    return values > (0 if values.max() == 1 else 127)


def encode(mask: np.ndarray) -> dict[str, Any]:
    """A mask, bool (H, W), as COCO's compressed RLE, its counts as text."""
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": rle["counts"].decode("ascii")}
