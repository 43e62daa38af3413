"""Answers as other systems write them: the logs of lmms-eval and ms-swift, COCO's results, Ref-L4's predictions.

lmms_eval   {"doc_id": 0, "input": "... the red cup", "filtered_resps": "[12, 40, 300, 410]", ...}      JSON lines
            `..._samples_TASK.jsonl` of --log_samples (EvolvingLMMs-Lab/lmms-eval `loggers/evaluation_tracker.py`)
ms_swift    {"response": "[12, ...]", "messages": [{"role": "user", "content": "..."}, ...], ...}       JSON lines
            of `swift infer --result_path` (modelscope/ms-swift `swift/pipelines/infer/infer.py`)
coco        [{"image_id": "1_2", "bbox": [x, y, w, h], "score": 0.9}, {"image_id": ..., "segmentation": RLE}, ...]
            as pycocotools' `loadRes` takes them; `image_id` is the question's, or of an image with one question
ref_l4      [{"id": "1_2", "pred_bbox": [x, y, w, h], "format": "xywh"}, ...], or "xyxy"
            (JierunChen/Ref-L4 `ref_l4/evaluation.py`)

The first two know no id of the question: the n-th answer is to the n-th question of the split, and the prompt must hold
it. In the last two regions are numbers in pixels, not text. Of several COCO results to one question all count, unless
the task asks for one: then the surest. A question without any says that there is no such object, where that may be an
answer.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from datamodules.commands.llava_answers import holds_text
from vista.data import Annotation, Box, InputError, Mask, Prediction, Size, size_of
from vista.geometry import decode_segmentation
from vista.task import Task
from vista.unsound import is_box, is_number, shown

Record = Mapping[str, object]
Located = Iterator[tuple[str, Record]]  # where each stands, and what it says
ONE = ("rec", "res")  # tasks that ask for one region
MASKS = ("res", "gres")


class Region(NamedTuple):
    """A region that stands as numbers in a file, not yet looked at.

    Attributes:
        location: where it stands.
        id: of the question.
        box: xyxy in pixels, None where there is none.
        segmentation: COCO's, None where there is none.
        score: how sure the system is.
    """

    location: str
    id: str
    box: tuple[float, ...] | None
    segmentation: object
    score: float


class Asked(NamedTuple):
    """An answer that knows its place among the questions, and the prompt, alone."""

    location: str
    place: int
    prompt: str
    text: str


def of_lmms_eval(records: Located) -> Iterator[Asked]:
    """Answers of a log of samples.

    Raises:
        InputError: a record is no sample's, or has several answers.
    """
    for location, record in records:
        index = record.get("doc_id")
        given = record.get("filtered_resps")
        while isinstance(given, list) and len(given) == 1:  # one list a request, one a filter
            given = given[0]
        if not isinstance(index, int) or isinstance(index, bool) or not isinstance(given, str):
            raise InputError(
                f"{location}: a sample of lmms-eval has a number `doc_id` and one text in `filtered_resps`, "
                f"not {shown(index)} and {shown(given)}"
            )
        yield Asked(location, index, _text(record.get("input")), given)


def of_ms_swift(records: Located) -> Iterator[Asked]:
    """Answers of `swift infer`, one after the other.

    Raises:
        InputError: a record has no text `response`.
    """
    for index, (location, record) in enumerate(records):
        given = record.get("response")
        if not isinstance(given, str):
            raise InputError(f"{location}: ms-swift's `response` is {shown(given)}, no text")
        messages = record.get("messages")
        asked = [m for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []
        prompts = [_text(m.get("content")) for m in asked if m.get("role") == "user"]
        yield Asked(location, index, " ".join(prompts), given)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def in_order(
    answers: Iterator[Asked], annotations: Sequence[Annotation]
) -> Iterator[tuple[str, Asked]]:
    """The id of the question that each answer is to, by its place.

    Raises:
        InputError: there is no such place, or the prompt does not hold the question that stands there.
    """
    for answer in answers:
        if not 0 <= answer.place < len(annotations):
            raise InputError(
                f"{answer.location}: it answers question {answer.place} from 0, but the split has {len(annotations)}"
            )
        annotation = annotations[answer.place]
        wanted = annotation.question or annotation.expression
        if not wanted:
            raise InputError(
                f"{answer.location}: such answers are matched by the question in their prompt, and this task has none; "
                "write their ids, as --format jsonl reads them"
            )
        if not holds_text(answer.prompt, wanted):
            raise InputError(
                f"{answer.location}: question {answer.place} of the split is {annotation.id}, {wanted!r}, which is not "
                f"in the prompt {answer.prompt!r}; were other questions asked, or in another order?"
            )
        yield annotation.id, answer


def of_coco(records: Located, annotations: Sequence[Annotation]) -> Iterator[Region]:
    """COCO's results; an `image_id` is the id of a question, or that of an image with one question."""
    questions: dict[str, list[str]] = defaultdict(list)
    for annotation in annotations:
        for name in annotation.photos[0] if annotation.photos else ():
            questions[name.removeprefix("coco ")].append(annotation.id)
    known = {annotation.id for annotation in annotations}
    for location, record in records:
        name = str(record.get("image_id"))
        if name not in known and len(questions[name]) == 1:
            (name,) = questions[name]
        elif name not in known and questions[name]:
            raise InputError(
                f"{location}: image {name} has {len(questions[name])} questions; name one of them in `image_id`, such "
                f"as {questions[name][0]!r}"
            )
        score = record.get("score", 1.0)
        if not is_number(score):
            raise InputError(f"{location}: `score` is {shown(score)}, no number")
        box = _corners(record["bbox"], location, "bbox") if "bbox" in record else None
        yield Region(location, name, box, record.get("segmentation"), float(score))  # type: ignore[arg-type]


