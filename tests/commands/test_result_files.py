"""The verb `score` on official result files and on LLaVA's answers: forms that know nothing of ours."""

import json
import os
from pathlib import Path

import pytest
import yaml

from datamodules.commands import llava_answers
from datamodules.commands.result_files import read_answers
from datamodules.commands.score import by_id, read_scored, score
from datamodules.source import LoadedSource
from tasks import Task
from tasks.caption import Caption
from tests.commands.scored_files import (
    VQA,
    main,
    scores_of,
    write,
)
from vista.codec.codec import Codec
from vista.data import Annotation, InputError
from vista.metrics.caption import CaptionMetric
from vista.metrics.vqa import vqa_accuracy


def test_official_vqa_file_is_scored_as_it_stands(config, tmp_path):
    answers = [{"question_id": 139000, "answer": "yes"}, {"question_id": 139001, "answer": "Two."}]
    file = write(tmp_path / "mine.json", json.dumps(answers))
    main(["--task", "vqav2", "--format", "vqa", "--predictions", str(file), "--config", config])
    scores = scores_of(tmp_path / "vqav2_val.scores.json")
    # The number: 8 of 10 said "2", and "Two." is normalised since the ten differ.
    assert scores["test/vqav2_val/accuracy_number"] == 100.0


@pytest.mark.parametrize(
    ("answer", "expected"), [("yes", 100.0), ("Yes", 0.0), ("The answer is yes.", 0.0)]
)
def test_unanimous_answers_are_compared_as_strings(tmp_path, answer, expected):
    annotation = Annotation(
        "5", ("a.jpg",), answers=("yes",) * 10, label="yes", extra={"answer_type": "yes/no"}
    )
    scored = LoadedSource("vqav2_val", Task.known["vqav2"](Codec()), tmp_path, [annotation])
    file = write(tmp_path / "a.json", json.dumps([{"question_id": 5, "answer": answer}]))
    assert (
        score(scored, by_id(scored, read_answers(file, "vqa", [])), "vqa")["accuracy"] == expected
    )


def test_official_caption_file(config, tmp_path, monkeypatch):
    monkeypatch.setattr(
        Caption, "evaluator", lambda self: CaptionMetric(("BLEU", "CIDEr"), tokenizer="python")
    )
    file = write(
        tmp_path / "captions.json",
        json.dumps([{"image_id": 139, "caption": "A cup 0 stands on table 139."}]),
    )
    main(
        [
            "--task",
            "caption",
            "--format",
            "coco_caption",
            "--predictions",
            str(file),
            "--config",
            config,
        ]
    )
    assert scores_of(tmp_path / "caption_coco.scores.json")[
        "test/caption_coco/BLEU_4"
    ] == pytest.approx(100.0, abs=1e-3)


QUESTIONS = [
    Annotation("1", ("a.jpg",), question="Is there a cup in the image?", label="yes"),
    Annotation("2", ("a.jpg",), question="Is there a dog in the image?", label="no"),
]


def test_pope_answers_in_order_or_by_id(tmp_path):
    in_order = [
        {"question": q.question, "answer": answer}
        for q, answer in zip(QUESTIONS, ("Yes", "No"), strict=True)
    ]
    by_number = [{"question_id": 2, "answer": "No"}, {"question_id": 1, "answer": "Yes"}]
    for records in (in_order, by_number):
        answers = read_answers(write(tmp_path / "pope.json", records), "pope", QUESTIONS)
        assert {a.id: a.text for a in answers} == {"1": "Yes", "2": "No"}


def test_pope_answers_to_other_questions_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"has 1 answers without `question_id`, but the split has 2 questions"
    ):
        list(read_answers(write(tmp_path / "pope.json", [{"answer": "no"}]), "pope", QUESTIONS))
    swapped = [{"question": q.question, "answer": "no"} for q in reversed(QUESTIONS)]
    with pytest.raises(ValueError, match=r"line 1: the question is 'Is there a dog"):
        list(read_answers(write(tmp_path / "pope.json", swapped), "pope", QUESTIONS))


