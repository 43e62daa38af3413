"""Answers as lmms-eval, ms-swift, COCO's tools and Ref-L4 write them; texts and numbers are our own."""

import json
import os
from pathlib import Path

import pytest
import yaml

from datamodules.commands.configured import read_setup
from datamodules.commands.score import read_scored
from tests.commands.scored_files import FORMATS, REC, main, scores_of, write
from tests.task_sources import rle
from vista.data import InputError
from vista.geometry import decode_segmentation

SOURCES = {
    "rec": REC,
    "res": {"task": "res", "dataset": "refcoco", "test": {"res_val": "val"}},
    "gres": {"task": "gres", "dataset": "grefcoco", "test": {"gres_val": "val"}},
    "grec": {"task": "grec", "dataset": "grefcoco", "test": {"grec_val": "val"}},
    "pope": {"task": "pope", "dataset": "pope", "test": {"pope_random": "random"}},
    "caption": {"task": "caption", "dataset": "coco", "test": {"caption_coco": "val2017"}},
    "refusal": {"task": "rec", "dataset": "groundingme", "test": {"refusal_test": "test"}},
}


@pytest.fixture
def config(tmp_path):
    content = {"data": {"root": str(FORMATS), "sources": SOURCES}}
    return str(write(tmp_path / "sources.yaml", yaml.safe_dump(content)))


@pytest.fixture
def questions(config):
    def read(name):
        scored = read_scored(read_setup([config], None, []), name)
        return scored.task, scored.annotations

    return read


@pytest.fixture
def scores(config, tmp_path):
    def run(name, form, content):
        text = json.dumps(content) if form in ("coco", "ref_l4") else content
        file = write(tmp_path / "theirs.json", text)
        main(["--predictions", str(file), "--config", config, "--source", name, "--format", form])
        return scores_of(tmp_path / f"{name}.scores.json")

    return run


def lmms_eval(task, annotations):
    return [
        {
            "doc_id": place,
            "input": f"<image>\nWhere is {annotation.expression}?",
            "target": "unused",
            "filtered_resps": [task.target(annotation)] if place else task.target(annotation),
        }
        for place, annotation in enumerate(annotations)
    ]


def ms_swift(task, annotations):
    return [
        {
            "response": task.target(annotation),
            "labels": None,
            "messages": [
                {"role": "system", "content": "You point."},
                {"role": "user", "content": f"<image>{annotation.expression}"},
                {"role": "assistant", "content": task.target(annotation)},
            ],
        }
        for annotation in annotations
    ]


IN_ORDER = {"lmms_eval": lmms_eval, "ms_swift": ms_swift}


@pytest.mark.parametrize("form", IN_ORDER)
def test_answers_in_the_order_of_the_questions(questions, scores, form):
    records = IN_ORDER[form](*questions("rec_val"))
    found = scores("rec_val", form, records)
    assert found["test/rec_val/pr50"] == 100.0 and found["test/rec_val/n"] == len(records)


def test_lmms_eval_names_the_place_whatever_the_order_of_the_lines(questions, scores):
    records = lmms_eval(*questions("rec_val"))[::-1]
    assert scores("rec_val", "lmms_eval", records)["test/rec_val/pr50"] == 100.0
    assert scores("rec_val", "lmms_eval", records[1:])["test/rec_val/pr50"] == 50.0


@pytest.mark.parametrize("form", IN_ORDER)
def test_another_order_is_an_error_that_names_both(questions, scores, form):
    task, annotations = questions("rec_val")
    records = IN_ORDER[form](task, annotations[::-1])
    asked = [annotations[0].expression, annotations[1].expression]
    with pytest.raises(
        InputError, match=r"theirs\.json, line 1: question 0 of the split is"
    ) as error:
        scores("rec_val", form, records)
    assert all(expression in str(error.value) for expression in asked)