def of_ref_l4(records: Located) -> Iterator[Region]:
    """Ref-L4's predictions."""
    for location, record in records:
        form, box = record.get("format"), record.get("pred_bbox")
        if form not in ("xyxy", "xywh"):
            raise InputError(f"{location}: `format` is {shown(form)}; Ref-L4 knows xyxy and xywh")
        corners = _corners(box, location, "pred_bbox")
        if form == "xyxy":
            corners = tuple(box)  # type: ignore[arg-type]
        yield Region(location, str(record.get("id")), corners, None, 1.0)


def _corners(box: object, location: str, key: str) -> tuple[float, ...]:
    """Xywh -> xyxy."""
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        raise InputError(f"{location}: `{key}` is {shown(box)}, not four numbers")
    x, y, width, height = box
    return x, y, x + width, y + height


def as_prediction(regions: Sequence[Region], task: Task, annotation: Annotation) -> Prediction:
    """What regions say that were written as numbers in pixels.

    Raises:
        InputError: one lies far from the image, or is no mask of its size.
    """
    if task.name in ONE:
        regions = [max(regions, key=lambda region: region.score)]
    size = size_of(annotation)
    if task.name in MASKS:
        return Prediction(masks=[_mask(region, size) for region in regions])
    return Prediction(boxes=[_box(region, size) for region in regions])


def _mask(region: Region, size: Size) -> Mask:
    if region.segmentation is None:
        raise InputError(f"{region.location}: there is no `segmentation`, and masks are asked for")
    try:
        return decode_segmentation(region.segmentation, size)  # type: ignore[arg-type]
    except InputError as error:
        raise InputError(f"{region.location}: {error}") from error


def _box(region: Region, size: Size) -> Box:
    if region.box is None:
        raise InputError(f"{region.location}: there is no `bbox`, and boxes are asked for")
    if not is_box(region.box, size):
        height, width = size
        raise InputError(
            f"{region.location}: the box {shown(region.box)} is not in pixels of its image, {width} x {height}"
        )
    x0, y0, x1, y1 = region.box
    return x0, y0, x1, y1