POPE = {
    "task": "pope",
    "dataset": "pope",
    "test": {"pope_random": "random", "pope_popular": "popular", "pope_adversarial": "adversarial"},
}
ASKED = {  # the same objects that are there, others that are not
    "random": ["a cup", "a dog", "a bed", "a zebra"],
    "popular": ["a cup", "a car", "a bed", "a chair"],
    "adversarial": ["a cup", "a plate", "a bed", "an umbrella"],
}
SAID = {"random": "yes no yes no", "popular": "yes yes yes no", "adversarial": "no yes no no"}
OFFSETS = {"adversarial": 0, "random": 10_000_000, "popular": 20_000_000}


@pytest.fixture
def pope(tmp_path):
    """POPE's three files, and the answers to all of them in one file of LLaVA's form."""
    lines = {}
    for setting, things in ASKED.items():
        records = []
        for number, thing in enumerate(things, start=1):
            text = f"Is there {thing} in the {'imange' if 'umbrella' in thing else 'image'}?"
            image, label = "COCO_val2014_000000000009.jpg", "yes" if number % 2 else "no"
            records.append({"question_id": number, "image": image, "text": text, "label": label})
            lines[setting, number] = {
                "question_id": OFFSETS[setting] + number,
                "prompt": f"{text}\nAnswer the question using a single word or phrase.",
                "text": SAID[setting].split()[number - 1].capitalize(),
                "answer_id": "x",
                "model_id": "llava-v1.5-13b",
                "metadata": {},
            }
        file = tmp_path / "root" / "pope" / f"coco_pope_{setting}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, records)
    content = {"data": {"root": str(tmp_path / "root"), "sources": {"pope": POPE, "vqav2": VQA}}}
    return str(write(tmp_path / "pope.yaml", yaml.safe_dump(content))), lines


# Of two with yes and two without: (accuracy, precision, recall, f1)
LLAVA_SCORES = {
    "random": (100.0, 100.0, 100.0, 100.0),
    "popular": (75.0, 200 / 3, 100.0, 80.0),
    "adversarial": (25.0, 0.0, 0.0, 0.0),
}


@pytest.mark.parametrize("words", [["--task", "pope"], ["--source", "pope"]])
def test_one_llava_file_answers_all_settings_of_pope(pope, tmp_path, words, capsys):
    config, lines = pope
    file = write(tmp_path / "llava-v1.5-13b.jsonl", list(lines.values()))
    main([*words, "--format", "llava", "--predictions", str(file), "--config", config])
    for setting, expected in LLAVA_SCORES.items():
        name = f"pope_{setting}"
        scores = scores_of(tmp_path / f"{name}.scores.json")
        found = [scores[f"test/{name}/{key}"] for key in ("accuracy", "precision", "recall", "f1")]
        assert found == pytest.approx(list(expected)), setting
        assert scores[f"test/{name}/n"] == 4
    assert capsys.readouterr().out.count("4 annotations\n") == 3


def test_a_llava_file_of_one_setting(pope, tmp_path):
    config, lines = pope
    only = [line for (setting, _), line in lines.items() if setting == "popular"]
    words = ["--source", "pope_popular", "--format", "llava", "--config", config, "--predictions"]
    main([*words, str(write(tmp_path / "a.jsonl", only))])
    assert scores_of(tmp_path / "pope_popular.scores.json")["test/pope_popular/f1"] == 80.0
    own = [line | {"question_id": line["question_id"] % 10_000_000} for line in only]
    own[0]["prompt"] = own[0]["prompt"].replace("image", "imange")
    main([*words, str(write(tmp_path / "a.jsonl", own[:3]))])
    scores = scores_of(tmp_path / "pope_popular.scores.json")
    assert scores["test/pope_popular/parse_failures"] == 1


def test_llava_answers_to_other_questions_are_refused(pope, tmp_path):
    config, lines = pope
    words = ["--format", "llava", "--config", config, "--predictions"]
    random = [line for (setting, _), line in lines.items() if setting == "random"]
    file = str(write(tmp_path / "a.jsonl", random))
    with pytest.raises(
        InputError, match=r"no ids are of this setting of POPE: .*line 2: .*a car in"
    ):
        main(["--source", "pope_popular", *words, file])
    twice = random + [line | {"question_id": line["question_id"] + 10**7} for line in random]
    file = str(write(tmp_path / "a.jsonl", twice))
    with pytest.raises(InputError, match=r"from .*line 1 on and those from .*line 5 on both fit"):
        main(["--source", "pope_random", *words, file])
    file = str(write(tmp_path / "a.jsonl", [random[0] | {"question_id": 10_000_009}]))
    with pytest.raises(InputError, match=r"line 1: pope_random has no annotation '9' among its 4"):
        main(["--source", "pope_random", *words, file])
    for bad in ({"prompt": 3}, {"text": None}, {"question_id": None}):
        file = str(write(tmp_path / "a.jsonl", [random[0] | bad]))
        with pytest.raises(InputError, match=r"a\.jsonl, line 1: the record has"):
            main(["--source", "pope_random", *words, file])


