"""PointingQA: a question about the one object that is pointed at, by a point or a box.

https://github.com/princetonvisualai/pointingqa
Mani et al., Point and Ask: Incorporating Pointing into Visual Question Answering, 2020.

    pointingqa/LookTwiceQA/looktwiceqa_dataset.json, looktwiceqa_train_imgs.json, ..._val_..., ..._test_...
    pointingqa/LocalQA/localqa_dataset.json, localqa_train_imgs.json, ..._val_..., ..._testdev_..., ..._testfinal_...
    visual_genome/image_data.json, visual_genome/VG_100K/2406646.jpg        (see visual_genome.py)

    LookTwiceQA {"2406646": [{"id": 2406646, "obj_question": "How many of these umbrellas are there?",
                 "super_question": "How many of these accessories are there?",
                 "general_question": "How many of these are there?", "ans": "3", "point": {"x": 307, "y": 165},
                 "bbox": {"names": ["umbrella"], "x": 250, "y": 100, "w": 114, "h": 130}, "obj_type": "umbrellas",
                 "supercategory": "accessories"}]}
    LocalQA     {"2406646": [{"id": 2406646, "question": "What color is the umbrella?", "all_ans": ["blue", "red"],
                 "all_objs": [{"names": ["umbrella"], "x": 250, "y": 100, "w": 114, "h": 130}, ...],
                 "points": [{"x": 307, "y": 165, "ans": "blue"}, ...]}]}
    ..._imgs    ["2406646", ...]        the images of a split

Keys are also written with a capital (`Obj_question`, `BBox`). `points` and `all_objs` go together; `all_ans` is a set.
"""

from collections.abc import Iterator

from datamodules.readers.official import Official
from datamodules.readers.reader import Reader
from datamodules.readers.records import Form, Record, known_format, misfit, misplaced
from datamodules.readers.visual_genome import GenomeImage, genome_images
from vista.data import Annotation, Size
from vista.geometry import clip_xywh
from vista.unsound import is_number

BOX = {"x": object, "y": object, "w": object, "h": object, "names": (type(None), [str])}
POINT = {"x": object, "y": object}
# granularity -> the key of its question
QUESTIONS = {"any": "general_question", "superclass": "super_question", "object": "obj_question"}

TWICE: Form = dict.fromkeys(QUESTIONS.values(), str) | {
    "ans": str | int, "point": POINT, "bbox": BOX, "obj_type": str | None, "supercategory": str | None,
}  # fmt: skip
LOCAL: Form = {"question": str, "all_objs": [BOX], "points": [POINT | {"ans": str | int}]}


