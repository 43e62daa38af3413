r"""Boxes in the conversations that others train on: which expression stands for which boxes of which image.

    ms-swift    {"messages": [{"role": "user", "content": "<image>Find the <ref-object>"},
                              {"role": "assistant", "content": "<bbox>"}], "images": ["1.jpg"],
                 "objects": {"ref": ["red cup"], "bbox": [[10, 20, 50, 60]], "bbox_type": "real", "image_id": [0]}}
    llava       {"id": "1", "image": "1.jpg", "conversations": [
                    {"from": "human", "value": "<image>\nPlease provide the bounding box coordinate of the region this
                     sentence describes: red cup."}, {"from": "gpt", "value": "[0.1, 0.2, 0.5, 0.6]"}]}
    qwen        <ref>red cup</ref><box>(100,200),(500,600)</box>, images as Picture 1: <img>1.jpg</img>; or
                <|object_ref_start|>red cup<|object_ref_end|><|box_start|>(100,200),(500,600)<|box_end|>
    internvl    <ref>red cup</ref><box>[[100, 200, 500, 600], [...]]</box>
    shikra      {"img_path": "1.jpg", "expression": "red cup", "bbox": [10, 20, 50, 60]}; or
                {"image_id": "1", "sentence": "a <ph_st>red cup<ph_ed>", "boxes": [[...]], "boxes_seq": [[0]]}

Turns may be `messages` (role, content) or `conversations` (from, value) in each form that marks boxes in the text. A
box belongs to the expression that is marked last before it, in the answer or else in the question; in an answer that is
nothing but boxes, with nothing marked, to the whole question. Boxes in questions are not asked for.

Sources: https://swift.readthedocs.io (custom datasets, grounding), https://github.com/QwenLM/Qwen-VL (README, data
preparation), https://internvl.readthedocs.io (chat data format), https://github.com/shikras/shikra (rec.py, flickr.py),
https://github.com/haotian-liu/LLaVA (docs/Finetune_Custom_Data.md, issue 606).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from datamodules.readers.box_marks import MARKS, Objects, UnusableError, four, marks
from datamodules.readers.own import NO_BOX
from datamodules.readers.records import Record
from vista.unsound import shown

FORMS = ("ms-swift", "llava", "qwen", "internvl", "shikra")
# What the coordinates of a form are where nothing else is said; llava's are fractions of the image or of a square.
STATED = {"ms-swift": "pixels", "qwen": "norm1000", "internvl": "norm1000", "shikra": "pixels"}
IMAGE = re.compile(r"(?:Picture \d+:\s*)?<img>([^<]*)</img>")
WORDING = "Please provide the bounding box coordinate of the region this sentence describes: {}"
QUESTIONER, ANSWERER = ("user", "human"), ("assistant", "gpt")


@dataclass
class Mention:
    """An expression and its boxes.

    Attributes:
        expression: not empty.
        boxes: four numbers each, in the convention of the file.
        image: which of the record's images it is about.
        stated: the convention that the record states, if it does.
    """

    expression: str
    boxes: list[list[float]]
    image: int = 0
    stated: str = ""


def form_of(record: Record) -> str:
    """The form of a record; nothing where it shows none."""
    if record.keys() >= {"messages", "objects"}:
        return "ms-swift"
    if record.keys() >= {"expression", "bbox"} or record.keys() >= {"sentence", "boxes_seq"}:
        return "shikra"
    try:
        answers = [answer for _, answer in turns_of(record)]
    except UnusableError:
        return ""
    for form in ("qwen", "internvl", "llava"):
        found = MARKS[form].finditer("\n".join(answers))
        if any(match["box"] for match in found):
            return form
    return ""


def turns_of(record: Record) -> list[tuple[str, str]]:
    """The questions and answers of a record, in turns; what a system says is left out.

    Raises:
        UnusableError: there are none.
    """
    found = record.get("messages", record.get("conversations"))
    if not isinstance(found, list):
        raise UnusableError("it has neither messages nor conversations")
    said = []
    for turn in found:
        role, text = speaker(turn)
        if role != "system":
            said.append((role, text))
    roles = [role for role, _ in said]
    asks = all(role in QUESTIONER for role in roles[::2])
    if not said or len(said) % 2 or not asks or any(role not in ANSWERER for role in roles[1::2]):
        raise UnusableError("questions and answers do not take turns")
    texts = [text for _, text in said]
    return list(zip(texts[::2], texts[1::2], strict=True))


def speaker(turn: object) -> tuple[str, str]:
    """Who says what in a turn.

    Raises:
        UnusableError: it is no turn.
    """
    for role, text in (("role", "content"), ("from", "value")):
        if (
            isinstance(turn, dict)
            and isinstance(turn.get(role), str)
            and isinstance(turn.get(text), str)
        ):
            return turn[role], turn[text]
    raise UnusableError(f"it has a turn {shown(turn)}, which is no text with a role")


def images_of(record: Record, form: str) -> list[str]:
    """The images of a record, as they are named there.

    Raises:
        UnusableError: there are none.
    """
    if form == "shikra":
        found = record.get("img_path") or f"{record.get('image_id')}.jpg"
    else:
        found = record.get("images") or record.get("image")
    if found is None:
        found = IMAGE.findall("\n".join(question for question, _ in turns_of(record)))
    images = [found] if isinstance(found, str) else found
    if (
        not isinstance(images, list)
        or not images
        or not all(isinstance(each, str) for each in images)
    ):
        raise UnusableError(f"it has {shown(found)} as its images, which are no names of files")
    return [each.strip() for each in images]


def mentions(record: Record, form: str, prompt: str = "") -> Iterator[Mention]:
    """The expressions of a record with their boxes.

    Args:
        record: of the file.
        form: one of `FORMS`.
        prompt: how questions are worded, `{}` in the place of the expression; empty: as LLaVA words them, or anyhow.

    Raises:
        UnusableError: why there are none.
    """
    if form == "shikra":
        yield from of_shikra(record)
        return
    objects = Objects(record) if form == "ms-swift" else None
    found = False
    for question, answer in turns_of(record):
        asked = [mark.expression for mark in marks(question, form, objects)]
        last = next(filter(None, reversed(asked)), "")
        by_name: dict[tuple[str, int], list[list[float]]] = {}
        for mark in marks(answer, form, objects):
            last = mark.expression or last
            for image, box in mark.boxes:
                name = last or asked_for(question, answer, form, prompt)
                by_name.setdefault((name, image), []).append(box)
        for (name, image), boxes_of_name in by_name.items():
            found = True
            yield Mention(name, boxes_of_name, image, objects.stated if objects else "")
    if not found:
        raise UnusableError(NO_BOX)


def asked_for(question: str, answer: str, form: str, prompt: str) -> str:
    """The expression of an answer that is nothing but boxes: what its question asks for.

    Raises:
        UnusableError: the answer says more, or the question is not worded so.
    """
    if re.search(r"[^\W\d_]", MARKS[form].sub(" ", answer)):
        raise UnusableError(
            "its answer has words beside boxes, and nothing marks which of them a box is of"
        )
    text = " ".join(IMAGE.sub(" ", question).replace("<image>", " ").split())
    wording = prompt or WORDING
    before, _, after = (" ".join(part.split()) for part in wording.partition("{}"))
    if text.startswith(before) and text.endswith(after):
        text = text.removeprefix(before).removesuffix(after)
    elif prompt:
        raise UnusableError(f"its question {shown(text)} is not worded as own.prompt says")
    text = text.strip().removesuffix(".").strip()
    if not text:
        raise UnusableError("its question asks for nothing")
    return text


def of_shikra(record: Record) -> Iterator[Mention]:
    """The expressions of a record of Shikra's: one with its box, or a sentence with marks."""
    if "bbox" in record:
        expression = record.get("expression")
        if not isinstance(expression, str) or not expression.strip():
            raise UnusableError(f"its expression is {shown(expression)}")
        yield Mention(expression.strip(), [four(record["bbox"])])
        return
    sentence, boxes, order = (record.get(key) for key in ("sentence", "boxes", "boxes_seq"))
    if not isinstance(sentence, str) or not isinstance(boxes, list) or not isinstance(order, list):
        raise UnusableError("its sentence, boxes or boxes_seq are missing")
    phrases = re.findall(r"<ph_st>([^<]*)<ph_ed>", sentence)
    if len(phrases) != len(order):
        raise UnusableError(
            f"its sentence marks {len(phrases)} phrases, its boxes_seq is of {len(order)}"
        )
    for phrase, numbers in zip(phrases, order, strict=True):
        known = isinstance(numbers, list) and all(
            type(k) is int and 0 <= k < len(boxes) for k in numbers
        )
        if not known or not phrase.strip():
            raise UnusableError(f"its boxes_seq holds {shown(numbers)}, or a phrase is empty")
        if numbers:
            yield Mention(phrase.strip(), [four(boxes[k]) for k in numbers])