@pytest.mark.parametrize(
    ("form", "records", "sentence"),
    [
        (
            "lmms_eval",
            [{"doc_id": "0", "filtered_resps": "a"}],
            "line 1: a sample of lmms-eval has",
        ),
        (
            "lmms_eval",
            [{"doc_id": 0, "filtered_resps": ["a", "b"]}],
            "one text in `filtered_resps`",
        ),
        (
            "lmms_eval",
            [{"doc_id": 9, "filtered_resps": "a"}],
            "question 9 from 0, but the split has 2",
        ),
        ("ms_swift", [{"text": "a"}], "line 1: ms-swift's `response` is None, no text"),
        ("ms_swift", [{"response": "a", "messages": 3}], "which is not in the prompt ''"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(scores, form, records, sentence):
    with pytest.raises(InputError, match=sentence):
        scores("rec_val", form, records)


def test_where_a_task_has_no_question_the_order_cannot_be_checked(scores):
    with pytest.raises(InputError, match="this task has none; write their ids"):
        scores("caption_coco", "ms_swift", [{"response": "a dog", "messages": []}])


def xywh(box):
    x0, y0, x1, y1 = box
    return [x0, y0, x1 - x0, y1 - y0]


def test_boxes_of_coco(questions, scores):
    """Of several to one question the surest counts."""
    _, annotations = questions("rec_val")
    results = [
        {"image_id": a.id, "category_id": 1, "bbox": xywh(a.boxes[0]), "score": 0.9}
        for a in annotations
    ]
    wrong = {"image_id": annotations[0].id, "bbox": [0, 0, 3, 3], "score": 0.8}
    assert scores("rec_val", "coco", [wrong, *results])["test/rec_val/pr50"] == 100.0
    wrong["score"] = 1
    assert scores("rec_val", "coco", [wrong, *results])["test/rec_val/pr50"] == 50.0
    assert scores("rec_val", "coco", results[1:])["test/rec_val/pr50"] == 50.0


@pytest.mark.parametrize("name", ["res_val", "gres_val"])
def test_masks_of_coco(questions, scores, name):
    _, annotations = questions(name)
    results = []
    for annotation in annotations:
        for segmentation in annotation.segmentations:
            mask = decode_segmentation(segmentation, annotation.sizes[0])
            results.append({"image_id": annotation.id, "segmentation": rle(mask), "score": 0.5})
    headline = "mIoU" if name == "res_val" else "gIoU"
    assert scores(name, "coco", results)[f"test/{name}/{headline}"] == 100.0


def test_a_question_without_a_result_says_that_there_is_no_such_object(questions, scores):
    _, annotations = questions("grec_val")
    none = [a for a in annotations if not a.boxes]
    assert none and len(none) < len(annotations)
    results = [
        {"image_id": a.id, "bbox": xywh(box), "score": 1} for a in annotations for box in a.boxes
    ]
    found = scores("grec_val", "coco", results)
    assert found["test/grec_val/pr_f1"] == 100.0 and found["test/grec_val/parse_failures"] == 0
    (target,) = (a for a in annotations if a.boxes)
    found = scores("grec_val", "coco", [{"image_id": target.id, "bbox": [0, 0, 1, 1], "score": 1}])
    assert found["test/grec_val/pr_f1"] == 50.0


def test_an_image_with_several_questions_is_no_name_of_one(questions, scores):
    _, annotations = questions("rec_val")
    number = int(annotations[0].photos[0][0].split()[1])
    with pytest.raises(InputError, match=f"image {number} has 2 questions; name one of them"):
        scores("rec_val", "coco", [{"image_id": number, "bbox": [0, 0, 3, 3], "score": 1}])


@pytest.mark.parametrize(
    ("name", "result", "sentence"),
    [
        ("rec_val", {"bbox": [0, 0, 3], "score": 1}, "record 1: `bbox` is .*, not four numbers"),
        ("rec_val", {"bbox": [0, 0, 3, 3], "score": "sure"}, "`score` is 'sure', no number"),
        ("rec_val", {"bbox": [0, 0, 9e6, 3]}, "is not in pixels of its image"),
        ("rec_val", {"segmentation": rle}, "there is no `bbox`, and boxes are asked for"),
        ("res_val", {"bbox": [0, 0, 3, 3]}, "no `segmentation`, and masks are asked for"),
        ("res_val", {"segmentation": {"size": [2, 2], "counts": [4]}}, "record 1: "),
    ],
)
def test_a_region_that_is_none_is_said_in_one_sentence(questions, scores, name, result, sentence):
    _, annotations = questions(name)
    if result.get("segmentation") is rle:
        result = {"segmentation": {"size": [2, 2], "counts": [4]}}
    with pytest.raises(InputError, match=sentence):
        scores(name, "coco", [{"image_id": annotations[0].id, **result}])


def test_no_result_is_a_refusal_where_some_expressions_fit_nothing(questions, scores):
    _, annotations = questions("refusal_test")
    results = [
        {"image_id": a.id, "bbox": xywh(a.boxes[0]), "score": 1.0} for a in annotations if a.boxes
    ]
    assert len(results) == len(annotations) - 1
    found = scores("refusal_test", "coco", results)
    assert found["test/refusal_test/pr50"] == found["test/refusal_test/n_acc"] == 100.0


def test_predictions_of_ref_l4(questions, scores):
    _, annotations = questions("rec_val")
    first, second = annotations
    results = [
        {"id": first.id, "pred_bbox": xywh(first.boxes[0]), "format": "xywh"},
        {"id": second.id, "pred_bbox": list(second.boxes[0]), "format": "xyxy"},
    ]
    assert scores("rec_val", "ref_l4", results)["test/rec_val/pr50"] == 100.0
    results[1]["format"] = "cxcywh"
    with pytest.raises(InputError, match="record 2: `format` is 'cxcywh'; Ref-L4 knows xyxy"):
        scores("rec_val", "ref_l4", results)


def test_a_form_of_other_tasks_is_refused(scores):
    with pytest.raises(InputError, match="--format ref_l4 is for rec, not for task res"):
        scores("res_val", "ref_l4", [])


# LLaVA's own form, by a file of the same form with our own texts; `tests/commands/test_result_files.py` has the rest.


def test_an_answer_to_pope_whose_prompt_holds_another_question(questions, scores):
    _, annotations = questions("pope_random")
    records = [
        {
            "question_id": 10_000_000 + int(a.id),
            "prompt": f"{a.question}\nSay one word.",
            "text": "Yes",
        }
        for a in annotations
    ]
    assert scores("pope_random", "llava", records)["test/pope_random/recall"] == 100.0
    records[0]["prompt"] = "Is there a unicorn in the image?"
    with pytest.raises(InputError, match="which is not in the prompt") as error:
        scores("pope_random", "llava", records)
    assert "unicorn" in str(error.value) and annotations[0].question in str(error.value)


@pytest.mark.skipif("VISTA_ANSWERS" not in os.environ, reason="VISTA_ANSWERS names no folder")
def test_published_lines_of_llava():
    """The first lines of a published file answer the questions that their prompts hold."""
    from datamodules.commands.result_files import read_answers
    from vista.data import Annotation

    file = Path(os.environ["VISTA_ANSWERS"]) / "llava_pope_raw_first20.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    asked = [
        Annotation(
            str(line["question_id"] - 10_000_000),
            ("a.jpg",),
            question=line["prompt"].splitlines()[0],
        )
        for line in lines
    ]
    answers = list(read_answers(file, "llava", asked, "pope"))
    assert [answer.id for answer in answers] == [annotation.id for annotation in asked]
    assert {answer.text for answer in answers} <= {"Yes", "No"}
