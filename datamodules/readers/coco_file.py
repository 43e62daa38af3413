"""Your own COCO file: the objects of each image, their categories being the expressions.

https://cocodataset.org/#format-data

    train.json, val.json, test.json         or one file and shares, see own.py
    photos/0001.jpg                         `file_name` below the data root, or below own.images

    {"images": [{"id": 1, "file_name": "0001.jpg", "height": 480, "width": 640}],
     "annotations": [{"id": 7, "image_id": 1, "category_id": 3, "bbox": [x, y, w, h], "segmentation": [[...]]}],
     "categories": [{"id": 3, "name": "red circle"}]}

`segmentation` is needed by tasks with masks only.
"""

from collections import defaultdict
from collections.abc import Iterator

from datamodules.readers.coco import NAMED
from datamodules.readers.official import Official
from datamodules.readers.own import CROWD, Named, OwnReader
from datamodules.readers.records import Record
from vista.data import Box, InputError, Size
from vista.geometry import clip_xywh
from vista.unsound import shown

OBJECT = {
    "id": int, "image_id": int, "category_id": int, "bbox": object, "iscrowd": int | bool | None,
}  # fmt: skip


class CocoFileReader(OwnReader):
    """An expression is a category's name; it holds for all objects of the category in an image, and not for a crowd."""

    name = "coco_file"
    source = "https://cocodataset.org/#format-data"
    takes = frozenset({"images"})
    endings = (".json",)

    def _named(self) -> Iterator[Named]:
        places = self.places()
        if len(places) > 1:
            raise InputError(
                f"own.files names {len(places)} files, and a split of {self.name} is one"
            )
        file = Official(self, places[0])
        categories = file.records("categories", {"id": int, "name": str})
        names = {each["id"]: each["name"].strip() for each in categories}
        objects: dict[int, dict[int, list[Record]]] = defaultdict(lambda: defaultdict(list))
        form = OBJECT | ({"segmentation": object} if self.asked.masks else {})
        for record in file.records("annotations", form):
            if names.get(record["category_id"]):
                objects[record["image_id"]][record["category_id"]].append(record)
            else:
                why = f"{file.path.name} has no category {record['category_id']} with a name"
                self.leave_out(record["id"], why)
        for image in file.records("images", NAMED):
            size = file.size(image, image["id"])
            if size is None:
                continue
            path = self.images.path(image["file_name"])
            for category, records in sorted(objects[image["id"]].items()):
                key = f"{image['id']}_{category}"
                boxes = self._boxes(file, key, records, size)
                if boxes:
                    masks = [each["segmentation"] for each in records if self.asked.masks]
                    yield Named(key, path, size, names[category], boxes, masks)

    def _boxes(self, file: Official, key: str, records: list[Record], size: Size) -> list[Box]:
        """The boxes of all objects of a category in an image; none where one of them cannot be used."""
        if any(record.get("iscrowd") for record in records):
            self.leave_out(key, CROWD)
            return []
        boxes = []
        for record in records:
            box = file.box(record, size) if self.asked.masks else clip_xywh(record["bbox"], size)
            if box is None:
                # With a part of its objects the expression would say something else.
                why = (
                    f"its object {record['id']} with the box {shown(record['bbox'])} cannot be used"
                )
                self.leave_out(key, why)
                return []
            boxes.append(box)
        return boxes
