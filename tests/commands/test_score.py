"""The verb `score`: answers in files of several forms, scored as `test` scores them, without a model."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from datamodules import missing
from datamodules.commands import llava_answers
from datamodules.commands import score as command
from datamodules.commands.configured import read_setup
from datamodules.commands.options import parse_options
from datamodules.commands.result_files import Answer, read_answers
from datamodules.commands.score import by_id, choose_score, read_scored, score
from datamodules.readers import READERS
from datamodules.source import LoadedSource
from tasks import Task
from tasks.caption import Caption
from vista.app.report import print_table, score_row
from vista.app.settings import stack
from vista.codec.codec import Codec
from vista.data import Annotation, InputError
from vista.decoding.grammar import Choice, Literal, Regions, Text, most_brackets, most_characters
from vista.metrics.caption import CaptionMetric
from vista.metrics.vqa import vqa_accuracy
from vista.predictions import LONGEST_LINE, read_records

ROOT = Path(__file__).parents[2]
FORMATS = ROOT / "tests" / "formats"
REC = {"task": "rec", "dataset": "refcoco", "test": {"rec_val": "val", "rec_testA": "testA"}}
VQA = {"task": "vqav2", "dataset": "vqav2", "test": {"vqav2_val": "val"}}
CAPTION = {"task": "caption", "dataset": "coco", "test": {"caption_coco": "val2017"}}


def main(words):
    command.main(parse_options("score", words))


def write(path, content):
    lines = (
        content if isinstance(content, str) else "\n".join(json.dumps(record) for record in content)
    )
    path.write_text(lines)
    return path


@pytest.fixture
def config(tmp_path):
    content = {
        "data": {"root": str(FORMATS), "sources": {"rec": REC, "vqav2": VQA, "caption": CAPTION}}
    }
    return str(write(tmp_path / "sources.yaml", yaml.safe_dump(content)))


@pytest.fixture
def setup(config):
    return read_setup([config], None, [])


def rec_answers(setup, split="val"):
    scored = read_scored(setup, f"rec_{split}")
    return [
        {"id": a.id, "prompt": "", "text": scored.task.target(a), "malformed": False}
        for a in scored.annotations
    ]


def scores_of(path):
    return json.loads(path.read_text())["all"]


def test_the_same_numbers_as_the_evaluator_and_the_row_of_test(setup, config, tmp_path, capsys):
    answers = rec_answers(setup)
    answers[1]["text"] = "[0, 0, 10, 10]"
    file = write(tmp_path / "rec_val.jsonl", answers)
    main(["--task", "rec", "--predictions", str(file), "--config", config])
    assert "rec_val" in capsys.readouterr().out
    scored = read_scored(setup, "rec_val")
    metric = scored.task.evaluator()
    preds = [
        scored.task.parse(answer["text"], a)
        for answer, a in zip(answers, scored.annotations, strict=True)
    ]
    metric.update(preds, [scored.task.reference(a) for a in scored.annotations])
    expected = {f"test/rec_val/{key}": float(value) for key, value in metric.compute().items()}
    content = json.loads((tmp_path / "rec_val.scores.json").read_text())
    assert content["all"] == expected
    assert content["table"] == [score_row(scored, "test", expected)]
    assert content["table"][0]["score"] == 50.0


def test_an_id_without_an_answer_is_wrong(setup, config, tmp_path, capsys):
    file = write(tmp_path / "rec_val.jsonl", rec_answers(setup)[:1])
    main(["--predictions", str(file), "--config", config])
    scores = scores_of(tmp_path / "rec_val.scores.json")
    assert scores["test/rec_val/pr50"] == 50.0
    assert scores["test/rec_val/n"] == 2 and scores["test/rec_val/parse_failures"] == 1
    assert (
        "2 annotations, 1 of them without an answer: wrong (--data.scoring.max_test N"
        in capsys.readouterr().out
    )


def test_several_files_and_scores_in_one_table(setup, config, tmp_path, capsys):
    first, second = rec_answers(setup)
    files = [
        write(tmp_path / "rec_val.jsonl", [first]),
        write(tmp_path / "rec_val.1.jsonl", [second]),  # what another process wrote
        write(tmp_path / "rec_testA.jsonl", rec_answers(setup, "testA")),
    ]
    main(["--predictions", *map(str, files), "--config", config])
    for name in ("rec_val", "rec_testA"):
        assert scores_of(tmp_path / f"{name}.scores.json")[f"test/{name}/pr50"] == 100.0
    assert "rec_testA" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ([{"id": "7_7", "text": ""}], r"line 1: rec_val has no annotation '7_7' among its 2"),
        ([{"id": "1_2", "text": ""}] * 2, r"line 2: '1_2' is answered twice, first at .*line 1"),
        ([{"id": "1_2"}], r"line 1: the record has no 'text' but `id`"),
        ([{"id": "1_2", "text": ["a"]}], r"has 'text' \['a'\], which is no text"),
        ("{", r"line 1: this is not JSON"),
        ("[1]", r"line 1: a record is a JSON object, not list"),
        (
            [{"question_id": 1, "prompt": "", "text": ""}],
            r"has no 'id' but .*; LLaVA's form is read by --format llava",
        ),
        *(
            ([{"id": "1_2", "text": "", "scores": scores}], r"rec_val\.jsonl, line 1: `scores` is")
            for scores in (
                {"yes": "0.7"}, {"yes": None}, {"yes": [0.7]}, {"yes": True}, {"yes": float("nan")},
                {"yes": float("inf")}, {"yes": 10**400}, None, [0.7], "0.7", 0.7,
            )
        ),
        ([{"id": "1_2", "text": "", "malformed": "no"}], r"line 1: `malformed` is 'no', not true or"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_one_sentence(config, tmp_path, records, sentence):
    file = write(tmp_path / "rec_val.jsonl", records)
    with pytest.raises(ValueError, match=sentence) as error:
        main(["--predictions", str(file), "--config", config])
    assert "\n" not in str(error.value)


def test_bytes_that_are_no_text_are_said_in_one_sentence(config, tmp_path):
    file = tmp_path / "rec_val.jsonl"
    file.write_bytes(b'{"id": "1_2", "text": "\xe9"}\n')
    with pytest.raises(ValueError, match=r"rec_val\.jsonl, line 1: this is not JSON"):
        main(["--predictions", str(file), "--config", config])
    (tmp_path / "a.json").write_bytes(b"\xff\xfe[]")
    with pytest.raises(InputError, match=r"a\.json is no JSON list"):
        list(read_answers(tmp_path / "a.json", "vqa", []))


def test_scores_that_are_numbers_are_taken(tmp_path):
    record = {"id": 1, "text": "Yes", "scores": {"yes": 0.7, "no": 1}}
    (answer,) = read_answers(write(tmp_path / "a.jsonl", [record]), "jsonl", [])
    assert answer.scores == {"yes": 0.7, "no": 1}


def test_lines_end_at_line_feeds_alone(setup, config, tmp_path, capsys):
    answers = rec_answers(setup)
    answers[0]["prompt"] = "a\u2028b\u2029c\u0085d"
    lines = "\n".join(json.dumps(record, ensure_ascii=False) for record in answers)
    main(["--predictions", str(write(tmp_path / "rec_val.jsonl", lines)), "--config", config])
    assert scores_of(tmp_path / "rec_val.scores.json")["test/rec_val/pr50"] == 100.0
    assert "without an answer" not in capsys.readouterr().out


def test_a_file_with_a_question_that_stands_twice_is_scored(tmp_path, capsys):
    root = tmp_path / "root"
    shutil.copytree(FORMATS / "vqav2", root / "vqav2")
    file = root / "vqav2/v2_OpenEnded_mscoco_val2014_questions.json"
    questions = json.loads(file.read_text())
    questions["questions"] += questions["questions"]
    file.write_text(json.dumps(questions))
    content = {"data": {"root": str(root), "sources": {"vqav2": VQA}}}
    config = str(write(tmp_path / "vqa.yaml", yaml.safe_dump(content)))
    with pytest.warns(UserWarning, match="its id stands twice"):
        scored = read_scored(read_setup([config], None, []), "vqav2_val")
    answers = [{"id": a.id, "text": a.label} for a in scored.annotations]
    assert len(answers) == 2
    main(["--predictions", str(write(tmp_path / "vqav2_val.jsonl", answers)), "--config", config])
    assert scores_of(tmp_path / "vqav2_val.scores.json")["test/vqav2_val/n"] == 2


@pytest.mark.parametrize(("malformed", "expected"), [(False, 100.0), (True, 0.0)])
def test_an_unreadable_sample_is_wrong_even_where_an_empty_answer_is_right(
    tmp_path, malformed, expected
):
    annotation = Annotation(
        "1", ("a.jpg",), sizes=((20, 20),), expression="no such thing", extra={"no_target": True}
    )
    scored = LoadedSource("gres_val", Task.known["gres"](Codec()), tmp_path, [annotation])
    file = write(tmp_path / "gres_val.jsonl", [{"id": 1, "text": "", "malformed": malformed}])
    assert score(scored, by_id(scored, read_answers(file, "jsonl", [])))["gIoU"] == expected


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


@pytest.mark.parametrize(
    ("tasks", "source", "file", "expected"),
    [
        ([], "", "rec_val.jsonl", "rec_val"),
        (["rec"], "", "rec_testA.2.jsonl", "rec_testA"),
        (["vqav2", "rec"], "", "rec_testA.jsonl", "rec_testA"),
        ([], "rec_val", "mine.jsonl", "rec_val"),
        (["vqav2"], "", "mine.jsonl", "vqav2_val"),  # the task's only score
        ([], "vqav2", "mine.jsonl", "vqav2_val"),  # the source's only score
        ([], "", "rec_val.x.jsonl", "rec_val"),
    ],
)
def test_which_score_a_file_is_for(setup, tasks, source, file, expected):
    assert choose_score(setup, tasks, source, Path(file)) == expected


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("rec.jsonl", "rec"),
        ("rec.3.jsonl", "rec"),
        ("rec.testA.jsonl", "rec.testA"),
        ("rec.testA.1.jsonl", "rec.testA"),
        ("rec.testB.jsonl", "rec.testB"),
    ],
)
def test_scores_whose_names_differ_in_dots(tmp_path, file, expected):
    source = REC | {"test": {"rec": "val", "rec.testA": "testA", "rec.testB": "testB"}}
    content = {"data": {"root": str(FORMATS), "sources": {"rec": source}}}
    config = str(write(tmp_path / "a.yaml", yaml.safe_dump(content)))
    assert choose_score(read_setup([config], None, []), [], "", Path(file)) == expected


@pytest.mark.parametrize(
    ("tasks", "source", "file", "sentence"),
    [
        (["rec"], "", "mine.jsonl", "name one by --source: rec_testA, rec_val"),
        (["rec"], "", "vqav2_val.jsonl", "vqav2_val is a score of task vqav2, not of rec"),
        (["rec", "wreck"], "", "a.jsonl", "there is no task 'wreck'; did you mean 'rec'"),
        ([], "rec_vall", "a.jsonl", "there is no score 'rec_vall'; did you mean 'rec_val'"),
        ([], "rec", "a.jsonl", "there is no score 'rec'; did you mean 'rec_val'"),
    ],
)
def test_a_file_for_no_score(setup, tasks, source, file, sentence):
    with pytest.raises(ValueError, match=sentence):
        choose_score(setup, tasks, source, Path(file))


def test_a_form_of_another_benchmark_is_refused(setup):
    with pytest.raises(ValueError, match="--format vqa is for vqav2 and textvqa, not for task rec"):
        read_scored(setup, "rec_val", "vqa")


def test_missing_files_are_named_with_source_path_and_address(config, tmp_path):
    setup = read_setup([config], tmp_path / "nowhere", [])
    with pytest.raises(
        FileNotFoundError,
        match=r"source rec: refcoco \(val\) needs .*nowhere.*refs\(unc\)\.p.*https://",
    ):
        read_scored(setup, "rec_val")


@pytest.mark.parametrize(
    "values", [{"task": "rec"}, {"task": "rec", "dataset": "refcoco", "splt": "val"}, "rec"]
)
def test_a_source_that_is_not_understood(tmp_path, values):
    path = write(tmp_path / "a.yaml", yaml.safe_dump({"data": {"sources": {"mine": values}}}))
    with pytest.raises(ValueError, match="source mine: it needs task and dataset"):
        read_setup([str(path)], None, [])


def test_the_config_of_the_run_decides_where_none_is_named(tmp_path, setup):
    run = tmp_path / "run"
    (run / "predictions").mkdir(parents=True)
    content = {"data": {"root": str(FORMATS), "sources": {"rec": REC}}, "codec": {"num_bins": 100}}
    write(run / "config.yaml", yaml.safe_dump(content))
    text = Task.known["rec"](Codec(num_bins=100)).target(
        read_scored(setup, "rec_val").annotations[0]
    )
    answers = [{"id": answer["id"], "text": text} for answer in rec_answers(setup)]
    main(["--predictions", str(write(run / "predictions" / "rec_val.jsonl", answers))])
    assert scores_of(run / "predictions" / "rec_val.scores.json")["test/rec_val/pr50"] == 100.0


def test_of_two_configs_the_later_decides(tmp_path):
    one = {
        "data": {"root": "a", "sources": {"rec": REC, "vqav2": VQA}},
        "codec": {"num_points": 8, "num_bins": 100},
    }
    two = {"data": {"sources": {"caption": CAPTION}}, "codec": {"num_points": 4}}
    paths = [
        str(write(tmp_path / f"{k}.yaml", yaml.safe_dump(each)))
        for k, each in enumerate((one, two))
    ]
    ours = stack(paths)
    assert ours["data"] == {
        "root": "a",
        "sources": {"caption": CAPTION},
    }  # nothing of the earlier sources
    assert ours["codec"] == {"num_points": 4, "num_bins": 100}


def test_configs_that_hold_no_settings(tmp_path):
    with pytest.raises(ValueError, match="is not YAML"):
        stack([str(write(tmp_path / "a.yaml", "a: [1"))])
    with pytest.raises(ValueError, match="holds no settings but list"):
        stack([str(write(tmp_path / "a.yaml", "[1]"))])
    with pytest.raises(ValueError, match=r"settings of codec: .*nun_points"):
        read_setup([str(write(tmp_path / "a.yaml", "codec: {nun_points: 4}"))], None, [])


def test_the_papers_number_stands_beside_official_files_only(tmp_path, capsys):
    task = Task.known["nlvr2"](Codec())
    annotation = Annotation(
        "1", ("a", "b"), expression="x", label="True", extra={"identifier": "dev-1-0-0"}
    )
    metrics = {f"test/nlvr2_dev/{key}": 100.0 for key in ("accuracy", "n", "parse_failures")}
    source = LoadedSource("nlvr2_dev", task, tmp_path, [annotation])
    row = score_row(source, "test", metrics)
    assert row["paper"] == 81.7
    print_table([row])
    assert "81.7" in capsys.readouterr().out
    (tmp_path / "world.json").write_text("{}")
    assert score_row(source, "test", metrics)["paper"] is None
    assert score_row(source, "val", metrics) is None


def test_from_the_command_line_without_lightning(setup, config, tmp_path):
    file = write(tmp_path / "rec_val.jsonl", rec_answers(setup))
    program = "import main, sys; main.main(sys.argv[1:]); assert 'lightning' not in sys.modules"
    words = ["score", "--task", "rec", "--predictions", str(file), "--config", config]
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "100.0" in done.stdout


@pytest.mark.parametrize("most", [[], ["8"]])
def test_the_numbers_of_test_for_the_answers_that_it_left(
    finished_run, tmp_path, monkeypatch, most
):
    from tests.tiny import run

    folder = tmp_path / "runs" / "stage1"
    shutil.copytree(
        finished_run.folder,
        folder,
        ignore=shutil.ignore_patterns("logs", "pictures", "predictions"),
    )
    monkeypatch.chdir(tmp_path)
    code, _, err = run(
        "test", "--task", "rec", "vqav2", *(f"--data.scoring.max_test={n}" for n in most)
    )
    assert code == 0, err
    tested = json.loads((folder / "scores_test.json").read_text())
    files = sorted((folder / "predictions").glob("*.jsonl"))
    assert [file.stem for file in files] == [
        "rec_refcoco_testA",
        "rec_refcoco_testB",
        "rec_refcoco_val",
        "vqav2_val",
    ]
    code, out, err = run(
        "score", "--predictions", *files, *(f"--data.scoring.max_test={n}" for n in most)
    )
    assert code == 0, err
    assert "without an answer" not in out
    rows, scores = [], {}
    for file in files:
        content = json.loads(file.with_suffix(".scores.json").read_text())
        rows += content["table"]
        scores |= content["all"]
    assert sorted(rows, key=lambda row: row["name"]) == sorted(
        tested["table"], key=lambda row: row["name"]
    )
    assert scores == {key: pytest.approx(tested["all"][key], 1e-5) for key in scores}
    assert scores.keys() == tested["all"].keys() - {"test/mean"}
    assert all(file.stem in out for file in files)


@pytest.mark.parametrize("allow", ["true", "false"])
def test_a_question_whose_image_is_missing_is_wrong_in_test_and_in_score(
    finished_run, tiny_world, tmp_path, monkeypatch, allow
):
    from tests.tiny import run

    folder = tmp_path / "runs" / "stage1"
    unused = shutil.ignore_patterns("logs", "pictures", "predictions")
    shutil.copytree(finished_run.folder, folder, ignore=unused)
    world = tmp_path / "copy"
    shutil.copytree(tiny_world, world)
    monkeypatch.chdir(tmp_path)
    reader = READERS["refcoco"](world, "testA")
    annotations = list(reader)
    (world / annotations[0].images[0]).unlink()
    lost = [a.id for a in annotations if a.images == annotations[0].images]
    words = ["--task", "rec", f"--data.root={world}", f"--data.allow_missing={allow}"]
    monkeypatch.setattr(missing, "TOLERATED", 1.0)  # one of few images is more than one per cent
    code, _, err = run("test", *words)
    assert code == 0, err
    tested = json.loads((folder / "scores_test.json").read_text())["all"]
    file = folder / "predictions" / "rec_refcoco_testA.jsonl"
    code, _, err = run("score", "--predictions", file, "--data.root", world)
    assert code == 0, err
    scored = json.loads(file.with_suffix(".scores.json").read_text())["all"]
    assert scored == {key: pytest.approx(tested[key], 1e-5) for key in scored}
    assert scored["test/rec_refcoco_testA/n"] == len(annotations)
    assert scored["test/rec_refcoco_testA/parse_failures"] >= len(lost) > 0


def test_a_score_that_would_be_a_file_elsewhere_is_refused_at_the_start(tmp_path):
    victim = write(tmp_path / "victim.scores.json", "precious")
    sources = {"rec": REC | {"test": {"../victim": "val"}}}
    config = write(tmp_path / "a.yaml", yaml.safe_dump({"data": {"sources": sources}}))
    (tmp_path / "answers").mkdir()
    file = write(tmp_path / "answers" / "a.jsonl", [])
    words = ["--predictions", str(file), "--config", str(config), "--source", "../victim"]
    with pytest.raises(InputError, match=r"'\.\./victim' is no name of a source or a score"):
        main(words)
    assert victim.read_text() == "precious"


GRES = {"task": "gres", "dataset": "grefcoco", "test": {"gres_val": "val"}}


def test_an_answer_longer_than_any_of_its_task_is_malformed_and_never_drawn(tmp_path, monkeypatch):
    setup = read_setup(
        [str(write(tmp_path / "a.yaml", yaml.safe_dump({"data": {"sources": {"g": GRES}}})))],
        FORMATS,
        [],
    )
    scored = read_scored(setup, "gres_val")
    mask = "[1, 1, 1, 9, 9, 9]"
    most = 1536 // (2 * setup.codec.num_points + 2)  # in the tokens of the longest answer
    texts = [" <msep> ".join([mask] * count) for count in (most, most + 1)] + ["none " * 6000]
    read = [scored.task.read(text, scored.annotations[0]) for text in texts]
    assert [len(each.masks) for each in read] == [most, 0, 0]
    assert [each.malformed for each in read] == [False, True, True]
    monkeypatch.setattr(type(scored.task), "parse", lambda *args: pytest.fail("it is drawn"))
    answer = Answer("here", "1", "[]" * 50_000)
    assert command.predict(scored.task, scored.annotations[0], answer, "jsonl").malformed


def test_long_answers_in_words_are_read_as_before(setup):
    scored = read_scored(setup, "vqav2_val")
    text = "Since the image shows many things, " * 100 + "the answer is red"
    for form in ("jsonl", "vqa"):
        answer = Answer("here", "1", text)
        assert not command.predict(scored.task, scored.annotations[0], answer, form).malformed
        endless = Answer("here", "1", "a" * 8193)
        assert command.predict(scored.task, scored.annotations[0], endless, form).malformed


def test_the_longest_answer_grows_with_what_the_grammar_asks_for():
    one = (Literal("The mask is"), Regions(numbers=4000))
    assert most_brackets(one, 512) == 1 and most_characters(one, 512) > 4000 * len("999, ")
    assert most_brackets((Regions(4, separator="<bsep>"),), 512) == 85
    assert most_brackets((Regions(64, separator="<msep>", count=40),), 512) == 40
    assert most_brackets((Text(),), 512) is None and most_characters((Text(),), 512) == 8192
    assert most_characters((Choice(("a", "b" * 99)),), 10) == 259


@pytest.mark.parametrize("form", ["jsonl", "llava", "pope"])
def test_a_line_that_is_too_long_is_named_and_not_kept(tmp_path, form):
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"id": "1", "text": ""}\n' + b" " * (LONGEST_LINE + 1) + b"\n")
    file.write_bytes(b'{"question_id": "1", "id": "1", "text": ""}\n' + b"x" * 2 * LONGEST_LINE)
    with pytest.raises(InputError, match=r"a\.jsonl, line 2: it has more than 1,048,576 bytes"):
        list(read_answers(file, form, []))
    with pytest.raises(InputError, match=r"a\.jsonl, line 2: it has more than"):
        list(read_records(file))


def test_brackets_without_end_are_a_sentence(tmp_path):
    deep = '{"id": "1", "text": ' + "[" * 100_000
    with pytest.raises(InputError, match="line 1: this is not JSON"):
        list(read_answers(write(tmp_path / "a.jsonl", deep + "\n"), "jsonl", []))
    with pytest.raises(InputError, match="line 1: this is not JSON"):
        list(read_records(tmp_path / "a.jsonl"))


def test_the_first_unknown_id_ends_the_reading(setup, tmp_path):
    """Two lines are read of a file that goes on."""
    file = write(tmp_path / "a.jsonl", [{"id": "7_7", "text": ""}] * 3)
    answers = read_answers(file, "jsonl", [])
    with pytest.raises(InputError, match="line 1: rec_val has no annotation '7_7'"):
        by_id(read_scored(setup, "rec_val"), answers)
    file = write(tmp_path / "b.jsonl", '{"id": "1", "text": "a"}\nno JSON')
    assert next(read_answers(file, "jsonl", [])).text == "a"


def test_more_answers_than_pope_can_ask_for(tmp_path, monkeypatch):
    monkeypatch.setattr(llava_answers, "MOST_ANSWERS", 2)
    records = [{"question_id": k, "prompt": "", "text": "no"} for k in (1, 2, 3)]
    with pytest.raises(InputError, match="line 3: 2 answers are more than POPE asks"):
        list(read_answers(write(tmp_path / "a.jsonl", records), "llava", QUESTIONS, "pope"))
