"""The verb `score`: answers in files of several forms, scored as `test` scores them, without a model."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from datamodules import missing
from datamodules.commands.configured import read_setup
from datamodules.commands.result_files import read_answers
from datamodules.commands.score import by_id, read_scored, score
from datamodules.commands.score_names import choose_score
from datamodules.readers import READERS
from datamodules.source import LoadedSource
from tasks import Task
from tests.commands.scored_files import (
    CAPTION,
    FORMATS,
    REC,
    ROOT,
    VQA,
    main,
    rec_answers,
    scores_of,
    write,
)
from vista.app.report import print_table, score_row
from vista.app.settings import stack
from vista.codec.codec import Codec
from vista.data import Annotation, InputError


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
    # Both questions are about one image: nothing is said of others.
    assert content["table"] == [{**score_row(scored, "test", expected), "interval": None}]
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
        ignore=shutil.ignore_patterns("logs", "pictures", "predictions", "scores_test.json"),
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
