"""Visual7W: "which" questions answered by one of four boxes, and what, where, when, who, why, how by one of four texts.

https://ai.stanford.edu/~yukez/visual7w
Zhu et al., Visual7W: Grounded Question Answering in Images, CVPR 2016.

    visual7w/dataset_v7w_pointing.json, dataset_v7w_telling.json    (also visual7w-pointing/dataset.json, ...)
    visual7w/images/v7w_2359296.jpg                                 the number is Visual Genome's

    {"images": [{"image_id": 2359296, "filename": "v7w_2359296.jpg", "split": "train", "qa_pairs": [...]}],
     "boxes": [{"box_id": 1, "name": "hat", "x": 10, "y": -2, "width": 50, "height": 40, "image_id": 2359296}]}
    pointing    {"qa_id": 5, "question": "Which hat is red?", "answer": 1, "multiple_choices": [4, 7, 9],
                 "type": "which"}                                   box ids, the wrong ones in multiple_choices
    telling     {"qa_id": 6, "question": "Who is here?", "answer": "A man.", "type": "who",
                 "multiple_choices": ["A cat.", "A dog.", "No one."]}
"""

from collections.abc import Iterator
from typing import TypeAlias

from datamodules.readers.files import inside
from datamodules.readers.official import Official
from datamodules.readers.reader import Reader
from datamodules.readers.records import Record, misfit, name_of
from datamodules.readers.visual_genome import FOLDERS, GenomeImage, genome_images, genome_photo
from vista.data import Annotation, Box
from vista.geometry import clip_xywh

Boxes: TypeAlias = dict[int, tuple[int, Record]]  # by id: number in the file's list, and the box
IMAGE = {"image_id": int, "filename": str, "split": str, "qa_pairs": [object]}
PAIR = {"qa_id": int, "question": str, "type": str}
PAIRS = {
    "pointing": PAIR | {"answer": int, "multiple_choices": [int]},
    "telling": PAIR | {"answer": str, "multiple_choices": [str]},
}
BOX = {"box_id": int, "x": object, "y": object, "width": object, "height": object}
NO_LIMIT = (1 << 30, 1 << 30)  # the size of an image that is not known


class Visual7WReader(Reader):
    """Pointing: `boxes` are the four candidates, in the order of the file's list of boxes; `label` is an index.

    `extra`: `candidates` (box ids), `type`, `image_id`, `coco_id`. The last and the sizes are known only where Visual
    Genome's image_data.json is below the root; without it boxes are clipped at the left and the top alone.
    """

    name = "visual7w"
    fields = frozenset({"question", "boxes", "label"})
    splits = ("train", "val", "test")
    source = "https://ai.stanford.edu/~yukez/visual7w"
    kind = "pointing"

    def _annotations(self) -> Iterator[Annotation]:
        places = (
            f"visual7w/dataset_v7w_{self.kind}.json",
            f"visual7w/visual7w-{self.kind}/dataset.json",
        )
        file = Official(self, self.file(*places))
        listed = file.records("boxes", BOX) if self.kind == "pointing" else ()
        boxes = {box["box_id"]: (number, box) for number, box in enumerate(listed)}
        tables = [self.watch(self.root / folder / "image_data.json") for folder in FOLDERS]
        images = genome_images(self) if any(table.exists() for table in tables) else {}
        for image in file.records("images", IMAGE):
            if image["split"] != self.split:
                continue
            genome = images.get(image["image_id"])
            for pair in image["qa_pairs"]:
                why = misfit(pair, PAIRS[self.kind]) or self._problem(pair, boxes)
                if why:
                    self.leave_out(name_of(pair, 0), why)
                    continue
                yield from self._annotation(pair, image, genome, boxes)

    def _problem(self, pair: Record, boxes: Boxes) -> str:
        options = {pair["answer"], *pair["multiple_choices"]}
        if not pair["question"].strip():
            return "the question is empty"
        if len(options) != 4:
            return "it does not have four different options"
        if self.kind == "pointing" and not all(option in boxes for option in options):
            return "an option is not in the list of boxes"
        return ""

    def _annotation(
        self,
        pair: Record,
        image: Record,
        genome: GenomeImage | None,
        boxes: Boxes,
    ) -> Iterator[Annotation]:
        # The right answer stands apart from the wrong ones in the file: an order of its own would give it away.
        options = [pair["answer"], *pair["multiple_choices"]]
        options.sort(key=lambda option: boxes[option][0])
        size = genome.size if genome else NO_LIMIT
        clipped = [clip_xywh(xywh(boxes[option][1]), size) for option in options]
        if None in clipped:
            self.leave_out(pair["qa_id"], "a candidate has no area inside the image")
            return
        yield self._fill(pair, image, genome, options, tuple(box for box in clipped if box))

    def _fill(
        self,
        pair: Record,
        image: Record,
        genome: GenomeImage | None,
        options: list,
        boxes: tuple[Box, ...] = (),
    ) -> Annotation:
        number = image["image_id"]
        return Annotation(
            id=str(pair["qa_id"]),
            images=(inside(f"visual7w/images/{image['filename']}"),),
            sizes=(genome.size,) if genome else (),
            question=pair["question"],
            boxes=boxes,
            label=str(options.index(pair["answer"])),
            extra={
                "candidates": options,
                "type": pair["type"],
                "image_id": number,
                **(genome.numbers if genome else {"coco_id": None}),
            },
            photos=(genome.photo(number) if genome else (genome_photo(number),),),
        )


def xywh(record: Record) -> list[float]:
    """The box of a record of Visual7W or Visual Genome: left, top, width and height in pixels."""
    return [record[key] for key in ("x", "y", "width", "height")]


class Visual7WTellingReader(Visual7WReader):
    """Telling: `extra["candidates"]` are the four texts in alphabetical order; `label` is an index."""

    name = "visual7w_telling"
    fields = frozenset({"question", "label"})
    kind = "telling"

    def _annotation(
        self,
        pair: Record,
        image: Record,
        genome: GenomeImage | None,
        boxes: Boxes,
    ) -> Iterator[Annotation]:
        yield self._fill(pair, image, genome, sorted([pair["answer"], *pair["multiple_choices"]]))
