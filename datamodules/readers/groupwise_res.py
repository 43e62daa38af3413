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

from pycocotools import mask as coco_mask

from datamodules.readers.files import inside
from datamodules.readers.plain_pickle import load_plain_pickle
from datamodules.readers.reader import Reader, Record, segmentation_problem
from vista.data import Annotation, Segmentation, Size


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
        tables = ("images", "annotations", "sentences", "groups")
        images, records, sentences, groups = (
            load_plain_pickle(self.file(f"{folder}/{t}.pkl")) for t in tables
        )
        for group in groups.values():
            for sent_id in group["inner_sent_id"]:
                sentence = sentences[sent_id]
                name, expression = f"{sent_id}_{group['id']}", sentence["raw_sent"].strip()
                if not expression:
                    self.leave_out(name, "the expression is empty")
                    continue
                members = [images[image_id] for image_id in group["img_id"]]
                masks = self._masks([records[ann_id] for ann_id in sentence["anno_id"]], images)
                segmentations: list[Segmentation] = [
                    masks.get(image["id"], []) for image in members
                ]
                yield Annotation(
                    id=name,
                    images=tuple(
                        inside(f"groupwise_res/images/{image['file_name']}") for image in members
                    ),
                    sizes=tuple((image["height"], image["width"]) for image in members),
                    expression=expression,
                    segmentations=tuple(segmentations),
                    extra={
                        "group_id": group["id"],
                        "sent_id": sent_id,
                        "group_name": group.get("group_name", ""),
                        "present": [bool(segmentation) for segmentation in segmentations],
                    },
                )

    def _masks(self, records: list[Record], images: dict[int, Record]) -> dict[int, Record]:
        """The union of a sentence's masks in each image that has any, by image id."""
        parts: dict[int, list[Record]] = {}
        for record in records:
            image = images[record["image_id"]]
            size = (image["height"], image["width"])
            found = record["segmentation"]
            rles = found if isinstance(found, list) else [found]
            problems = [segmentation_problem(rle, size) for rle in rles] or ["no mask"]
            why = next(filter(None, problems), "")
            if why:
                self.leave_out(record["id"], why)
                continue
            parts.setdefault(image["id"], []).extend(compressed(rle, size) for rle in rles)
        return {image_id: as_text(coco_mask.merge(rles)) for image_id, rles in parts.items()}


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
        )


def compressed(rle: Record, size: Size) -> Record:
    """An RLE, compressed or not, as a compressed one."""
    return coco_mask.frPyObjects(rle, *size) if isinstance(rle["counts"], list) else rle


def as_text(rle: Record) -> Record:
    """An RLE whose counts are text, as JSON needs it."""
    return {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}
