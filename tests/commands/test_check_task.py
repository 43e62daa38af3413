"""The verb `check-task` and the laws behind it: good tasks pass, each kind of broken task is told what is wrong."""

import pickle
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

import main as command_line
from datamodules.commands import check_task as command
from datamodules.commands.check_task import SMALL_WORLD, annotations_of, by_hand, check
from datamodules.commands.configured import read_setup
from datamodules.commands.contract import check_task
from datamodules.commands.contract_rewards import REWARD_LAWS
from datamodules.commands.contract_scores import SCORE_LAWS
from datamodules.commands.contract_texts import TEXT_LAWS
from datamodules.commands.options import parse_options
from datamodules.synthetic.world import write_world
from tasks import Task
from vista.app.plugins import load_entry_points, load_plugin
from vista.data import Prediction
from vista.decoding.grammar import Choice, Text
from vista.metrics.counting import PointingQAMetric
from vista.metrics.rec import RECMetric

FORMATS = Path(__file__).parents[1] / "formats"
LAWS = ["regroup", *TEXT_LAWS, *SCORE_LAWS, *REWARD_LAWS]
PLUGIN = """
from tasks import Task
from vista.data import Prediction
from vista.decoding.grammar import Choice
from vista.metrics.counting import PointingQAMetric


class Color(Task):
    name = "{name}"
    fields = frozenset({{"label"}})
    headline = "accuracy"
    baseline_name = "red"
    templates = ("<image> Red, blue or green?",)

    def target(self, annotation):
        return annotation.label

    def grammar(self, annotation):
        return (Choice(("red", "blue", "green")),)

    def parse(self, text, annotation):
        return Prediction(text=text, answer=text, malformed=text not in ("red", "blue", "green"))

    def reference(self, annotation):
        return {{"answer": annotation.label}}

    def evaluator(self):
        return PointingQAMetric(granularities=())

    def baseline(self, annotations):
        return [Prediction(answer="red") for _ in annotations]
"""


def main(words):
    command.main(parse_options("check-task", words))


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(Task, "known", dict(Task.known))
    return Task.known


@pytest.fixture
def setup():
    return read_setup([], FORMATS, [])


@pytest.fixture
def color(known, tmp_path):
    file = tmp_path / "color.py"
    file.write_text(PLUGIN.format(name="color"))
    load_plugin(file)
    return Task.known["color"]


def broken(setup, task, annotations=None):
    findings = check(setup, task, by_hand(task) if annotations is None else annotations)
    return {finding.law: finding.text for finding in findings if not finding.ok}


def test_all_laws_hold_for_a_good_task(setup, color):
    findings = check(setup, color, by_hand(color))
    assert [finding.law for finding in findings] == LAWS
    assert all(finding.ok for finding in findings), findings


@pytest.mark.parametrize("name", ["rec", "res", "vqav2", "pope", "nlvr2"])
def test_tasks_of_the_project_on_official_formats(setup, name):
    source = {"task": name, "dataset": "refcoco" if name in ("rec", "res") else name}
    split = {"vqav2": "val", "pope": "random", "nlvr2": "dev"}.get(name, "val")
    from datamodules.source import Source

    setup.sources = {"mine": Source(**source, val=split)}
    ((what, annotations),) = annotations_of(setup, Task.known[name], 20)
    assert what == f"source mine ({source['dataset']}, {split})"
    assert len(annotations) == 2
    found = broken(setup, Task.known[name], annotations)
    # Two annotations are too few for a majority to be worth less than the truth.
    assert not set(found) - {"garbage"}, found


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "small"
    write_world(root, formats="all", num_workers=1, **SMALL_WORLD)
    return root


@pytest.mark.parametrize(
    "name",
    sorted(name for name, task in Task.known.items() if task.__module__.startswith("tasks.")),
)
def test_tasks_of_the_project_on_the_generated_world(world, name, capsys):
    main([name, "--data.root", str(world), "--limit", "20"])
    assert f"{name} on source" in capsys.readouterr().out


