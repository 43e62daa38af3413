"""gRefCOCO: an expression that refers to any number of objects of a COCO image, none included (GREC and GRES).

https://github.com/henghuiding/gRefCOCO
Liu et al., GRES: Generalized Referring Expression Segmentation, CVPR 2023.

    grefcoco/grefs(unc).json (or .p), grefcoco/instances.json       (also below refer/grefcoco/)
    images as RefCOCO's: COCO train2014

    ref         {"ref_id": 27, "ann_id": [-1], "image_id": 154, "category_id": [-1], "split": "testB",
                 "no_target": true, "file_name": "COCO_train2014_000000000154.jpg", "sent_ids": [85],
                 "sentences": [{"sent_id": 85, "raw": "the giraffe in the middle facing right", "sent": ...}]}

With targets, `ann_id` lists them, e.g. [594223, 594319]; a bare int occurs too.
"""

from collections.abc import Iterator

from datamodules.readers.official import Official
from datamodules.readers.reader import CocoImages, Reader, coco_photo
from datamodules.readers.records import Record
from datamodules.readers.refer import IMAGES
from vista.data import Annotation, Box, Size

FOLDERS = ("grefcoco", "refer/grefcoco")
REFS = [f"{folder}/grefs(unc).json" for folder in FOLDERS]
REFS += [f"{folder}/grefs(unc).p" for folder in FOLDERS]
REF = {
    "ref_id": int, "ann_id": (int, [int]), "image_id": int, "split": str, "no_target": bool | int | None,
    "sentences": [{"sent_id": int, "raw": str | None, "sent": str | None}],
}  # fmt: skip


class GRefCOCOReader(Reader):
    """One annotation per expression, with the boxes and segmentations of all its targets; none: both are empty.

    As in the official loaders, a crowd is no target, and the expression is the text as typed (`raw`).
    `extra`: `ref_id`, `ann_ids` (of the boxes, in order), `no_target` (bool). The id is `<ref_id>_<sent_id>`.
    """

    name = "grefcoco"
    fields = frozenset({"expression", "boxes", "segmentations", "sizes"})
    splits = ("train", "val", "testA", "testB")
    source = "https://github.com/henghuiding/gRefCOCO"

    def _annotations(self) -> Iterator[Annotation]:
        refs = Official(self, self.file(*REFS))
        places = (f"{folder}/instances.json" for folder in FOLDERS)
        instances = Official(self, self.file(*places))
        sizes, objects = instances.image_sizes(), instances.objects()
        images = CocoImages(self, "train2014", IMAGES)
        for ref in refs.records("", REF):
            if ref["split"] != self.split:
                continue
            if ref["image_id"] not in sizes:
                self.leave_out(ref["ref_id"], f"image {ref['image_id']} is not in instances.json")
                continue
            targets = self._targets(ref, objects, sizes[ref["image_id"]], instances)
            if targets is not None:
                yield from self._expressions(ref, targets, sizes[ref["image_id"]], images)

    def _targets(
        self, ref: Record, objects: dict[int, Record], size: Size, instances: Official
    ) -> list[tuple[Box, Record]] | None:
        """(box, instance) of each target; None where the ref cannot be used."""
        ids = ref["ann_id"] if isinstance(ref["ann_id"], list) else [ref["ann_id"]]
        ids = [ann_id for ann_id in ids if ann_id != -1]
        if ref.get("no_target") is not None and bool(ref["no_target"]) != (not ids):
            why = f"no_target is {ref['no_target']}, but its objects are {ids}"
            self.leave_out(ref["ref_id"], why)
            return None
        missing = [ann_id for ann_id in ids if ann_id not in objects]
        if missing:
            self.leave_out(ref["ref_id"], f"objects {missing} are not in instances.json")
            return None
        records = [objects[ann_id] for ann_id in ids if not objects[ann_id].get("iscrowd", 0)]
        found = [(box, record) for record in records if (box := instances.box(record, size))]
        # An expression with a part of its objects, or none, would say something else.
        if len(found) < len(records) or (ids and not found):
            self.leave_out(ref["ref_id"], f"not all of its objects {ids} can be used")
            return None
        return found

    def _expressions(
        self, ref: Record, targets: list[tuple[Box, Record]], size: Size, images: CocoImages
    ) -> Iterator[Annotation]:
        for sentence in ref["sentences"]:
            expression = (sentence.get("raw") or sentence.get("sent") or "").strip()
            annotation_id = f"{ref['ref_id']}_{sentence['sent_id']}"
            if not expression:
                self.leave_out(annotation_id, "the expression is empty")
                continue
            yield Annotation(
                id=annotation_id,
                images=(images.path(ref["image_id"]),),
                sizes=(size,),
                expression=expression,
                boxes=tuple(box for box, _ in targets),
                segmentations=tuple(record["segmentation"] for _, record in targets),
                extra={
                    "ref_id": ref["ref_id"],
                    "ann_ids": [record["id"] for _, record in targets],
                    "no_target": not targets,
                },
                photos=((coco_photo(ref["image_id"]),),),
            )
