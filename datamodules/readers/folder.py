"""A folder of images and of masks with the same stems; class names are those of sub-folders, or stand in a csv.

    train/cat/1.jpg   train/cat/1.png               a mask beside its image; the class is "cat"
    train/images/1.jpg   train/masks/1.png          own.images: images, own.masks: masks
    train/names.csv                                 own.names: names.csv

    stem,expression,value       one row for each image, or for each object of it; `cat/1` where stems repeat
    1,the cat on the left,3     value: of the object's pixels in the mask; without it, the whole mask
    *,road,7                    a value that means the same in every image

A mask is a PNG, black (0) where nothing is: one object in any other value, or several objects of different values, such
as those of a palette. In a palette, 255 is no object where there are others, as in PASCAL VOC.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules.readers.coseg import SUFFIXES
from datamodules.readers.files import inside, read_text
from datamodules.readers.mask_images import (
    DEEP,
    FEW,
    UNREADABLE,
    brightness,
    damage,
    filling,
    object_of,
)
from datamodules.readers.own import Named, OwnReader, other_file
from vista.data import Box, InputError, Mask, Segmentation, Size
from vista.rle import encode_mask
from vista.shards import ENDING, is_file, opened, walk

VOID = 255  # of a palette
WHOLE = 0  # the value of a row that names a whole mask
ANY_IMAGE = "*"
Names = dict[tuple[str, int], str]  # of a stem and a value


class FolderReader(OwnReader):
    """An expression holds for all objects of an image that are called so. The truth is in images, which are opened."""

    name = "folder"
    source = "https://pillow.readthedocs.io/en/stable/handbook/concepts.html#modes"
    takes = frozenset({"images", "masks", "names", "mask"})
    endings = ("", ENDING)

    def _named(self) -> Iterator[Named]:
        if self.own.mask not in ("auto", "whole", "instances"):
            raise InputError(f"own.mask is {self.own.mask!r}; there are auto, whole, instances")
        places = self.places()
        names = self._names(places[0])
        number = 0
        for top in places:
            images = top / inside(self.own.images) if self.own.images else top
            masks = top / inside(self.own.masks) if self.own.masks else images
            for image, mask in self._pairs(images, masks):
                number += 1
                if is_file(self.watch(mask)):
                    yield from self._image(image, mask, image.relative_to(images), names)
                else:
                    self.leave_out(image.relative_to(self.root), "it has no mask of the same stem")
        if not number:
            raise other_file(places[0], f"no image ({', '.join(SUFFIXES)}) lies in it")

    def _pairs(self, images: Path, masks: Path) -> Iterator[tuple[Path, Path]]:
        """Each image below a folder, by name, and where its mask must be."""
        for folder, files in walk(images):
            self.watch(folder)
            pictures = [name for name in files if Path(name).suffix.lower() in SUFFIXES]
            photos = {Path(name).stem for name in pictures if not name.lower().endswith(".png")}
            for name in pictures:
                is_mask = masks == images and name.lower().endswith(".png")
                # A mask beside its image is none of the images; one alone is an image without a mask.
                if not (is_mask and Path(name).stem in photos):
                    stem = Path(name).stem
                    mask = masks / folder.relative_to(images) / f"{stem}.png"
                    yield folder / name, mask.with_suffix("") if is_mask else mask

    def _image(self, image: Path, mask: Path, path: Path, names: Names) -> Iterator[Named]:
        """The expressions of an image."""
        key, file = image.relative_to(self.root).as_posix(), mask
        try:
            objects = objects_of(mask, self.own.mask)
            file = image
            with Image.open(opened(image)) as header:
                width, height = header.size
        except UNREADABLE as error:
            self.leave_out(key, damage(file, error) if is_file(file) else str(error))
            return
        if not objects or next(iter(objects.values())).shape != (height, width):
            why = "its mask draws no pixel" if not objects else "its mask has another size"
            self.leave_out(key, f"{why}, in {mask.name}")
            return
        called: dict[str, list[Mask]] = defaultdict(list)
        for value, drawn in objects.items():
            name = name_of(path, value, names)
            if name:
                called[name].append(drawn)
            elif not names:
                self.leave_out(key, "it lies in no sub-folder, and own.names names no csv")
        whole = names.get((str(path.with_suffix("")), WHOLE)) or names.get((path.stem, WHOLE))
        if whole:
            called = {whole: [np.any(list(objects.values()), axis=0)]}
        for name, drawn_all in called.items():
            yield self._expression(key, (height, width), name, drawn_all)

    def _expression(self, image: str, size: Size, name: str, masks: list[Mask]) -> Named:
        rles: list[Segmentation] = [encode_mask(mask) for mask in masks]
        return Named(f"{image} {name}", image, size, name, [box_of(mask) for mask in masks], rles)

    def _names(self, top: Path) -> Names:
        """What the csv says, where there is one."""
        if not self.own.names:
            return {}
        # A table of several shards lies beside them, not in one.
        path = (top.parent if top.suffix == ENDING else top) / inside(self.own.names)
        file = self.file(path.relative_to(self.root).as_posix())
        rows = csv.DictReader(read_text(file, self.source).splitlines())
        if not {"stem", "expression"} <= set(rows.fieldnames or ()):
            raise other_file(file, "its first line does not name the columns stem and expression")
        names: Names = {}
        for number, row in enumerate(rows, start=2):
            stem, expression = (row["stem"] or "").strip(), (row["expression"] or "").strip()
            value = (row.get("value") or str(WHOLE)).strip()
            if not stem or not expression or not value.isdecimal():
                self.leave_out(
                    f"line {number}", f"{file.name} has no stem, expression or value there"
                )
            else:
                names[stem, int(value)] = expression
        return names


def name_of(path: Path, value: int, names: Names) -> str:
    """What an object of an image is called: by the csv where there is one, else by the image's sub-folder."""
    if not names:
        return path.parent.name
    for stem in (path.with_suffix("").as_posix(), path.stem, ANY_IMAGE):
        if (stem, value) in names:
            return names[stem, value]
    return ""


def objects_of(path: Path, how: str) -> dict[int, Mask]:
    """The objects of a mask by their values, bool (H, W) each.

    Args:
        path: the file.
        how: `whole`, `instances`, or `auto`.

    Raises:
        one of `UNREADABLE`: it is no image, or damaged, or does not show whether it holds one object or several.
    """
    with Image.open(opened(path)) as image:
        has_values = image.mode in ("P", *DEEP)
        values = np.asarray(image) if has_values else brightness(image)
        is_palette = image.mode == "P"
    found = [int(value) for value in np.unique(values) if value]
    if is_palette and len(found) > 1:
        found = [value for value in found if value != VOID]
    if how == "whole" or (how == "auto" and len(found) == 1):
        drawn = values > 0 if has_values else object_of(values)
        return {found[0]: drawn} if found and drawn.any() else {}
    if how == "auto" and not has_values:
        # Shades at a border never fill a square, values of objects do.
        filled = filling(values)
        if len(filled) == 1:
            return {int(filled[0]): object_of(values)}
        if len(found) > FEW:
            raise ValueError(
                f"its mask {path.name} has {len(found)} values: set own.mask to instances where each is an object, "
                "to whole where all are one"
            )
    return {value: values == value for value in found}


def box_of(mask: Mask) -> Box:
    """The box around a mask, bool (H, W), that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