def bad(method):
    """A subclass of the good task with one method of another kind."""

    def make(color):
        return type("Bad", (color,), {method.__name__: method})

    return make


def attributes(**values):
    return lambda color: type("Bad", (color,), values)


def target(self, annotation):
    return f"It is {annotation.label}"


def parse(self, text, annotation):
    return Prediction(text=text, answer=text.strip("n"))  # "green" comes back as "gree"


def parse_raises(self, text, annotation):
    return Prediction(text=text, answer={"r": "red", "b": "blue", "g": "green"}.get(text[0], ""))


parse_raises.__name__ = "parse"


def parse_counts_everything(self, text, annotation):
    return Prediction(text=text, answer=annotation.label)


parse_counts_everything.__name__ = "parse"


def reference(self, annotation):
    return [annotation.label]


def baseline(self, annotations):
    return []


def turns(self, annotation, rng=None):
    return ((self.prompt(annotation), str(np.random.default_rng().random())),)


def question(self, annotation, template=0):
    return self.turns(annotation)


def regroup(self, annotations):
    return [annotations[0]] * 2


def grammar(self, annotation):
    return (Choice((annotation.label[:2],)),)


def evaluator(self):
    return RECMetric()


@pytest.mark.parametrize(
    ("make", "law", "sentence"),
    [
        (attributes(headline=""), "names", "`headline` is ''; a text is expected"),
        (
            attributes(fields=frozenset({"label", "colour"})),
            "names",
            "`fields` names ['colour']; an annotation has",
        ),
        (attributes(max_new_tokens=0), "names", "`max_new_tokens` is 0"),
        (attributes(templates=()), "templates", "there is no instruction"),
        (attributes(templates=("What color?",)), "templates", "instruction 1 has no <image>"),
        (
            attributes(templates=("<image> <colour>?",)),
            "templates",
            "has <colour>, which nothing fills",
        ),
        (
            attributes(templates=("<image>?", "<image>?")),
            "templates",
            "an instruction stands 2 times",
        ),
        (
            attributes(templates=("<image> Of <objs>?",)),
            "prompts",
            "by-hand-0: <objs> of '<image> Of <objs>?' is filled",
        ),
        (attributes(templates=("<image> and <image>?", "<image>?")), "prompts", None),
        (
            bad(target),
            "grammar",
            "annotation by-hand-0: its target 'It is red' is no legal answer under (Choice(",
        ),
        (bad(grammar), "grammar", "annotation by-hand-0: its target 'red' is no legal answer"),
        (attributes(max_new_tokens=1), "grammar", "tokens, more than max_new_tokens 1"),
        (bad(turns), "turns", "turns differ although the rng's seed is the same"),
        (bad(question), "turns", "question gives the answer away: 'red'"),
        (bad(regroup), "regroup", "2 annotations have the id by-hand-0"),
        (
            bad(parse),
            "ceiling",
            "target 'green' is read as {'answer': 'gree'}, and the reference is {",
        ),
        (bad(parse_raises), "garbage", "annotation by-hand-0: parse of '' raises IndexError"),
        (
            bad(parse_counts_everything),
            "garbage",
            "the answer '' to everything has accuracy 100.0; expected is 50.0",
        ),
        (bad(reference), "scores", "annotation by-hand-0: reference gives ['red'], not a dict"),
        (
            bad(baseline),
            "ceiling",
            "baseline gives [] for 6 annotations; expected is a Prediction for each",
        ),
        (bad(evaluator), "scores", "KeyError: 'boxes'"),
    ],
)
def test_a_broken_law_is_told_in_plain_words(setup, color, make, law, sentence):
    task = make(color)
    annotations = by_hand(color)
    if sentence is None:  # the second instruction stands for all images, the first for two
        annotations = [replace(a, images=a.images * 3) for a in annotations]
        sentence = "has 2 <image>, the annotation 3"
    found = broken(setup, task, annotations)
    assert law in found, found
    assert sentence in found[law]
    assert "\n" not in found[law]


