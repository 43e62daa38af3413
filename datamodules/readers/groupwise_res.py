"""Group-wise RES: an expression and a group of images, some of which hold what it describes; and AttCoSeg from it.

https://github.com/yixuan730/group-res (the data is given on request, non-commercial)
Wu et al., Advancing Referring Expression Segmentation Beyond Single Image, ICCV 2023.

The files have the layout of D-cube, built on the same data: https://github.com/shikras/d-cube, doc.md

    groupwise_res/images.pkl, annotations.pkl, sentences.pkl, groups.pkl        pickled {id: record}
    groupwise_res/train/images.pkl, ...                                         the same for one split
    groupwise_res/images/<file_name>

    image       {"id": 1, "file_name": "a/1.jpg", "height": 480, "width": 640, "anno_id": [9], "group_id": 2, ...}
    annotation  {"id": 9, "sent_id": [5], "image_id": 1, "group_id": 2, "segmentation": RLE or list of RLE, ...}
    sentence    {"id": 5, "anno_id": [9], "group_id": [2], "is_negative": False, "raw_sent": "a red umbrella", ...}
    group       {"id": 2, "inner_sent_id": [5], "img_id": [1, 3, 4], "group_name": "rain", ...}
"""

import random
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from datamodules.readers.files import inside
from datamodules.readers.mask_images import union
from datamodules.readers.official import Official
from datamodules.readers.reader import Reader
from datamodules.readers.records import Form, Record, known_format, misfit, misplaced
from vista.data import Annotation, Segmentation
from vista.geometry import mask_problem
from vista.unsound import size_problem

FORMS: dict[str, Form] = {
    "images": {"id": int, "file_name": str, "height": object, "width": object},
    "annotations": {"id": int, "image_id": int, "segmentation": object},
    "sentences": {"anno_id": [int], "raw_sent": str},
    "groups": {"id": int, "inner_sent_id": [int], "img_id": [int], "group_name": str | None},
}


class GroupwiseRESReader(Reader):
    """One annotation per expression and group: all images of the group, one segmentation each ([] where absent).

    `extra`: `group_id`, `sent_id`, `group_name`, `present` (bool per image). The id is `<sentence>_<group>`.
    """

    name = "groupwise_res"
    fields = frozenset({"expression", "segmentations", "sizes"})
    splits = ("all", "train", "val", "test")
    source = "https://github.com/yixuan730/group-res"

    def _annotations(self) -> Iterator[Annotation]:
        folder = "groupwise_res" if self.split == "all" else f"groupwise_res/{self.split}"
        images, records, sentences, groups = (self._table(folder, table) for table in FORMS)
        for group in groups.values():
            for sent_id in group["inner_sent_id"]:
                name, sentence = f"{sent_id}_{group['id']}", sentences.get(sent_id)
                if sentence is None or not records.keys() >= set(sentence["anno_id"]):
                    self.leave_out(name, "its sentence or a mask of it cannot be used")
                elif not sentence["raw_sent"].strip():
                    self.leave_out(name, "the expression is empty")
                else:
                    found = [records[ann_id] for ann_id in sentence["anno_id"]]
                    yield self._annotation(sent_id, sentence["raw_sent"], found, group, images)

    def _table(self, folder: str, table: str) -> dict[int, Record]:
        """The records of a file by id; those that cannot be used are left out.

        Raises:
            InputError: it is another file.
        """
        file, kept = Official(self, self.file(f"{folder}/{table}.pkl")), dict[int, Record]()
        for key, record in file.table().items():
            why = misfit(record, FORMS[table])
            if not why and table == "images":
                why = size_problem((record["height"], record["width"]))
            if why:
                self.leave_out(key, f"its record in {file.path.name} {why}")
            else:
                kept[key] = record
        if file.content and not kept:
            why = "none of its records can be used"
            raise misplaced(self, file.path, why, known_format(file.content))
        return kept

    def _annotation(
        self,
        sent_id: int,
        expression: str,
        records: list[Record],
        group: Record,
        images: dict[int, Record],
    ) -> Annotation:
        """A sentence and a group, without the images of which it is not known whether they show what it describes."""
        masks, unknown = self._masks(records, images)
        kept = [k for k in group["img_id"] if k in images and k not in unknown]
        segmentations: list[Segmentation] = [masks.get(k, []) for k in kept]
        members = [images[k] for k in kept]
        return Annotation(
            id=f"{sent_id}_{group['id']}",
            images=tuple(inside(f"groupwise_res/images/{each['file_name']}") for each in members),
            sizes=tuple((each["height"], each["width"]) for each in members),
            expression=expression.strip(),
            segmentations=tuple(segmentations),
            extra={
                "group_id": group["id"],
                "sent_id": sent_id,
                "group_name": group.get("group_name") or "",
                "present": [bool(segmentation) for segmentation in segmentations],
            },
            photos=tuple((f"groupwise_res {each['file_name']}",) for each in members),
        )

    def _masks(
        self, records: list[Record], images: dict[int, Record]
    ) -> tuple[dict[int, Record], set[int]]:
        """The union of a sentence's masks in each image that has any, by image id; and the images with unsound ones."""
        parts: dict[int, list[Segmentation]] = {}
        unknown: set[int] = set()
        for record in records:
            image_id, found = record["image_id"], record["segmentation"]
            if image_id not in images:
                continue
            size = (images[image_id]["height"], images[image_id]["width"])
            # A list of run lengths is one mask in parts; COCO's list of polygons is one mask already.
            several = isinstance(found, list) and any(isinstance(part, dict) for part in found)
            masks = found if several else [found]
            why = next(filter(None, (mask_problem(mask, size) for mask in masks)), "")
            if why:
                self.leave_out(record["id"], f"{why}, in annotations.pkl")
                unknown.add(image_id)
            else:
                parts.setdefault(image_id, []).extend(masks)
        usable: dict[int, Record] = {}
        for image_id in parts.keys() - unknown:
            size = (images[image_id]["height"], images[image_id]["width"])
            usable[image_id] = union(parts[image_id], size)
        return usable, unknown


