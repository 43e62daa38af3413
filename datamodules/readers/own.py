"""A person's own data: what the readers `folder`, `coco_file` and `jsonl` share, and their settings.

    mine: {task: res, dataset: folder, train: train, val: val, test: {mine: test},
           own: {files: {all: photos}, shares: {train: 0.8, val: 0.1, test: 0.1}}}

Each reader finds expressions and the objects of an image that each holds for. The task decides what becomes of them:
REC and RES ask about one object, GREC and GRES about any number, CoSeg about groups of images that show the same.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Self

from datamodules.readers.coco import coco_photos
from datamodules.readers.coseg import grouped
from datamodules.readers.mask_images import union
from datamodules.readers.own_images import OwnImages
from datamodules.readers.own_settings import ALL, Asked, OwnData, check
from datamodules.readers.reader import Reader
from datamodules.readers.remote import paths
from vista.data import Annotation, Box, InputError, Segmentation, Size

# Why sound records are passed over: this kind of question is not about them, so nothing is lost.
SEVERAL = "the expression holds for several objects, and the question is about one"
CROWD = "the image has a crowd of it"
ALONE = "one image alone shows it"
NO_BOX = "none of its answers has a box"
PASSED_OVER = (SEVERAL, CROWD, ALONE, NO_BOX)


@dataclass
class Named:
    """An expression and all objects of an image that it holds for.

    Attributes:
        id: unique.
        image: its path below the data root.
        size: (H, W).
        expression: not empty.
        boxes: xyxy in pixels.
        segmentations: one for each box; empty where the data set has none.
        found: how the file was read, for people.
    """

    id: str
    image: str
    size: Size
    expression: str
    boxes: list[Box]
    segmentations: list[Segmentation] = field(default_factory=list)
    found: str = ""


class OwnReader(Reader):
    """Base of the readers of own data; a subclass sets `takes` and `endings` and writes `_named`.

    Attributes:
        takes: the settings that it has beside `files`, `shares` and `group_size`.
        endings: of the file that a split has where `files` names none.
    """

    fields = frozenset({"expression", "boxes", "segmentations", "sizes"})
    splits = ("train", "val", "test")
    takes: ClassVar[frozenset[str]] = frozenset()
    endings: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        root: Path | str,
        split: str,
        own: OwnData | None = None,
        asked: Asked | None = None,
    ) -> None:
        """Keep the settings.

        Args:
            root: the data root.
            split: `train`, `val` or `test`.
            own: the settings; None: as they are where nothing is said.
            asked: what is asked; None: about one object, with its mask.

        Raises:
            InputError: there is no such split, or a setting is not understood.
        """
        super().__init__(root, split)
        self.own, self.asked = own or OwnData(), asked or Asked()
        if self.asked.groups:
            self.fields = self.fields & {"segmentations", "sizes"}
        self.settings = repr(self.own), repr(self.asked)
        self.images = OwnImages(self, self.own.images)
        check(self.name, self.own, self.takes, self.splits)

    @classmethod
    def of(
        cls, root: Path | str, split: str, own: OwnData | None, asked: Callable[[], Asked]
    ) -> Self:
        """One with the settings of a source, which asks what its task asks."""
        return cls(root, split, own, asked())

    def _named(self) -> Iterator[Named]:
        """All expressions of the files of the split, those of one image and one expression together."""
        raise NotImplementedError

    def _annotations(self) -> Iterator[Annotation]:
        kept = list(self._of_split(list(self._named())))
        if self.asked.groups:
            yield from self._groups(kept)
            return
        one = [each for each in kept if self.asked.several or len(each.boxes) == 1]
        if kept and not one:
            raise InputError(
                f"each of the {len(kept)} expressions of split {self.split} holds for several objects of its image; "
                "tasks grec and gres ask about several"
            )
        for each in kept:
            if self.asked.several or len(each.boxes) == 1:
                yield self._annotation(each)
            else:
                self.leave_out(each.id, SEVERAL)

    def _annotation(self, named: Named) -> Annotation:
        return Annotation(
            id=named.id,
            images=(named.image,),
            sizes=(named.size,),
            expression=named.expression,
            boxes=tuple(named.boxes),
            segmentations=tuple(named.segmentations),
            extra={"found": named.found} if named.found else {},
            photos=(self.photo(named.image),),
        )

    def _groups(self, kept: list[Named]) -> Iterator[Annotation]:
        by_name: dict[str, dict[str, Named]] = defaultdict(dict)
        for each in kept:
            by_name[each.expression].setdefault(each.image, each)
        for name, members in sorted(by_name.items()):
            if len(members) < 2:
                self.leave_out(name, ALONE)
                continue
            images = [members[path] for path in sorted(members)]
            for number, (group, filled) in enumerate(grouped(images, self.own.group_size)):
                yield self._group(f"{name}_{number}", name, group, filled)

    def _group(self, key: str, name: str, group: list[Named], filled: list[Named]) -> Annotation:
        shown = group + filled
        return Annotation(
            id=key,
            images=tuple(each.image for each in shown),
            sizes=tuple(each.size for each in shown),
            segmentations=tuple(union(each.segmentations, each.size) for each in shown),
            extra={"class": name, "count": [True] * len(group) + [False] * len(filled)},
            photos=tuple(self.photo(each.image) for each in shown),
        )

    def photo(self, image: str) -> tuple[str, ...]:
        """The names of an image: its file, which all sources share, and its number where it is called as COCO's are."""
        return f"file {os.path.realpath(self.root)}/{image}", *coco_photos(image)

    def places(self) -> list[Path]:
        """The file or folder of the split, or all of its shards.

        Raises:
            MissingFileError: one is not there.
            InputError: a shard behind an address cannot be had.
        """
        named = self.own.files.get(ALL) or self.own.files.get(self.split)
        if named is None:
            return [self.file(*(self.split + ending for ending in self.endings))]
        return [self.file(path) for path in paths(self.root, named)]

    def _of_split(self, named: list[Named]) -> Iterable[Named]:
        """Those whose image is of the split's share."""
        if not self.own.shares:
            return named
        # Not in the order of the file, which may be sorted; by the name, so that it is the same on every machine.
        images = sorted({each.image for each in named}, key=order)
        before = sum(
            share
            for split, share in self.own.shares.items()
            if self.splits.index(split) < self.splits.index(self.split)
        )
        first = round(len(images) * before)
        last = round(len(images) * (before + self.own.shares.get(self.split, 0.0)))
        own = set(images[first:last])
        if not own:
            raise InputError(
                f"the share of split {self.split} is none of {len(images)} images; give it a larger one under "
                "own.shares"
            )
        return (each for each in named if each.image in own)


def order(image: str) -> bytes:
    """A place among all images that has nothing to do with their names."""
    return hashlib.sha256(image.encode("utf-8", "surrogatepass")).digest()


def other_file(path: Path, why: str) -> InputError:
    """The error for a file or folder that is not what it should be."""
    return InputError(f"{path} cannot be used: {why}; docs/own_data.md shows what it should be")
