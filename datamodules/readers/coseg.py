"""Co-segmentation: the object that all images of a class have in common. PASCAL, MSRC and iCoSeg.

Faktor and Irani, Co-Segmentation by Composition, ICCV 2013 (PASCAL, 20 classes); Rubinstein et al., CVPR 2013 (MSRC, 7
classes of 10 images), https://people.csail.mit.edu/mrub/ObjectDiscovery; Batra et al., CVPR 2010 (iCoSeg, 38 groups),
http://chenlab.ece.cornell.edu/projects/touch-coseg. There is no standard archive: copies hold folders of images, and
folders of masks with the same names.

    coseg/PASCAL/<class>/img_1001.jpg           coseg/PASCAL/<class>/GroundTruth/img_1001.png
    coseg/MSRC/<class>/5_1_s.bmp                coseg/MSRC/<class>/GroundTruth/5_1_s.bmp
    coseg/iCoSeg/images/<group>/12425.jpg       coseg/iCoSeg/ground_truth/<group>/12425.png
    Each set may be laid out in either way; a mask's name may end in `_GT`.

A mask is an image that is black but on the object (see mask_images.py).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

from PIL import Image

from datamodules.readers.mask_images import UNREADABLE, damage, read_mask
from datamodules.readers.reader import Reader
from datamodules.readers.records import Record
from vista.data import Annotation, Size
from vista.rle import encode_mask

SETS = {"pascal": "PASCAL", "msrc": "MSRC", "icoseg": "iCoSeg"}
MASKS = ("GroundTruth", "ground_truth")
Member: TypeAlias = tuple[str, Size, Record]  # an image of a class: path, (H, W), RLE
T = TypeVar("T")
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

    def __init__(self, root: Path | str, split: str, group_size: int = 4) -> None:
        super().__init__(root, split)
        self.group_size = group_size

    def _annotations(self) -> Iterator[Annotation]:
        top = self.file(f"coseg/{SETS[self.split]}")
        images = top / "images" if (top / "images").is_dir() else top
        for folder in sorted(self.watch(images).iterdir()):
            if folder.is_dir() and folder.name not in MASKS:
                yield from self._groups(folder.name, list(self._members(top, folder)))

    def _groups(self, category: str, members: list[Member]) -> Iterator[Annotation]:
        for number, (group, filled) in enumerate(grouped(members, self.group_size)):
            paths, sizes, rles = zip(*group, *filled, strict=True)
            yield Annotation(
                id=f"{category}_{number}",
                images=paths,
                sizes=sizes,
                segmentations=rles,
                extra={"class": category, "count": [True] * len(group) + [False] * len(filled)},
                photos=tuple((f"coseg {path.removeprefix('coseg/')}",) for path in paths),
            )

    def _masks(self, top: Path, folder: Path) -> dict[str, Path]:
        """The mask files of a class, by the stem of their image; of two the later found."""
        masks = {}
        for name in MASKS:
            for place in (folder / name, top / name / folder.name):
                for path in files(place) if self.watch(place).is_dir() else ():
                    masks[path.stem.removesuffix("_GT")] = path
        return masks

    def _members(self, top: Path, folder: Path) -> Iterator[Member]:
        """Each image of a class that has a mask, by name."""
        masks = self._masks(top, folder)
        for image in files(self.watch(folder)):
            path = image.relative_to(self.root).as_posix()
            if image.stem not in masks:
                self.leave_out(path, "it has no mask")
                continue
            file = self.watch(masks[image.stem])
            try:
                mask = read_mask(file)
                file = image
                with Image.open(image) as opened:
                    width, height = opened.size
            except UNREADABLE as error:
                self.leave_out(path, damage(file, error))
                continue
            if mask.shape != (height, width):
                why = f"its mask has size {list(mask.shape)}, the image {[height, width]}"
                self.leave_out(path, why)
            elif not mask.any():
                self.leave_out(path, f"its mask {file.name} draws no pixel")
            else:
                yield path, (height, width), encode_mask(mask)


def grouped(members: Sequence[T], most: int) -> Iterator[tuple[list[T], list[T]]]:
    """Consecutive groups of `most` members, and what fills up the last one: the first members, not counted again."""
    size = min(most, len(members))
    for start in range(0, len(members), max(size, 1)):
        group = list(members[start : start + size])
        yield group, list(members[: size - len(group)])


def files(folder: Path) -> list[Path]:
    """The images in a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
