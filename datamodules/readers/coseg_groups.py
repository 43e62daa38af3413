"""Groups of training images that show one category, made to train CoSeg on, since its sets have no training split.

COCO's instances (https://cocodataset.org, see coco.py) and PASCAL VOC 2012 (http://host.robots.ox.ac.uk/pascal/VOC;
Everingham et al., IJCV 2010), whose masks of classes are palette images: 0 background, 1..20 the classes, 255 void.

    coco/annotations/instances_train2017.json
    voc/VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt      one image name a line
    voc/VOCdevkit/VOC2012/JPEGImages/2007_000032.jpg
    voc/VOCdevkit/VOC2012/SegmentationClass/2007_000032.png
    held_out.txt        optional: images that are never used, one COCO id or VOC name a line, e.g. of test splits

The CoSeg set PASCAL is made of VOC images under other names: where coseg/PASCAL is below the root too, VOC images that
look like one of its own are left out.
"""

import random
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.readers.coco import SOURCE, CocoInstancesReader
from datamodules.readers.coseg import MASKS
from datamodules.readers.files import inside, read_text
from datamodules.readers.mask_images import UNREADABLE, damage, union
from datamodules.readers.reader import Reader
from datamodules.readers.records import Record
from datamodules.readers.thumbnails import alike, thumbnails
from vista.data import Annotation, Box, InputError, MissingFileError, Size
from vista.rle import encode_mask

VOC = "voc/VOCdevkit/VOC2012"
VOC_SOURCE = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012"
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


@dataclass(slots=True)
class Member:
    """An image of a group: its path, its photograph's names, (H, W), its objects of the category as one RLE."""

    path: str
    photo: tuple[str, ...]
    size: Size
    rle: Record


class CoSegGroupsReader(Reader):
    """As the reader `coseg` gives them: one annotation per group, one RLE per image, `extra["class"]` and `["count"]`.

    The images of each category are shuffled and cut into groups; what is left over is a smaller group, if it has two
    images. An image serves each category that it shows. Not used: images with a crowd of the category, images whose
    objects of the category are small, and held-out images. The id is `<category>_<number>`.

    Args:
        root: the data root.
        split: one of `splits`.
        group_size: images in a group at most.
        max_groups: groups of a category at most; none: all.
        min_share: least share of the image that the boxes (COCO) or the mask (VOC) of the category cover.
        exclude: images that are never used beside those of `held_out.txt`.
        seed: of the shuffling.
    """

    name = "coseg_groups"
    fields = frozenset({"segmentations", "sizes"})
    splits = ("train2017", "train2014", "voc2012_train")
    source = SOURCE

    def __init__(
        self,
        root: Path | str,
        split: str,
        group_size: int = 4,
        max_groups: int | None = None,
        min_share: float = 0.02,
        exclude: Collection[str] = (),
        seed: int = 0,
    ) -> None:
        super().__init__(root, split)
        if group_size < 2:
            raise InputError(f"a group has two images at least, not {group_size}")
        self.group_size, self.max_groups, self.min_share, self.seed = (
            group_size,
            max_groups,
            min_share,
            seed,
        )
        self.exclude = frozenset(exclude)
        self.source = VOC_SOURCE if split.startswith("voc") else SOURCE

    def _annotations(self) -> Iterator[Annotation]:
        members: dict[str, list[Member]] = defaultdict(list)
        found = self._voc() if self.split.startswith("voc") else self._coco()
        for category, member in found:
            members[category].append(member)
        # A shuffle of its own for each category, so that another category's images do not change it.
        for category in sorted(members):
            random.Random(f"{self.seed} {category}").shuffle(members[category])
            starts = range(0, len(members[category]) - 1, self.group_size)[: self.max_groups]
            for number, start in enumerate(starts):
                yield group(
                    f"{category}_{number}",
                    category,
                    members[category][start : start + self.group_size],
                )

    def _coco(self) -> Iterator[tuple[str, Member]]:
        """(category, image) of each category of each image."""
        reader, held = CocoInstancesReader(self.root, self.split), held_out(self) | self.exclude
        for image in reader:
            if image.id in held:
                continue
            objects: dict[str, list[int]] = defaultdict(list)
            for k, category in enumerate(image.extra["categories"]):
                objects[category].append(k)
            for category, places in objects.items():
                share = covered([image.boxes[k] for k in places], image.sizes[0])
                if share >= self.min_share and not any(image.extra["iscrowd"][k] for k in places):
                    path, photo, size = image.images[0], image.photos[0], image.sizes[0]
                    rle = union([image.segmentations[k] for k in places], size)
                    yield category, Member(path, photo, size, rle)
        self.problems += reader.problems
        self.watched |= reader.watched

    def _voc(self) -> Iterator[tuple[str, Member]]:
        """The same of VOC."""
        names = read_text(self.file(f"{VOC}/ImageSets/Segmentation/train.txt"), self.source).split()
        held = held_out(self) | self.exclude
        scored = self.watch(self.root / "coseg/PASCAL")
        paths = (path for path in scored.rglob("*") if not set(MASKS) & set(path.parts))
        evaluated = thumbnails(self, paths)
        for name in names:
            path = inside(f"{VOC}/JPEGImages/{name}.jpg")
            if name in held:
                continue
            file = self.watch(self.root / path)
            try:
                if alike(file, evaluated):
                    self.leave_out(name, "it is an image of coseg/PASCAL")
                    continue
                file = self.file(f"{VOC}/SegmentationClass/{name}.png")
                with Image.open(file) as opened:
                    classes = np.asarray(opened)
            except MissingFileError:
                raise
            except UNREADABLE as error:
                self.leave_out(name, damage(file, error))
                continue
            if classes.ndim != 2 or classes.dtype != np.uint8:
                self.leave_out(name, f"{file} is no image of VOC's classes, but in colours")
                continue
            for number in set(np.unique(classes).tolist()) & set(range(1, len(CLASSES) + 1)):
                mask = classes == number
                if mask.mean() >= self.min_share:
                    size = (mask.shape[0], mask.shape[1])
                    yield (
                        CLASSES[number - 1],
                        Member(path, (f"voc {name}",), size, encode_mask(mask)),
                    )


def group(name: str, category: str, members: list[Member]) -> Annotation:
    """One group as the reader `coseg` gives it."""
    return Annotation(
        id=name,
        images=tuple(member.path for member in members),
        sizes=tuple(member.size for member in members),
        segmentations=tuple(member.rle for member in members),
        extra={"class": category, "count": [True] * len(members)},
        photos=tuple(member.photo for member in members),
    )


def held_out(reader: Reader) -> frozenset[str]:
    """The images of `held_out.txt` below the data root; none without such a file."""
    file = reader.watch(reader.root / "held_out.txt")
    listed = file.is_file() and file.stat().st_size
    return frozenset(
        read_text(reader.file("held_out.txt"), reader.source).split() if listed else ()
    )


def covered(boxes: list[Box], size: Size) -> float:
    """The share of an image of (H, W) that boxes (xyxy, pixels) cover, overlaps counted twice."""
    return sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes) / (size[0] * size[1])
