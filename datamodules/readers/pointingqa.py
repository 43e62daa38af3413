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

from datamodules.readers.reader import Reader, Record, clip_xywh
from datamodules.readers.visual_genome import GenomeImage, genome_images
from vista.data import Annotation

# granularity -> the key of its question
QUESTIONS = {"any": "general_question", "superclass": "super_question", "object": "obj_question"}


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

    def _annotations(self) -> Iterator[Annotation]:
        places = (f"pointingqa/{self.folder}/{self.stem}", f"pointingqa/{self.stem}")
        data = self.json(*(f"{place}_dataset.json" for place in places))
        kept = self.json(*(f"{place}_{self.split}_imgs.json" for place in places))
        images = genome_images(self)
        for image_id in map(str, kept):
            for number, record in enumerate(data.get(image_id, ())):
                if int(image_id) not in images:
                    self.leave_out(f"{image_id}_{number}", "the image is not in image_data.json")
                    continue
                keys = {key.lower(): value for key, value in record.items()}
                yield from self._questions(f"{image_id}_{number}", keys, images[int(image_id)])

    def _questions(self, name: str, record: Record, image: GenomeImage) -> Iterator[Annotation]:
        extra = {key: record.get(key, "") for key in ("obj_type", "supercategory")}
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
        height, width = image.size
        if not question.strip() or not str(answer).strip():
            self.leave_out(name, "the question or the answer is empty")
        elif box is None or not (0 <= point["x"] <= width and 0 <= point["y"] <= height):
            self.leave_out(name, "its box or point lies outside the image")
        else:
            where = {
                "point": [point["x"], point["y"]],
                "image_id": int(name.split("_")[0]),
                **image.numbers,
            }
            yield Annotation(
                id=name,
                images=(image.path,),
                sizes=(image.size,),
                question=question,
                answers=(str(answer),),
                boxes=(box,),
                label=str(answer),
                extra=extra | where,
            )


class LocalQAReader(LookTwiceReader):
    """One annotation per object that a question has an answer for ("What color is the shirt?", several shirts).

    `extra` as in LookTwiceQA; `granularity` is always "any", since nothing but the point or box tells the object.
    The id is `<image>_<number>_<object>`.
    """

    name = "localqa"
    splits = ("train", "val", "testdev", "testfinal")
    folder, stem = "LocalQA", "localqa"

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