class AttCoSegReader(GroupwiseRESReader):
    """AttCoSeg (Sec. 4 of VistaLLM): two images with an object of the same description, among others without one.

    Every pair of images of a group that both hold what an expression describes is one sample, with images of the group
    that do not; which ones and in which order depends on the sample's id alone. The paper's own list is not public.
    `segmentations`: one per image, [] in the others. `extra`: `pair` (numbers of the two images, from 1, ascending)
    and those of group-wise RES. The id is `<sentence>_<group>_<i>_<j>`.

    Args:
        root: the data root.
        split: one of `splits`.
        num_images: images in a sample at most; one at least holds no such object.
    """

    name = "attcoseg"

    def __init__(self, root: Path | str, split: str, num_images: int = 4) -> None:
        super().__init__(root, split)
        self.num_images = num_images

    def _annotations(self) -> Iterator[Annotation]:
        for group in super()._annotations():
            present = group.extra["present"]
            others = [k for k, found in enumerate(present) if not found]
            for pair in combinations([k for k, found in enumerate(present) if found], 2):
                if others:
                    yield self._sample(group, pair, others)

    def _sample(self, group: Annotation, pair: tuple[int, int], others: list[int]) -> Annotation:
        name = f"{group.id}_{pair[0]}_{pair[1]}"
        # By the name alone: the same sample in every run, whatever was read before it.
        rng = random.Random(name)
        drawn = [*pair, *rng.sample(others, min(self.num_images - 2, len(others)))]
        rng.shuffle(drawn)
        return Annotation(
            id=name,
            images=tuple(group.images[k] for k in drawn),
            sizes=tuple(group.sizes[k] for k in drawn),
            expression=group.expression,
            segmentations=tuple(group.segmentations[k] for k in drawn),
            extra=group.extra
            | {
                "present": [k in pair for k in drawn],
                "pair": sorted(drawn.index(k) + 1 for k in pair),
            },
            photos=tuple(group.photos[k] for k in drawn),
        )
