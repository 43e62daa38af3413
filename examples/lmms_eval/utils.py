"""Tasks of lmms-eval that are scored by our evaluators: REC on RefCOCO, and POPE.

    lmms-eval --model qwen2_5_vl --tasks vista_rec_refcoco_val,vista_pope --include_path examples/lmms_eval ...

lmms-eval runs in an environment of its own, with this project in it (`pip install --no-deps vistallm`) but without it
here: it would bring another build of torch. These functions take plain records, so that they are tested without it. In
lmms-lab-encoder/RefCOCO `answer` holds the expressions of an object, and `bbox` is x, y, width, height.
"""

from collections.abc import Sequence
from typing import Any

from tasks import Task
from vista.codec.codec import Codec
from vista.data import Annotation

Doc = dict[str, Any]  # a row of the data set
Answered = tuple[str, Annotation]  # what the model wrote, and what it was asked
ASK_BOX = (
    "Where is {}? Answer by one box [x0, y0, x1, y1] in whole numbers from 0 to 999, which are "
    "thousandths of the image's width and height."
)


def image_of(doc: Doc) -> list[Any]:
    """The picture of a row."""
    return [doc["image"].convert("RGB")]


# REC


def one_row_an_expression(dataset: Any) -> Any:
    """The data set with a row for each expression."""
    return dataset.map(explode, batched=True)


def explode(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Rows of objects -> rows of expressions: `answer` becomes one text; the other columns are repeated."""
    counts = [len(expressions) for expressions in batch["answer"]]
    rows = {}
    for name, values in batch.items():
        if name == "answer":
            rows[name] = [text for expressions in values for text in expressions]
        else:
            rows[name] = [v for v, n in zip(values, counts, strict=True) for _ in range(n)]
    return rows


def ask_box(doc: Doc) -> str:
    """The prompt."""
    return ASK_BOX.format(doc["answer"])


def rec_annotation(doc: Doc) -> Annotation:
    """A row as we know it."""
    x, y, width, height = doc["bbox"]
    return Annotation(
        id=f"{doc['question_id']}_{doc['answer']}",
        images=(str(doc.get("file_name", "")),),
        sizes=((doc["image"].height, doc["image"].width),),
        expression=doc["answer"],
        boxes=((x, y, x + width, y + height),),
    )


def rec_results(doc: Doc, results: Sequence[str]) -> dict[str, Answered]:
    """What each metric is computed from."""
    answered = (results[0], rec_annotation(doc))
    return {"pr50": answered, "mean_iou": answered}


def rec_pr50(answered: Sequence[Answered]) -> float:
    """Share of boxes with an IoU over one half, percent."""
    return scores("rec", answered)["pr50"]


def rec_mean_iou(answered: Sequence[Answered]) -> float:
    """Mean IoU, percent."""
    return scores("rec", answered)["mean_iou"]


# POPE


def ask_yes_or_no(doc: Doc) -> str:
    """The prompt."""
    return f"{doc['question'].strip()}\nAnswer the question using a single word or phrase."


def pope_results(doc: Doc, results: Sequence[str]) -> dict[str, Answered]:
    """What each metric is computed from."""
    annotation = Annotation(
        id=str(doc["question_id"]),
        images=(str(doc.get("image_source", "")),),
        question=doc["question"],
        label=doc["answer"].strip().lower(),
    )
    return dict.fromkeys(("f1", "accuracy"), (results[0], annotation))


def pope_f1(answered: Sequence[Answered]) -> float:
    """F1 of yes, percent."""
    return scores("pope", answered)["f1"]


def pope_accuracy(answered: Sequence[Answered]) -> float:
    """Share of right answers, percent."""
    return scores("pope", answered)["accuracy"]


def scores(name: str, answered: Sequence[Answered]) -> dict[str, float]:
    """All scores of one of our tasks."""
    task = Task.known[name](Codec())
    evaluator = task.evaluator()
    preds = [task.read(text, annotation) for text, annotation in answered]
    evaluator.update(preds, [task.reference(annotation) for _, annotation in answered])
    return {key: float(value) for key, value in evaluator.compute().items()}
