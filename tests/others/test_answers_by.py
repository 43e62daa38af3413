"""`test --answers_by`: every family is asked about all tasks of a small world, scored, resumed and scored again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from datamodules.commands.configured import Setup, read_setup
from datamodules.commands.options import OthersOptions, ScoredData, ScoringOptions
from datamodules.commands.others import test as ask_all
from datamodules.synthetic.world import write_world
from tests.others.tiny_models import LACKING, MAKERS, tiny
from tests.tiny import run
from vista.app.runs import find_config
from vista.data import Turns
from vista.images import ImageError, load_image
from vista.others.answers import BINS
from vista.others.asking import Asker
from vista.others.families.qwen3_vl import Qwen3VL
from vista.others.family import Family
from vista.predictions import read_records

ALL_TASKS = 19
MOST = 2  # annotations of a source


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "all"
    write_world(root, num_train=60, num_val=12, num_test=12, num_workers=1, formats="all")
    return root


@pytest.fixture(scope="module")
def config(world: Path) -> Path:
    """All tasks; those with a test split of several keep one."""
    content = yaml.safe_load(find_config("tiny_all").read_text())
    for name, source in content["data"]["sources"].items():
        split = next(iter(source.get("test", {}).items()), (name, source.get("train")))
        source["test"] = dict([split])
    content["data"] |= {"root": str(world), "cache": str(world.parent / "compiled")}
    path = world.parent / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(autouse=True)
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    """METEOR takes seconds for each source of captions, and is tested elsewhere."""
    problem = FileNotFoundError("no java")
    for module in ("caption", "ptb"):
        monkeypatch.setattr(f"vista.metrics.{module}.java_problem", lambda: problem)


@pytest.fixture
def setup(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.chdir(tmp_path)
    return read_setup([str(config)], None, [])


def options(**more: Any) -> OthersOptions:
    limits = ScoredData(scoring=ScoringOptions(MOST))
    return OthersOptions(
        answers_by="hf", model="tiny", max_new_tokens=8, batch_size=2, data=limits, **more
    )


Truth = dict[tuple[str, bytes], str]  # prompt and images -> answer


def key_of(turns: Turns, images: Sequence[np.ndarray]) -> tuple[str, bytes]:
    return turns[-1][0], b"".join(image.tobytes() for image in images)


class Knowing:
    """Answers rightly, in the form of Qwen3-VL, and counts its questions."""

    controls = ("<|im_end|>",)
    cuts_images = False

    def __init__(self, truth: Truth, most: int = 10**6) -> None:
        self.family, self.truth, self.most, self.count = Qwen3VL(), truth, most, 0

    def answer(self, questions: Any, images: Any, max_new_tokens: int) -> list[str]:
        if self.count >= self.most:
            raise KeyboardInterrupt
        self.count += len(questions)
        asked = zip(questions, images, strict=True)
        return [self.truth[key_of(turns, some)] + "<|im_end|>" for turns, some in asked]


QUICK = ("qwen3_vl", "florence2")
EACH = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
    for name in MAKERS
    if name != "molmo2"
] + [pytest.param("molmo2", marks=[pytest.mark.slow, LACKING])]


@pytest.mark.parametrize("model_type", EACH)
def test_each_family_is_asked_about_all_tasks(
    model_type: str, setup: Setup, tmp_path: Path
) -> None:
    sources = {name: source for name, source in setup.sources.items() if source.test}
    assert len({source.task for source in sources.values()}) == ALL_TASKS
    (tmp_path / "predictions").mkdir()
    rows, left_out = ask_all(tiny(model_type), setup, sources, tmp_path, options())
    names = {row["name"] for row in rows}
    assert len(names) + len(left_out) == sum(len(source.test) for source in sources.values())
    assert not names & set(left_out)
    for name in names:
        records = list(read_records(tmp_path / "predictions" / f"{name}.jsonl"))
        assert records and all({"raw", "bins", "prompt"} <= record.keys() for record in records)
    # Every family is asked for boxes and captions; those that answer in JSON for all that there is.
    assert "caption_coco" in names and ("rec_refcoco_val" in names or model_type == "molmo2")
    if model_type in ("qwen2_5_vl", "qwen3_vl", "gemma3", "llava_onevision"):
        assert not left_out


def truth_of(setup: Setup, name: str) -> Truth:
    source = {name: setup.sources[name]}
    (loaded,) = setup.splits.load(source, "test")
    family = Qwen3VL()
    asker = Asker(family, loaded.task)
    said: Truth = {}
    for a in loaded.annotations:
        right = loaded.task.target(a)
        if loaded.task.name in ("rec", "grec"):
            right = family.write_boxes(a.boxes, a.sizes[0])
        images = [load_image(loaded.root / image) for image in a.images]
        said[key_of(asker.turns(a), images)] = right
    return said


@pytest.mark.parametrize(
    ("name", "least"), [("rec_refcoco", 100.0), ("vqav2", 80.0), ("nlvr2", 100.0)]
)
def test_right_answers_score_as_right_and_again_by_score(
    name: str, least: float, setup: Setup, config: Path
) -> None:
    folder = Path("runs/other")
    (folder / "predictions").mkdir(parents=True)
    model = Knowing(truth_of(setup, name))
    rows, left_out = ask_all(model, setup, {name: setup.sources[name]}, folder, options())
    assert not left_out
    (row,) = rows
    assert row["score"] >= least and row["parse_failures"] == 0
    file = folder / "predictions" / f"{row['name']}.jsonl"
    outcome = run(
        "score", "--config", config, "--predictions", file, f"--data.scoring.max_test={MOST}"
    )
    assert outcome.code == 0, outcome.err
    again = json.loads((file.parent / f"{row['name']}.scores.json").read_text())["table"]
    assert again == json.loads(json.dumps(rows))


def test_a_box_is_scored_as_finely_as_it_was_written(setup: Setup) -> None:
    name = "rec_refcoco"
    folder = Path("runs/other")
    (folder / "predictions").mkdir(parents=True)
    ask_all(Knowing(truth_of(setup, name)), setup, {name: setup.sources[name]}, folder, options())
    for record in read_records(next((folder / "predictions").glob("*.jsonl"))):
        assert record["bins"] == BINS
        numbers = json.loads(record["text"])
        raw = json.loads(record["raw"].removesuffix("<|im_end|>"))[0]["bbox_2d"]
        assert numbers == [100 * number for number in raw]


@pytest.mark.parametrize("bins", ["1", "0", "true", '"9"', "1e99", "2000000000"])
def test_what_is_no_number_of_bins_is_named(bins: str, config: Path, tmp_path: Path) -> None:
    file = tmp_path / "rec_refcoco_val.jsonl"
    file.write_text('{"id": "1", "text": "[1, 2, 3, 4]", "bins": ' + bins + "}\n")
    outcome = run("score", "--config", config, "--predictions", file)
    assert outcome.code == 2 and "line 1: `bins` is" in outcome.err


def test_answers_that_are_there_are_not_asked_again(setup: Setup) -> None:
    name = "vqav2"
    folder = Path("runs/other")
    (folder / "predictions").mkdir(parents=True)
    truth, source = truth_of(setup, name), {name: setup.sources[name]}
    everything = OthersOptions(answers_by="hf", model="tiny", batch_size=4)
    stopped = Knowing(truth, most=8)
    with pytest.raises(KeyboardInterrupt):
        ask_all(stopped, setup, source, folder, everything)
    file = next((folder / "predictions").glob("*.jsonl"))
    before = file.read_text()
    assert len(before.splitlines()) == 8
    # A kill may cut the last line; a question that is asked otherwise today is asked again.
    lines = before.splitlines(keepends=True)
    other = json.dumps(json.loads(lines[0]) | {"prompt": "other"}) + "\n"
    file.write_text("".join([other, *lines[1:7], lines[7][:20]]))
    going_on = Knowing(truth)
    rows, _ = ask_all(going_on, setup, source, folder, everything)
    total = rows[0]["n"]
    assert going_on.count == total - 6
    assert len(file.read_text().splitlines()) == total
    last = Knowing({}, most=0)
    assert ask_all(last, setup, source, folder, everything)[0] == rows and last.count == 0


def test_an_image_that_cannot_be_read_is_a_malformed_answer(
    setup: Setup, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path) -> None:
        raise ImageError(f"The image {path} is damaged.")

    monkeypatch.setattr("datamodules.commands.asked.load_image", fails)
    (Path("runs/other/predictions")).mkdir(parents=True)
    name = "pope"
    rows, _ = ask_all(
        Knowing({}, 0), setup, {name: setup.sources[name]}, Path("runs/other"), options()
    )
    assert rows[0]["parse_failures"] == rows[0]["n"] > 0
    assert "is damaged" in capsys.readouterr().err


def test_the_command_line(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = tiny("llava")
    for part in (model.model, model.processor):
        part.save_pretrained(tmp_path / "llava-tiny")
    command = [
        "test", "--answers_by", "hf", "--model", "llava-tiny", "--config", config,
        "--task", "rec", "res", "nlvr2", "pope",
        "--max_new_tokens=4", f"--data.scoring.max_test={MOST}", "--device=cpu",
    ]  # fmt: skip
    outcome = run(*command)
    assert outcome.code == 0, outcome.err
    assert "rec_refcoco_val" in outcome.out and "pope_random" in outcome.out
    assert "left out: res_refcoco_val: LLaVA-1.5 cannot be asked for a mask" in outcome.out
    assert "left out: nlvr2_dev: LLaVA-1.5 cannot be asked with several images" in outcome.out
    folder = Path("runs/hf-llava-tiny")
    content = json.loads((folder / "scores_test.json").read_text())
    assert {row["name"] for row in content["table"]} == {"rec_refcoco_val", "pope_random"}
    assert set(content["left_out"]) == {"res_refcoco_val", "nlvr2_dev"}
    # Without a config `score` takes the one beside the answers.
    file = folder / "predictions" / "rec_refcoco_val.jsonl"
    assert run("score", "--predictions", file, f"--data.scoring.max_test={MOST}").code == 0
    again = run(*command, "--max_new_tokens=5")
    assert again.code == 2 and "choose another --name" in again.err


def test_a_plugin_brings_an_adapter(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from vista.others.json_places import JsonFamily\n\n"
        "class Mine(JsonFamily):\n    name = 'Mine'\n    model_types = ('bert',)\n"
    )
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "bert"}')
    command = ["test", "--answers_by=hf", "--model=model", "--config", config, "--task=pope"]
    outcome = run(*command)
    assert outcome.code == 2 and "no adapter for the model type 'bert'" in outcome.err

    try:
        outcome = run(*command, "--plugin", "mine.py")
        assert (
            outcome.code == 2
            and "no adapter" not in outcome.err
            and "cannot be loaded" in outcome.err
        )
    finally:
        Family.known.pop("bert", None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--answers_by=hf --model=x --task=recc", "did you mean 'rec'"),
        ("--answers_by=url --model=x", "--url"),
        ("--answers_by=url --model=x --url=http://localhost:1/v1 --family=florence2", "by no chat"),
        ("--answers_by=url --model=x --url=ftp://localhost --family=qwen3_vl", "is no address"),
        ("--answers_by=them --model=x", "answers_by"),
    ],
)
def test_what_does_not_fit_is_said(
    words: str, said: str, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run("test", "--config", config, *words.split())
    assert outcome.code == 2 and said in outcome.err