def test_scores_that_depend_on_batches_or_break_names(setup, color):
    class Last(PointingQAMetric):
        def update(self, preds, target):
            super().update(preds[-1:], target[-1:])

    class Named(PointingQAMetric):
        def scores(self, total):
            return super().scores(total) | {"Pr@0.5": 1.0}

    for metric, sentence in (
        (Last, "the evaluator counted 1 of 6"),
        (Named, "'Pr@0.5' holds `@`, `.` or a space"),
    ):
        task = type("Bad", (color,), {"evaluator": lambda self, metric=metric: metric(())})
        assert sentence in broken(setup, task)["scores"]


def test_unreadable_samples_must_earn_nothing(setup, color):
    class Kind(PointingQAMetric):
        def sample(self, pred, ref):
            return super().sample(replace(pred, answer=ref["answer"], malformed=False), ref)

    task = type("Bad", (color,), {"evaluator": lambda self: Kind(())})
    assert (
        "accuracy is 100.0 where all samples are unreadable; expected is 0"
        in broken(setup, task)["unreadable"]
    )


def test_rewards_that_pay_for_something_else(setup, color):
    """What is no share, what pays malformed answers, what pays words alike, what pays less of a region more."""
    res = Task.known["res"]
    for kind, reward, sentence in (
        (color, lambda *_: 2.0, "reward gives 2.0, not a number from 0 to 1"),
        (color, lambda *_: 0.5, "malformed answers have a reward of 0.50; expected is 0"),
        (color, lambda *_: 0.0, "right answers have a reward of 0.00; expected is more than 0.80"),
        (color, lambda _, pred, ref: float(not pred.malformed or pred.text != ""), "garbage"),
        (res, lambda _, pred, ref: 1 - pred.masks[0].mean() if pred.masks else 0.0, "halves"),
    ):
        task = type("Bad", (kind,), {"reward": reward})
        found = broken(setup, task, [comb(n) for n in range(6)] if kind is res else None)
        if sentence == "garbage":
            sentence = "to everything has a reward of 1.00; expected is 0.80 at most"
        assert list(found) == ["rewards"] and sentence in found["rewards"], found


def noted(setup, task, annotations):
    """What cannot be judged, by law; nothing is broken."""
    findings = check(setup, task, annotations)
    assert all(finding.ok for finding in findings), findings
    return {finding.law: finding.text for finding in findings if finding.is_limit}


def comb(number, teeth=12, size=240):
    """A mask as those of stuff are: a bar with many thin teeth, at another place for each number."""
    left, width = 4.0 + number, 2 * teeth
    points = [(left, 20.0), (left + 9 * width, 20.0)]
    for tooth in range(width - 1, -1, -1):
        depth = 30.0 if tooth % 2 else size - 20.0
        points += [(left + 9 * (tooth + 1), depth), (left + 9 * tooth, depth)]
    polygon = [value for point in points for value in point]
    (annotation,) = by_hand(Task.known["res"], 1)
    images = {"images": (f"{number}.jpg",), "sizes": ((size, size),)}
    box = (left, 20.0, left + 9 * width, size - 20.0)
    return replace(annotation, id=str(number), segmentations=([polygon],), boxes=(box,), **images)


def test_masks_that_few_points_cannot_hold_are_no_fault_of_the_task(setup):
    """Combs at 8 points: right answers have less than 75, as the codec draws them."""
    annotations = [comb(number) for number in range(8)]
    assert setup.codec.num_points == 8
    notes = noted(setup, Task.known["res"], annotations)
    assert list(notes) == ["ceiling", "rewards"]
    assert notes["ceiling"].startswith("8 points (adaptive, largest) hold these regions to mIoU ")
    assert notes["ceiling"].endswith(": a limit of the codec")


