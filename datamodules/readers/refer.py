"""RefCOCO, RefCOCO+, RefCOCOg: an expression that refers to one object of a COCO image.

https://github.com/lichengunc/refer
Kazemzadeh et al., ReferItGame, EMNLP 2014; Yu et al., Modeling Context in Referring Expressions, ECCV 2016; Mao et al.,
Generation and Comprehension of Unambiguous Object Descriptions, CVPR 2016 (RefCOCOg, here the split "umd").

    refer/refcoco/refs(unc).p           a pickled list, written by Python 2
    refer/refcoco/instances.json        COCO's instances layout
    refer/refcoco+/..., refer/refcocog/refs(umd).p, ...
    refer/images/mscoco/images/train2014/COCO_train2014_000000581857.jpg     (or below coco/, either release)

    ref         {"ref_id": 0, "ann_id": 1719310, "image_id": 581857, "category_id": 1, "split": "train",
                 "file_name": "COCO_train2014_000000581857_16.jpg", "sent_ids": [0, 1],
                 "sentences": [{"sent_id": 0, "sent": "navy blue shirt", "raw": "navy blue shirt", "tokens": [...]}]}

`file_name` names the object, not an image. All images are COCO train2014, those of val and test too.
"""

from collections.abc import Iterator

from datamodules.readers.official import Official
from datamodules.readers.reader import CocoImages, Reader, coco_photo
from datamodules.readers.records import Record
from vista.data import Annotation, Size

IMAGES = ("refer/images/mscoco/images/train2014",)
REF = {
    "ref_id": int, "ann_id": int, "image_id": int, "category_id": int, "split": str,
    "sentences": [{"sent_id": int, "sent": str}],
}  # fmt: skip


class RefCOCOReader(Reader):
    """One annotation per expression, with the one box and segmentation of its object.

    `extra`: `ref_id`, `ann_id`, `category_id` (COCO's). The id is `<ref_id>_<sent_id>`.
    """

    name = "refcoco"
    fields = frozenset({"expression", "boxes", "segmentations", "sizes"})
    splits: tuple[str, ...] = ("train", "val", "testA", "testB")
    source = "https://github.com/lichengunc/refer"
    folder = "refcoco"
    refs = "refs(unc).p"

    def _annotations(self) -> Iterator[Annotation]:
        refs = Official(self, self.file(f"refer/{self.folder}/{self.refs}"))
        instances = Official(self, self.file(f"refer/{self.folder}/instances.json"))
        sizes, objects = instances.image_sizes(), instances.objects()
        # Images of val and test are COCO's training images, too.
        images = CocoImages(self, "train2014", IMAGES)
        for ref in refs.records("", REF):
            if ref["split"] == self.split:
                record, size = objects.get(ref["ann_id"]), sizes.get(ref["image_id"])
                yield from self._expressions(ref, record, size, images, instances)

    def _expressions(
        self,
        ref: Record,
        record: Record | None,
        size: Size | None,
        images: CocoImages,
        instances: Official,
    ) -> Iterator[Annotation]:
        if record is None or size is None:
            why = f"object {ref['ann_id']} of image {ref['image_id']} is not in instances.json"
            self.leave_out(ref["ref_id"], why)
            return
        box = instances.box(record, size)
        if box is None:
            return
        for sentence in ref["sentences"]:
            name, expression = f"{ref['ref_id']}_{sentence['sent_id']}", sentence["sent"].strip()
            if not expression:
                self.leave_out(name, "the expression is empty")
                continue
            yield Annotation(
                id=name,
                images=(images.path(ref["image_id"]),),
                sizes=(size,),
                expression=expression,
                boxes=(box,),
                segmentations=(record["segmentation"],),
                extra={key: ref[key] for key in ("ref_id", "ann_id", "category_id")},
                photos=((coco_photo(ref["image_id"]),),),
            )


class RefCOCOPlusReader(RefCOCOReader):
    """RefCOCO+, whose expressions use no words of place."""

    name = "refcocop"
    folder = "refcoco+"


class RefCOCOgReader(RefCOCOReader):
    """RefCOCOg, with longer expressions, in the split of the University of Maryland."""

    name = "refcocog"
    splits = ("train", "val", "test")
    folder = "refcocog"
    refs = "refs(umd).p"