def test_llava_answers_of_other_tasks(setup, config, tmp_path):
    scored = read_scored(setup, "vqav2_val", "llava")
    end = "\nAnswer the question using a single word or phrase."
    records = [
        {"question_id": int(a.id), "prompt": a.question + end, "text": a.label}
        for a in scored.annotations
    ]
    words = ["--task", "vqav2", "--format", "llava", "--config", config, "--predictions"]
    main([*words, str(write(tmp_path / "a.jsonl", records))])
    right = [vqa_accuracy(a.label, a.answers) for a in scored.annotations]
    scores = scores_of(tmp_path / "vqav2_val.scores.json")
    assert scores["test/vqav2_val/accuracy"] == pytest.approx(100 * sum(right) / len(right))
    records[1]["prompt"] = "Is it another?" + end
    with pytest.raises(InputError, match=r"line 2: the question 139001 is .* not in the prompt"):
        main([*words, str(write(tmp_path / "a.jsonl", records))])


def test_llavas_ids_for_textvqa_are_those_of_images(tmp_path):
    questions = ("what is this?", "what is this? a brand or a name?", "who?")
    annotations = [
        Annotation(str(k), (f"textvqa/train_images/{'ab'[k == 2]}1.jpg",), question=question)
        for k, question in enumerate(questions)
    ]
    records = [
        {"question_id": "a1", "prompt": f"{questions[1]}\nReference OCR token: x", "text": "one"},
        {"question_id": "a1", "prompt": f"{questions[0]}\nReference OCR token: x", "text": "none"},
        {"question_id": 2, "prompt": questions[2], "text": "two"},
    ]
    file = write(tmp_path / "a.jsonl", records)
    answers = list(read_answers(file, "llava", annotations, "textvqa"))
    assert [(a.id, a.text) for a in answers] == [("1", "one"), ("0", "none"), ("2", "two")]
    records[0]["prompt"] = "where?"
    with pytest.raises(InputError, match="not in the prompt 'where"):
        list(read_answers(write(file, records), "llava", annotations, "textvqa"))


REAL = Path(os.environ.get("VISTA_REALDATA", "")).parent / "answers"


@pytest.mark.skipif(
    not (REAL / "llava_pope_raw_first20.jsonl").is_file(),
    reason="beside VISTA_REALDATA lie no answers of LLaVA",
)
def test_llavas_own_lines(tmp_path):
    file = REAL / "llava_pope_raw_first20.jsonl"
    records = [json.loads(line) for line in file.read_text().splitlines()]
    annotations = [
        Annotation(str(k), ("a.jpg",), question=record["prompt"].partition("\n")[0], label="yes")
        for k, record in enumerate(records, start=1)
    ]
    answers = list(read_answers(file, "llava", annotations, "pope"))
    assert [a.id for a in answers] == [str(k) for k in range(1, 21)]
    assert [a.text for a in answers[:3]] == ["No", "No", "Yes"]


def test_official_forms_are_lists_of_records(tmp_path):
    with pytest.raises(ValueError, match="is no JSON list"):
        list(read_answers(write(tmp_path / "a.json", "{}"), "vqa", []))
    with pytest.raises(ValueError, match=r"record 1: the record has no 'caption' but `image_id`"):
        list(read_answers(write(tmp_path / "a.json", '[{"image_id": 1}]'), "coco_caption", []))


def test_more_answers_than_pope_can_ask_for(tmp_path, monkeypatch):
    monkeypatch.setattr(llava_answers, "MOST_ANSWERS", 2)
    records = [{"question_id": k, "prompt": "", "text": "no"} for k in (1, 2, 3)]
    with pytest.raises(InputError, match="line 3: 2 answers are more than POPE asks"):
        list(read_answers(write(tmp_path / "a.jsonl", records), "llava", QUESTIONS, "pope"))