def test_a_task_that_loses_more_than_the_codec_is_still_broken(setup):
    class Halved(Task.known["res"]):
        name = "halved"
        templates = ("<image> Where is <expr>?",)

        def parse(self, text, annotation):
            pred = super().parse(text, annotation)
            return replace(
                pred, masks=[mask & (np.indices(mask.shape)[0] > 100) for mask in pred.masks]
            )

    try:
        assert "ceiling" in broken(setup, Halved, [comb(number) for number in range(8)])
    finally:
        del Task.known["halved"]


def test_few_annotations_tell_nothing_of_scores(setup, color):
    """CIDEr of one image is 0 by its own definition, and an answer of two may be that of both."""
    caption = by_hand(Task.known["caption"], 1)
    notes = noted(setup, Task.known["caption"], caption)
    assert notes["ceiling"] == "right answers have CIDEr 0.0; too few annotations to tell: 1"
    same = [replace(annotation, label="red") for annotation in by_hand(color, 2)]
    task = type("Sure", (color,), {"parse": parse_counts_everything})
    assert set(noted(setup, task, same)) == {"garbage", "rewards"}


def test_a_source_without_a_sample_breaks_nothing(setup, color, known):
    (finding,) = check(setup, color, [])
    assert (finding.law, finding.ok, finding.is_limit) == ("regroup", True, True)
    assert finding.text == "there are no annotations"


def test_data_that_a_task_refuses_break_nothing(setup):
    """The task itself says in a sentence what it cannot take: no image sizes, groups of two."""
    pairs = [replace(a, segmentations=()) for a in by_hand(Task.known["bqa"])]
    (finding,) = check(setup, Task.known["bqa"], [replace(a, sizes=()) for a in pairs])
    assert (
        finding.is_limit
        and "task bqa needs image sizes, but 6 annotations have none" in finding.text
    )


def test_an_id_that_stands_twice_in_the_data_is_theirs(setup, color):
    annotations = by_hand(color)
    notes = noted(setup, color, [*annotations, annotations[0]])
    assert notes == {"regroup": "2 annotations of the data have the id by-hand-0"}


def test_a_few_long_answers_are_the_data_s(setup, known):
    task = Task.known["vqav2"]
    long = " ".join(["a very long answer"] * 9)
    annotations = by_hand(task, 8)
    annotations[3] = replace(annotations[3], label=long, answers=(long,) * 10)
    grammar = {finding.law: finding for finding in check(setup, task, annotations)}["grammar"]
    assert grammar.is_limit and grammar.text.startswith(
        "1 of 8 right answers are longer than the task allows: annotation by-hand-3: its target has 64"
    )
    all_long = [replace(a, label=long, answers=(long,) * 10) for a in annotations]
    assert "annotation by-hand-0: its target has 64" in broken(setup, task, all_long)["grammar"]


def test_long_masks_are_the_codec_s(setup):
    setup.codec.num_points = 300
    notes = noted(setup, Task.known["res"], [comb(number) for number in range(8)])
    assert notes["grammar"].startswith(
        "a mask of 300 points is long: annotation 0: its target has 603"
    )