class LookTwiceReader(Reader):
    """One annotation per object and granularity of the question; `label` and `answers` hold the count.

    `boxes`: the object. `extra`: `granularity` ("any", "superclass" or "object"), `point` ([x, y], pixels),
    `obj_type`, `supercategory`, `image_id`, `coco_id`, `flickr_id`. The id is `<image>_<number>_<granularity>`.
    """

    name = "looktwice"
    fields = frozenset({"question", "answers", "label", "boxes", "sizes"})
    splits: tuple[str, ...] = ("train", "val", "test")
    source = "https://github.com/princetonvisualai/pointingqa"
    folder, stem = "LookTwiceQA", "looktwiceqa"
    form: Form = TWICE

    def _annotations(self) -> Iterator[Annotation]:
        places = (f"pointingqa/{self.folder}/{self.stem}", f"pointingqa/{self.stem}")
        file = Official(self, self.file(*(f"{place}_dataset.json" for place in places)))
        split = Official(self, self.file(*(f"{place}_{self.split}_imgs.json" for place in places)))
        kept, data, images = split.content, file.table(), genome_images(self)
        if misfit(kept, [str | int]):
            why = "it is no list of images"
            raise misplaced(self, split.path, why, known_format(kept))
        self._check_first(file)
        for image_id in map(str, kept):
            records = data.get(image_id, [])
            if not isinstance(records, list):
                self.leave_out(image_id, f"{file.path.name} has no list of questions about it")
                continue
            for number, record in enumerate(records):
                name = f"{image_id}_{number}"
                keys = lower(record)
                why = misfit(keys, self.form)
                if why:
                    self.leave_out(name, f"its record in {file.path.name} {why}")
                elif not image_id.isdecimal() or int(image_id) not in images:
                    self.leave_out(name, "the image is not in image_data.json")
                else:
                    yield from self._questions(name, keys, images[int(image_id)])

    def _check_first(self, file: Official) -> None:
        """Refuse another file: one in which no record has the form.

        Raises:
            InputError: it is another file.
        """
        first = ""
        for records in file.table().values():
            for record in records if isinstance(records, list) else [records]:
                why = misfit(lower(record), self.form)
                if not why:
                    return
                first = first or why
        if first:
            why = f"its first record {first}"
            raise misplaced(self, file.path, why, known_format(file.content))

    def _questions(self, name: str, record: Record, image: GenomeImage) -> Iterator[Annotation]:
        extra = {key: record.get(key) or "" for key in ("obj_type", "supercategory")}
        for granularity, key in QUESTIONS.items():
            yield from self._annotation(
                f"{name}_{granularity}",
                image,
                record[key],
                record["ans"],
                (record["bbox"], record["point"]),
                extra | {"granularity": granularity},
            )

    def _annotation(
        self,
        name: str,
        image: GenomeImage,
        question: str,
        answer: object,
        region: tuple[Record, Record],
        extra: Record,
    ) -> Iterator[Annotation]:
        """The annotation, or none and a note. The region is a Visual Genome object and a point in it."""
        thing, point = region
        box = clip_xywh([thing[key] for key in ("x", "y", "w", "h")], image.size)
        if not question.strip() or not str(answer).strip():
            self.leave_out(name, "the question or the answer is empty")
        elif box is None or not lies_in(point, image.size):
            self.leave_out(name, "its box or point lies outside the image")
        else:
            image_id = int(name.split("_")[0])
            where = {"point": [point["x"], point["y"]], "image_id": image_id, **image.numbers}
            yield Annotation(
                id=name,
                images=(image.path,),
                sizes=(image.size,),
                question=question,
                answers=(str(answer),),
                boxes=(box,),
                label=str(answer),
                extra=extra | where,
                photos=(image.photo(image_id),),
            )


class LocalQAReader(LookTwiceReader):
    """One annotation per object that a question has an answer for ("What color is the shirt?", several shirts).

    `extra` as in LookTwiceQA; `granularity` is always "any", since nothing but the point or box tells the object.
    The id is `<image>_<number>_<object>`.
    """

    name = "localqa"
    splits = ("train", "val", "testdev", "testfinal")
    folder, stem = "LocalQA", "localqa"
    form: Form = LOCAL

    def _questions(self, name: str, record: Record, image: GenomeImage) -> Iterator[Annotation]:
        things, points = record["all_objs"], record["points"]
        if len(things) != len(points):
            self.leave_out(name, f"it has {len(things)} objects, but {len(points)} points")
            return
        for number, region in enumerate(zip(things, points, strict=True)):
            extra = {
                "granularity": "any",
                "obj_type": (region[0].get("names") or [""])[0],
                "supercategory": "",
            }
            yield from self._annotation(
                f"{name}_{number}", image, record["question"], region[1]["ans"], region, extra
            )


def lies_in(point: Record, size: Size) -> bool:
    """Whether a point, in pixels, is one of an image of (H, W)."""
    sides = ((point["x"], size[1]), (point["y"], size[0]))
    return all(is_number(value) and 0 <= value <= side for value, side in sides)


def lower(record: object) -> Record:
    """A record whose keys are also written with a capital, in small letters; what is no record stays."""
    if not isinstance(record, dict):
        return record  # type: ignore[return-value]  # which is told by its form
    return {key.lower(): value for key, value in record.items()}
