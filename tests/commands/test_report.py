"""`report`: a page that loads nothing, of runs and of files, and what changed between two of them."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from datamodules.commands import report as command
from datamodules.commands.gallery import Room, galleries, kinds
from datamodules.commands.options import parse_options
from datamodules.commands.reported import read_runs
from tests.commands.scored_files import rec_answers, write
from tests.tiny import run
from vista.data import InputError

LOADED = re.compile(r"<script|<link rel=\"style|https?:|@import|url\(")


def report(*words):
    command.main(parse_options("report", [str(word) for word in words]))


@pytest.fixture
def answers(setup, tmp_path):
    """Two files; the second one is wrong on the first question and malformed on the second."""
    right = rec_answers(setup)
    first = write(tmp_path / "rec_val.jsonl", right)
    wrong = [
        {**right[0], "text": "[0, 0, 10, 10]"},
        {**right[1], "text": "<b>no box", "malformed": True},
    ]
    return first, write(tmp_path / "theirs.jsonl", wrong)


@pytest.fixture
def tested(finished_run, tmp_path, monkeypatch):
    """A run that was trained and tested on a few questions, in a working folder of its own."""
    shutil.copytree(finished_run.folder, tmp_path / "runs" / "a")
    monkeypatch.chdir(tmp_path)
    outcome = run("test", "--ckpt_path", "runs/a", "--data.scoring.max_test=6")
    assert outcome.code == 0, outcome.err
    return tmp_path / "runs" / "a"


def test_files_beside_each_other(answers, config, tmp_path):
    out = tmp_path / "pages" / "r.html"
    words = ("--config", config, "--source", "rec_val", "--out", out)
    report("--compare", *answers, *words)
    page = out.read_text()
    assert (
        "<td>rec_val</td>" in page
        and "<td class=number>100.0</td><td class=number>0.0</td>" in page
    )
    assert "Paired differences" in page and "rec_val.jsonl is better" in page
    assert "&lt;b&gt;no box" in page and not LOADED.search(page)
    assert (
        out.with_suffix(".md").read_text().count("| rec_val | pr50 | 100.0 | 0.0 | +100.0 |") == 1
    )
    assert r"\begin{tabular}" in out.with_suffix(".tex").read_text()


def test_an_unanswered_question_of_a_file_is_wrong(setup, config, tmp_path):
    part = write(tmp_path / "rec_val.jsonl", rec_answers(setup)[1:])
    (found,) = read_runs(parse_options("report", ["--predictions", str(part), "--config", config]))
    scored = found.scores.headlines["rec_val", "pr50"]
    assert (scored.value, scored.n, scored.malformed) == (50.0, 2, 1)


def test_gallery_shows_each_kind_once(answers, config):
    words = ["--predictions", str(answers[1]), "--source", "rec_val", "--config", config]
    (found,) = read_runs(parse_options("report", words))
    (part,) = galleries(found, Room(10**7))
    assert part.count("<img") == 2 and "malformed" in part
    (cut,) = galleries(found, Room(0))
    assert "<img" not in cut and cut.count("class=card>") == 2


class Sample:
    def __init__(self, rank, malformed=False):
        self.rank, self.malformed = rank, malformed


@pytest.mark.parametrize("count", [0, 1, 3, 5, 8, 40])
def test_kinds_are_disjoint_and_in_order(count):
    samples = [Sample(float(k)) for k in range(count)] + [Sample(0.0, True)]
    found = kinds(samples)
    listed = [sample for some in found.values() for sample in some]
    assert len(listed) == len(set(map(id, listed))) and len(found["Malformed"]) == 1
    ranks = {kind: [sample.rank for sample in some] for kind, some in found.items()}
    assert ranks["Best"] == [float(k) for k in range(count - 1, max(-1, count - 4), -1)]
    if count == 40:
        assert ranks["Worst"] == [0.0, 1.0, 2.0] and all(15 < r < 25 for r in ranks["Median"])


def test_a_run(tested):
    report()
    page = (tested.parents[1] / "report.html").read_text()
    for title in ("Scores", "Radar", "Training", "Slices", "Answers", "Config and environment"):
        assert f"{title}</h2>" in page
    rows = json.loads((tested / "scores_test.json").read_text())["table"]
    for row in rows:
        if not row["name"].endswith("_unseen_wording"):
            assert f"{row['name']} (generated world)" in page and f"{row['score']:.1f} [" in page
    assert "Validation: pr50" in page
    assert "num_points: 4" in page and not LOADED.search(page)
    assert page.count("data:image/jpeg;base64") > 10 and len(page) < 10_000_000


def test_without_the_data_a_page_has_the_scores(tested):
    config = tested / "config.yaml"
    settings = yaml.safe_load(config.read_text())
    settings["data"] |= {"root": "nowhere", "cache": "nothing"}
    config.write_text(yaml.safe_dump(settings))
    report("--runs", "a")
    page = (tested.parents[1] / "report.html").read_text()
    assert "(generated world)" not in page.partition("Scores</h2>")[0]
    assert "are not looked at" in page and "rec_refcoco_val" in page
    assert "Answers</h2>" not in page


def test_ablation_in_the_papers_form(tested):
    shutil.copytree(tested, "runs/b")
    settings = yaml.safe_load((tested / "config.yaml").read_text())
    settings["codec"] |= {"num_points": 8, "method": "uniform"}
    settings["encoder"]["weights"] = "configs/tiny/encoder.safetensors"
    with open("runs/b/config.yaml", "w") as file:
        yaml.safe_dump(settings, file)
    report("--runs", "a", "b", "--task", "res")
    page = (tested.parents[1] / "report.html").read_text()
    assert "Sampling of points (Figure 4)" in page and "Figure 4a: highest mIoU" in page
    assert "Parts, the paper&#x27;s" in page and "<td class=number>89.7</td>" in page
    lines = (tested.parents[1] / "report.md").read_text().splitlines()
    bounds = [float(line.split("|")[4]) for line in lines if re.match(r"\| [ab] \| (ad|un)", line)]
    assert len(bounds) == 2 and 60 < bounds[0] < bounds[1] < 100, "4 points hold less than 8"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--compare", "a"], "--compare takes two runs or two files"),
        (["--runs", "none"], "none is neither a file of answers nor a run"),
        (["--out", "report.pdf"], r"--out is report.pdf; the page is an HTML file"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=sentence):
        report(*words)


ROW = {
    "name": "rec_x",
    "metric": "pr50",
    "score": 1.0,
    "baseline": None,
    "what": "",
    "n": 1,
    "parse_failures": 0,
}


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        '{"table": []}',
        json.dumps({"table": [{**ROW, "score": "1"}], "all": {}}),
        json.dumps({"table": [{**ROW, "interval": [1]}], "all": {}}),
        json.dumps({"table": [ROW], "all": {"test/rec_x/pr50": "high"}}),
    ],
)
def test_a_table_of_scores_that_is_none(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/a").mkdir(parents=True)
    (tmp_path / "runs/a/scores_test.json").write_text(content)
    with pytest.raises(InputError, match=r"scores_test.json is no table of scores; `test` writes"):
        report("--runs", "a")


def test_a_run_of_which_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/a").mkdir(parents=True)
    with pytest.raises(InputError, match="nothing is known of runs/a"):
        report("--runs", "a")


def test_scores_alone_are_a_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/a").mkdir(parents=True)
    (tmp_path / "runs/a/done.json").write_text("no JSON")
    row = {**ROW, "name": "rec_refcoco_val", "interval": [0.5, 2.0], "paper": 89.9}
    content = {"table": [row], "all": {"test/rec_refcoco_val/mean_iou": 3.0}}
    (tmp_path / "runs/a/scores_test.json").write_text(json.dumps(content))
    report("--runs", "a")
    page = (tmp_path / "report.html").read_text()
    assert "1.0 [0.5, 2.0]" in page and "Table 3a" in page and "(generated world)" not in page


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium")
def test_chromium_opens_it_without_a_network_and_without_a_complaint(answers, config, tmp_path):
    out = tmp_path / "r.html"
    report("--predictions", answers[0], "--config", config, "--out", out)
    offline = "--host-resolver-rules=MAP * ~NOTFOUND"
    flags = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        offline,
        "--enable-logging=stderr",
        "--v=0",
    ]
    folder = f"--user-data-dir={tmp_path / 'browser'}"
    command = ["chromium", *flags, folder, "--dump-dom", out.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert "Config and environment</h2>" in shown.stdout
    assert "CONSOLE" not in shown.stderr, shown.stderr