def test_a_split_without_a_sample_gives_way_to_the_next(tmp_path, capsys):
    """An empty file is no broken contract; where all are empty, the generated world stands in."""
    refer = tmp_path / "data" / "refer" / "refcoco"
    shutil.copytree(FORMATS / "refer" / "refcoco", refer)
    refs = pickle.loads((refer / "refs(unc).p").read_bytes())
    others = [ref for ref in refs if ref["split"] != "testB"]
    (refer / "refs(unc).p").write_bytes(pickle.dumps(others, protocol=2))
    source = {"task": "rec", "dataset": "refcoco", "val": "testB", "train": "train"}
    content = {"data": {"root": str(tmp_path / "data"), "sources": {"mine": source}}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    main(["rec", "--config", str(tmp_path / "mine.yaml")])
    assert "rec on source mine (refcoco, train)\n" in capsys.readouterr().out
    del source["train"]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    main(["rec", "--config", str(tmp_path / "mine.yaml"), "--limit", "5"])
    out = capsys.readouterr().out
    assert f"source mine: refcoco (testB) has no sample in {tmp_path / 'data'}" in out
    assert "rec on source mine (refcoco, testB) of a small generated world" in out


def test_a_class_that_cannot_be_built_is_one_finding(setup, known):
    class Half(Task):
        name = "half"
        headline = baseline_name = "x"

        def grammar(self, annotation):
            return (Text(),)

    (finding,) = check_task(Half, setup.codec, [], lambda grammar, text: True, len)
    assert not finding.ok and "abstract method" in finding.text


def test_from_the_command_line(known, tmp_path, capsys):
    (tmp_path / "colors.py").write_text(PLUGIN.format(name="colors"))
    main(["colors", "--plugin", str(tmp_path / "colors.py")])
    out = capsys.readouterr().out
    assert "colors on annotations made by hand" in out
    assert out.count("  ok   ") == len(LAWS) and "FAIL" not in out


def test_status_two_and_a_sentence_where_a_law_is_broken(known, tmp_path, capsys):
    (tmp_path / "bad_colors.py").write_text(
        PLUGIN.format(name="bad_colors").replace("<image> Red", "Red")
    )
    with pytest.raises(SystemExit) as stopped:
        command_line.main(["check-task", "bad_colors", "--plugin", str(tmp_path / "bad_colors.py")])
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert "  FAIL templates: instruction 1 has no <image>" in printed.out
    assert "breaks the contract of vista/task.py in" in printed.err


def test_a_config_brings_plugin_and_source(known, tmp_path, capsys):
    (tmp_path / "shade.py").write_text(
        PLUGIN.format(name="shade").replace('"red", "blue", "green"', '"True", "False"')
    )
    source = {"task": "shade", "dataset": "nlvr2", "val": "dev"}
    content = {
        "plugin": str(tmp_path / "shade.py"),
        "data": {"root": str(FORMATS), "sources": {"shades": source}},
    }
    (tmp_path / "shade.yaml").write_text(yaml.safe_dump(content))
    main(["shade", "--config", str(tmp_path / "shade.yaml")])
    assert "shade on source shades (nlvr2, dev)" in capsys.readouterr().out


def test_a_small_world_stands_in_for_missing_files(tmp_path, capsys):
    main(["rec", "--data.root", str(tmp_path / "nowhere"), "--limit", "5"])
    out = capsys.readouterr().out
    assert "nowhere/refer/refcoco/refs(unc).p, which is not there" in out
    assert "(refcoco, val) of a small generated world" in out


def test_unknown_names(known, tmp_path):
    with pytest.raises(ValueError, match="there is no task 'wreck'; did you mean 'rec'"):
        main(["wreck"])
    with pytest.raises(FileNotFoundError, match="there is no plugin"):
        main(["rec", "--plugin", str(tmp_path / "none.py")])


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with two entry points, one of which cannot be imported."""
    (tmp_path / "outside_color.py").write_text(PLUGIN.format(name="outside_color"))
    info = tmp_path / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    points = "[vista.tasks]\noutside_color = outside_color:Color\nlost = not_there_at_all\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("outside_color", None)
    shutil.rmtree(info)


def test_entry_points_are_loaded_and_a_broken_one_is_only_a_warning(known, package):
    with pytest.warns(
        UserWarning, match=r"the task lost \(not_there_at_all\) is not loaded: ModuleNotFoundError"
    ):
        assert "outside_color" in load_entry_points()
    assert "outside_color" in Task.known


def test_a_plugin_that_fails_may_be_mended_and_loaded_again(known, tmp_path):
    file = tmp_path / "mended.py"
    file.write_text("1 / 0")
    with pytest.raises(ZeroDivisionError):
        load_plugin(file)
    file.write_text(PLUGIN.format(name="mended"))
    load_plugin(file)
    load_plugin(file)
    assert "mended" in Task.known
