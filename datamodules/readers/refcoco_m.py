"""RefCOCO-M: RefCOCO's val with masks drawn anew along the objects' edges, and without its faulty expressions.

https://huggingface.co/datasets/moondream/refcoco-m (MIT)
Reid, Moondream Segmentation: From Words to Masks, 2026.

    refcoco_m/data/validation-00000-of-00002.parquet, ...
    images as RefCOCO's: COCO train2014; the copies in the files are not read

    row         {"image_id": 581857, "file_name": ..., "samples": [
                    {"id": 1719310, "sentences": ["navy blue shirt", ...], "bbox": [x, y, w, h],
                     "mask": {"counts": "...", "size": [H, W]}, "category": "person", ...}, ...]}

Every expression is a question of its own: the benchmark's mIoU is a mean over them.
"""

from collections.abc import Iterator

from datamodules.readers.official import intact
from datamodules.readers.parquet import parquet_records
from datamodules.readers.reader import CocoImages, Reader, coco_photo
from datamodules.readers.records import Record
from datamodules.readers.refer import IMAGES
from vista.data import Annotation
from vista.errors import MissingFileError
from vista.geometry import clip_xywh, mask_problem
from vista.unsound import shown, size_problem

FOLDER = "refcoco_m/data"
ROW = {
    "image_id": int,
    "samples": [
        {"id": int, "sentences": [str], "bbox": [int | float], "mask": {"counts": str, "size": [int]}}
    ],
}  # fmt: skip


class RefCOCOMReader(Reader):
    """One annotation per expression, with the one box and segmentation of its object; the id is `<sample>_<place>`."""

    name = "refcoco_m"
    fields = frozenset({"expression", "boxes", "segmentations", "sizes"})
    splits = ("val",)
    source = "https://huggingface.co/datasets/moondream/refcoco-m"

    def _annotations(self) -> Iterator[Annotation]:
        folder = self.watch(self.root / FOLDER)
        files = sorted(folder.glob("validation-*.parquet"))
        if not files:
            where = folder / "validation-*.parquet"
            raise MissingFileError(
                f"{self.name} ({self.split}) needs {where}, which is not there: see {self.source}"
            )
        images = CocoImages(self, "train2014", IMAGES)
        for path in map(self.watch, files):
            rows = parquet_records(path, list(ROW), self.source)
            for _, row in intact(self, rows, ROW, path, "row"):
                for sample in row["samples"]:
                    yield from self._expressions(sample, row["image_id"], images)

    def _expressions(
        self, sample: Record, image_id: int, images: CocoImages
    ) -> Iterator[Annotation]:
        size = tuple(sample["mask"]["size"])
        why = size_problem(size)
        box = None if why else clip_xywh(sample["bbox"], size)  # type: ignore[arg-type]
        if not why and box is None:
            why = f"its box {shown(sample['bbox'])} has no area inside"
        why = why or mask_problem(sample["mask"], size)  # type: ignore[arg-type]
        if why or box is None:
            self.leave_out(sample["id"], why)
            return
        for place, sentence in enumerate(sample["sentences"]):
            if not sentence.strip():
                self.leave_out(f"{sample['id']}_{place}", "the expression is empty")
                continue
            yield Annotation(
                id=f"{sample['id']}_{place}",
                images=(images.path(image_id),),
                sizes=(size,),  # type: ignore[arg-type]
                expression=sentence.strip(),
                boxes=(box,),
                segmentations=(sample["mask"],),
                photos=((coco_photo(image_id),),),
            )
