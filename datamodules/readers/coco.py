"""COCO: captions of an image, and the objects in it with boxes and masks.

https://cocodataset.org (annotations CC BY 4.0); Karpathy's split: https://cs.stanford.edu/people/karpathy/deepimagesent
Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014; Chen et al., Microsoft COCO Captions, 2015.

    coco/annotations/captions_train2017.json     {"images": [...], "annotations": [...]}
    coco/annotations/image_info_test2014.json    images alone: the captions of `test2014` are hidden
    coco/annotations/instances_train2017.json    the same, and "categories"
    coco/dataset_coco.json                       Karpathy's split of the 2014 release
    coco/train2017/000000000009.jpg              2014: coco/train2014/COCO_train2014_000000000009.jpg

    image       {"id": 9, "file_name": "000000000009.jpg", "height": 480, "width": 640,
                 "flickr_url": "http://farm5.staticflickr.com/4026/4622125393_84c9fcba6d_z.jpg"}
    caption     {"id": 661611, "image_id": 9, "caption": "Closeup of bins of food that include broccoli and bread."}
    instance    {"id": 1038967, "image_id": 9, "category_id": 51, "bbox": [1.08, 187.69, 611.59, 285.84], "iscrowd": 0,
                 "area": 120057.1, "segmentation": [[500.49, 473.53, 599.73, 419.6, ...]]}      bbox is xywh
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from datamodules.readers.files import inside
from datamodules.readers.official import IMAGE, OBJECT, Official
from datamodules.readers.reader import CocoImages, Reader, coco_photo
from datamodules.readers.records import Record
from vista.data import Annotation, Size
from vista.unsound import shown

SOURCE = "https://cocodataset.org/#download"
HIDDEN = "test2014"  # its captions are not published
FLICKR_ID = re.compile(r"/(\d+)_\w+\.jpg$")
# split -> Karpathy's names of its parts
KARPATHY = {
    "karpathy_train": ("train", "restval"),
    "karpathy_val": ("val",),
    "karpathy_test": ("test",),
}
NAMED = IMAGE | {"file_name": str, "flickr_url": str | None}
CAPTION = {"image_id": int, "caption": str}
OF_KARPATHY = {"cocoid": int, "filepath": str, "split": str, "sentences": [{"raw": str}]}
CATEGORISED = OBJECT | {"image_id": int, "category_id": int, "iscrowd": int | None}
COCO_FILE = re.compile(r"(?:^|[/_])(\d{12})\.\w+$")


class CocoReader(Reader):
    """Captions: one annotation per image, all its captions together (about five).

    `extra["flickr_id"]` where the file tells the photograph's number on Flickr. The `karpathy_*` splits (113,287 /
    5,000 / 5,000 images; `restval` belongs to train) state neither that nor image sizes.
    """

    name = "coco"
    fields = frozenset({"captions", "sizes"})
    splits: tuple[str, ...] = ("train2017", "val2017", "train2014", "val2014", HIDDEN, *KARPATHY)
    source = SOURCE

    def __init__(self, root: Path | str, split: str) -> None:
        super().__init__(root, split)
        if split == HIDDEN:
            self.fields = self.fields - {"captions"}
        if split in KARPATHY:
            self.fields = frozenset({"captions"})
            self.source = (
                "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"
            )

    def _annotations(self) -> Iterator[Annotation]:
        if self.split in KARPATHY:
            yield from self._karpathy()
            return
        name = "image_info" if self.split == HIDDEN else "captions"
        file = Official(self, self.file(f"coco/annotations/{name}_{self.split}.json"))
        captions: dict[int, list[str]] = defaultdict(list)
        for record in file.records("annotations", CAPTION) if self.split != HIDDEN else ():
            captions[record["image_id"]].append(record["caption"])
        for image in file.records("images", NAMED):
            path = image_path(self, image["file_name"], image["id"])
            size = file.size(image, image["id"])
            if size is None:
                continue
            on_flickr = flickr_id(image)
            extra = {"flickr_id": on_flickr} if on_flickr else {}
            yield from self._annotation(image["id"], path, captions[image["id"]], size, **extra)

    def _karpathy(self) -> Iterator[Annotation]:
        # An image of any part may lie in either folder of the 2014 release.
        kept = KARPATHY[self.split]
        images = {split: CocoImages(self, split) for split in ("train2014", "val2014")}
        places = ("coco/dataset_coco.json", "coco/annotations/dataset_coco.json")
        for image in Official(self, self.file(*places)).records("images", OF_KARPATHY):
            if image["split"] not in kept:
                continue
            if image["filepath"] not in images:
                self.leave_out(image["cocoid"], f"COCO has no folder {shown(image['filepath'])}")
                continue
            path = images[image["filepath"]].path(image["cocoid"])
            captions = [sentence["raw"] for sentence in image["sentences"]]
            yield from self._annotation(image["cocoid"], path, captions)

    def _annotation(
        self, image_id: int, path: str, captions: list[str], *sizes: Size, **extra: int
    ) -> Iterator[Annotation]:
        kept = tuple(caption for caption in captions if caption.strip())
        if len(kept) < len(captions):
            self.leave_out(image_id, f"{len(captions) - len(kept)} of its captions are empty")
        if kept or self.split == HIDDEN:
            yield Annotation(
                id=str(image_id),
                images=(path,),
                sizes=sizes,
                captions=kept,
                extra=dict(extra),
                photos=(photo_names(image_id, extra.get("flickr_id")),),
            )
        elif not captions:
            self.leave_out(image_id, "the image has no caption")


class CocoInstancesReader(Reader):
    """Objects: one annotation per image, one box and one segmentation per object, in the order of the file.

    `extra`, each a list with one entry per object: `categories` (names), `ann_ids`, `iscrowd` (0 or 1; a crowd's
    segmentation is an uncompressed RLE and covers several objects). An image without objects has empty lists.
    """

    name = "coco_instances"
    fields = frozenset({"boxes", "segmentations", "sizes"})
    splits = ("train2017", "val2017", "train2014", "val2014")
    source = SOURCE

    def _annotations(self) -> Iterator[Annotation]:
        file = Official(self, self.file(f"coco/annotations/instances_{self.split}.json"))
        categories = file.records("categories", {"id": int, "name": str})
        names = {category["id"]: category["name"] for category in categories}
        objects: dict[int, list[Record]] = defaultdict(list)
        for record in file.records("annotations", CATEGORISED):
            if record["category_id"] in names:
                objects[record["image_id"]].append(record)
            else:
                why = f"{file.path.name} has no category {record['category_id']}"
                self.leave_out(record["id"], why)
        for image in file.records("images", NAMED):
            size = file.size(image, image["id"])
            if size is None:
                continue
            kept = [
                (record, box) for record in objects[image["id"]] if (box := file.box(record, size))
            ]
            yield Annotation(
                id=str(image["id"]),
                images=(image_path(self, image["file_name"], image["id"]),),
                sizes=(size,),
                boxes=tuple(box for _, box in kept),
                segmentations=tuple(record["segmentation"] for record, _ in kept),
                extra={
                    "categories": [names[record["category_id"]] for record, _ in kept],
                    "ann_ids": [record["id"] for record, _ in kept],
                    "iscrowd": [record.get("iscrowd") or 0 for record, _ in kept],
                },
                photos=(photo_names(image["id"], flickr_id(image)),),
            )


def flickr_id(image: Record) -> int | None:
    """The photograph's number on Flickr, where the file tells it."""
    on_flickr = FLICKR_ID.search(image.get("flickr_url") or "")
    return int(on_flickr[1]) if on_flickr else None


def photo_names(image_id: int, on_flickr: int | None) -> tuple[str, ...]:
    """The names of a photograph of COCO."""
    return coco_photo(image_id), *([f"flickr {on_flickr}"] if on_flickr else [])


def image_path(reader: Reader, file_name: str, image_id: int) -> str:
    """The path of an image named in COCO's own files; 2014 names are also found under their 2017 name."""
    path = inside(f"coco/{reader.split}/{file_name}")
    reader.watch(reader.root / "coco" / reader.split)
    if reader.split.endswith("2017") or (reader.root / path).is_file():
        return path
    return CocoImages(reader, reader.split).path(image_id)


def coco_photos(file_name: str) -> tuple[str, ...]:
    """The name of a photograph of COCO by that of its file, in either release; none where it is not called so."""
    number = COCO_FILE.search(file_name)
    return (coco_photo(number[1]),) if number else ()
