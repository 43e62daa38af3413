"""GroundingME: long descriptions, each of one object of a picture or of none (REC with refusal).

https://github.com/lirang04/GroundingME, https://huggingface.co/datasets/lirang04/GroundingME (research only)
Li et al., GroundingME: Exposing the Visual Grounding Gap in MLLMs through Multi-Dimensional Evaluation, 2025.

    groundingme/data/test-00000-of-00004.parquet, ...       the images are in them, see vista/in_parquet.py

    row         {"id": 0, "description": "the person who ...", "image": {"bytes": ...}, "bbox": [x1, y1, x2, y2],
                 "subtask_l1": "Rejection", "subtask_l2": "...", "width": 1500, "height": 2250, ...}

`bbox` is in pixels. A description of `Rejection` fits nothing, whatever its `bbox` is. The benchmark counts an IoU of
exactly one half as right, our REC does not, as RefCOCO's.
"""

from collections.abc import Iterator

from datamodules.readers.official import intact
from datamodules.readers.parquet import parquet_records
from datamodules.readers.reader import Reader
from vista.data import Annotation
from vista.errors import MissingFileError
from vista.geometry import clip_box
from vista.unsound import all_finite, shown, size_problem

FOLDER = "groundingme/data"
REJECTION = "Rejection"
ROW = {
    "id": int | str, "description": str, "bbox": [int | float], "width": int, "height": int, "subtask_l1": str,
}  # fmt: skip


class GroundingMEReader(Reader):
    """One annotation per description, with its one box or none; `extra["may_be_none"]`: none is an answer."""

    name = "groundingme"
    fields = frozenset({"expression", "boxes", "sizes"})
    splits = ("test",)
    source = "https://huggingface.co/datasets/lirang04/GroundingME"

    def _annotations(self) -> Iterator[Annotation]:
        folder = self.watch(self.root / FOLDER)
        files = sorted(folder.glob("test-*.parquet"))
        if not files:
            where = folder / "test-*.parquet"
            raise MissingFileError(
                f"{self.name} ({self.split}) needs {where}, which is not there: see {self.source}"
            )
        for path in map(self.watch, files):
            rows = parquet_records(path, list(ROW), self.source)
            for number, row in intact(self, rows, ROW, path, "row"):
                size = (row["height"], row["width"])
                box = None
                why = size_problem(size) or ("" if row["description"].strip() else "it is empty")
                if not why and row["subtask_l1"] != REJECTION:
                    given = row["bbox"]
                    sound = len(given) == 4 and all_finite(given)
                    box = clip_box(tuple(given), size) if sound else None
                    why = "" if box else f"its box {shown(given)} has no area inside"
                if why:
                    self.leave_out(row["id"], f"{why}, in {path.name}")
                    continue
                yield Annotation(
                    id=str(row["id"]),
                    images=(f"{FOLDER}/{path.name}/{number}",),
                    sizes=(size,),
                    expression=row["description"].strip(),
                    boxes=(box,) if box else (),
                    extra={"may_be_none": True, "subtask": row["subtask_l1"]},
                    photos=((f"groundingme {row['id']}",),),
                )
