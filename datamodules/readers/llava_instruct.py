r"""LLaVA-Instruct-150K: conversations about COCO images, written by GPT-4; and LLaVA-Bench (COCO) to test on.

https://huggingface.co/datasets/liuhaotian/LLaVA-Instruct-150K (CC BY-NC 4.0)
Liu et al., Visual Instruction Tuning, NeurIPS 2023.

    llava_instruct/llava_instruct_150k.json         also conversation_58k, detail_23k, complex_reasoning_77k
    llava_instruct/coco2014_val_gpt4_qa_30x3.jsonl  the split "bench": one JSON record a line
    coco/train2017/000000033471.jpg

    {"id": "000000033471", "image": "000000033471.jpg", "conversations": [
        {"from": "human", "value": "<image>\nWhat are the colors of the bus in the image?"},
        {"from": "gpt", "value": "The bus in the image is white and red."}, ...]}
    {"id": "000000441147", "image": "COCO_val2014_000000441147.jpg", "instruction": "...", "output": "...",
     "type": "conv"}
"""

from collections.abc import Iterator

from datamodules.readers.coco import coco_photos
from datamodules.readers.files import inside, json_items, json_lines
from datamodules.readers.official import intact
from datamodules.readers.reader import CocoImages, Reader, coco_photo
from datamodules.readers.records import Record
from vista.data import Annotation
from vista.unsound import shown

MARK = "<image>"
CONVERSATION = {
    "id": str | int, "image": str | None, "conversations": [{"from": str, "value": str}],
}  # fmt: skip
QUESTION = {"id": str | int, "instruction": str, "output": str, "type": str}


class LlavaInstructReader(Reader):
    """One annotation per conversation. `question` is the first, without its `<image>`; `answers`: one per turn.

    `extra`: `turns` ([[question, answer], ...], with `<image>` in the first question as in the file), and
    `type` ("conv", "detail" or "complex") in `bench`. The id is the record's and its place in the file, since the same
    image is spoken of several times.
    """

    name = "llava_instruct"
    fields = frozenset({"question", "answers"})
    splits = ("train", "conversation_58k", "detail_23k", "complex_reasoning_77k", "bench")
    source = "https://huggingface.co/datasets/liuhaotian/LLaVA-Instruct-150K"

    def _annotations(self) -> Iterator[Annotation]:
        if self.split == "bench":
            yield from self._bench()
            return
        stem = "llava_instruct_150k" if self.split == "train" else self.split
        file = self.file(f"llava_instruct/{stem}.json")
        records = json_items(file, self.source)
        for number, record in intact(self, records, CONVERSATION, file):
            name = f"{record['id']}_{number}"
            why = conversation_problem(record)
            if why:
                self.leave_out(name, why)
                continue
            values = [turn["value"].strip() for turn in record["conversations"]]
            turns = [list(turn) for turn in zip(values[::2], values[1::2], strict=True)]
            path = inside(f"coco/train2017/{record['image']}")
            yield annotation(name, path, coco_photos(record["image"]), turns)

    def _bench(self) -> Iterator[Annotation]:
        images = CocoImages(self, "val2014")
        path = self.file("llava_instruct/coco2014_val_gpt4_qa_30x3.jsonl")
        for number, record in intact(self, json_lines(path, self.source), QUESTION, path):
            name = f"{record['id']}_{number}"
            if not str(record["id"]).isdecimal():
                self.leave_out(name, f"{shown(record['id'])} is no image of COCO")
                continue
            turns = [[f"{MARK}\n{record['instruction'].strip()}", record["output"].strip()]]
            image, photo = images.path(int(record["id"])), (coco_photo(record["id"]),)
            yield annotation(name, image, photo, turns, type=record["type"])


def annotation(
    name: str, path: str, photo: tuple[str, ...], turns: list[list[str]], **extra: str
) -> Annotation:
    """One conversation as an annotation."""
    return Annotation(
        id=name,
        images=(path,),
        question=turns[0][0].replace(MARK, "").strip(),
        answers=tuple(answer for _, answer in turns),
        extra={"turns": turns, **extra},
        photos=(photo,),
    )


def conversation_problem(record: Record) -> str:
    """Why a conversation cannot be used, or an empty string."""
    turns = record["conversations"]
    if not record.get("image"):
        return "it has no image"
    if not turns or [turn["from"] for turn in turns] != ["human", "gpt"] * (len(turns) // 2):
        return "human and gpt do not take turns"
    marks = [turn["value"].count(MARK) for turn in turns]
    if marks[0] != 1 or sum(marks) != 1:
        return f"{MARK} does not stand once, in the first question"
    if not all(turn["value"].replace(MARK, "").strip() for turn in turns):
        return "a turn is empty"
    return ""
