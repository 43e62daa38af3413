"""Ref-L4: long expressions, each of one object of a picture of COCO or Objects365 (REC).

https://github.com/JierunChen/Ref-L4, https://huggingface.co/datasets/JierunChen/Ref-L4 (CC BY-NC 4.0)
Chen et al., Revisiting Referring Expression Comprehension Evaluation in the Era of Large Multimodal Models, 2024.

    ref_l4/ref-l4-val.parquet, ref_l4/ref-l4-test.parquet
    ref_l4/images/objects365_v2_00922765.jpg        unpacked from images.tar.gz, by their `file_name`

    row         {"id": 1, "caption": "the old camera in ...", "bbox": [580.6, 179.5, 93.6, 112.1], "height": 741,
                 "width": 1024, "file_name": "objects365_v2_00922765.jpg", "split": "val", ...}

`bbox` is x, y, width, height. The benchmark's own tables are of val and test together.
"""

import re
from collections.abc import Iterator

from datamodules.readers.files import inside
from datamodules.readers.official import intact
from datamodules.readers.parquet import parquet_records
from datamodules.readers.reader import Reader, coco_photo
from vista.data import Annotation
from vista.geometry import clip_xywh
from vista.unsound import shown, size_problem

ROW = {
    "id": int | str, "caption": str, "bbox": [int | float], "height": int, "width": int, "file_name": str,
}  # fmt: skip
OF_COCO = re.compile(r"COCO_\w+_([0-9]{12})\.jpg")


class RefL4Reader(Reader):
    """One annotation per expression, with its one box. The id is the row's."""

    name = "ref_l4"
    fields = frozenset({"expression", "boxes", "sizes"})
    splits = ("val", "test")
    source = "https://github.com/JierunChen/Ref-L4"

    def _annotations(self) -> Iterator[Annotation]:
        path = self.file(f"ref_l4/ref-l4-{self.split}.parquet")
        rows = parquet_records(path, list(ROW), self.source)
        for _, row in intact(self, rows, ROW, path, "row"):
            size = (row["height"], row["width"])
            if problem := size_problem(size):
                self.leave_out(row["id"], f"{problem}, in {path.name}")
                continue
            box = clip_xywh(row["bbox"], size)
            if box is None:
                self.leave_out(row["id"], f"its box {shown(row['bbox'])} has no area inside")
                continue
            if not row["caption"].strip():
                self.leave_out(row["id"], "the expression is empty")
                continue
            of_coco = OF_COCO.fullmatch(row["file_name"])
            photo = coco_photo(of_coco[1]) if of_coco else f"objects365 {row['file_name']}"
            yield Annotation(
                id=str(row["id"]),
                images=(inside(f"ref_l4/images/{row['file_name']}"),),
                sizes=(size,),
                expression=row["caption"].strip(),
                boxes=(box,),
                photos=((photo,),),
            )
