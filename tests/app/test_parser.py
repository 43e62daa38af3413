"""One parser for all verbs: lists, groups of options, positions, and mistakes in one sentence."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from datamodules.commands.options import parse_options
from vista.app.parser import is_list, join_lists, parse, settings_of, take
from vista.data import InputError

WAYS = [
    ["--task", "res", "rec"],
    ["--task=[res,rec]"],
    ["--task", "[res, rec]"],
    ['--task=["res", "rec"]'],
    ["--task", "res", "--task", "rec"],
    ["--task=res", "--limit=3", "--task=rec"],
]


@dataclass(frozen=True)
class Place:
    """Where files lie.

    Attributes:
        root: a folder.
    """

    root: Path | None = None


@dataclass(frozen=True)
class Options:
    """Do something.

    Attributes:
        kind: of what is done.
        task: names.
        points: numbers.
        limit: how many.
        place: where.
    """

    kind: Literal["audit", "verify"]
    task: list[str] = field(default_factory=list)
    points: list[int] | None = None
    limit: int = 60
    place: Place = Place()


@pytest.mark.parametrize("words", WAYS, ids=" ".join)
def test_a_list_is_written_in_several_ways(words):
    assert take(words, "task")[0] == ["res", "rec"]
    assert parse("do", Options, ["--kind", "audit", *words]).task == ["res", "rec"]


def test_what_stands_around_a_list_stays():
    words = ["a", "--x", "1", "--task=res", "b", "--task", "rec", "-h", "--y=[2]"]
    assert take(words, "task") == (["res", "rec"], ["a", "--x", "1", "b", "-h", "--y=[2]"])
    assert take(words, "tas") == (None, words)
    assert take([], "task") == (None, [])
    with pytest.raises(InputError, match="--task needs a value"):
        take(["--task", "--x"], "task")


def test_lists_become_one_word_where_the_type_is_one():
    types = settings_of(Options)
    words = ["--limit", "3", "4", "--points", "8", "--task", "[a", "1"]
    assert join_lists(words, types) == [
        "--limit", "3", "4", '--task=["[a", "1"]', '--points=["8"]',
    ]  # fmt: skip
    assert join_lists(["--points=null", "--task=[]"], types) == ["--task=[]", "--points=null"]
    assert parse("do", Options, ["--kind=audit", "--points", "8", "16"]).points == [8, 16]
    kinds = (list[str], list[int] | None, tuple[float, float], str, list[int] | str, dict[str, int])
    assert [is_list(kind) for kind in kinds] == [True, True, True, False, False, False]


def test_settings_have_dotted_names_and_types():
    assert settings_of(Options, "x.") == {
        "x.kind": Literal["audit", "verify"],
        "x.task": list[str],
        "x.points": list[int] | None,
        "x.limit": int,
        "x.place": Place,
        "x.place.root": Path | None,
    }


def test_groups_and_positions():
    options = parse("do", Options, ["verify", "--place.root", "a"], positional=True)
    assert options == Options("verify", place=Place(Path("a")))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "the command lacks kind"),
        (["--kind=audi"], "kind is 'audi'; it must be audit or verify, did you mean 'audit'?"),
        (["--kind=audit", "--place.rot=a"], "no setting 'place.rot'; did you mean 'place.root'?"),
        (["--kind=audit", "--lim=3"], "there is no setting 'lim'; did you mean 'limit'?"),
        (["--kind=audit", "--limit=few"], "limit is 'few'; it must be int"),
        (["--kind=audit", "word"], "'word' is no setting; settings begin with --"),
    ],
)
def test_a_mistake_is_one_sentence(words, sentence):
    with pytest.raises(InputError) as error:
        parse("do", Options, words)
    assert sentence in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("verb", ["score", "check-task", "data"])
@pytest.mark.parametrize("words", WAYS[:5], ids=" ".join)
def test_every_verb_of_sources_takes_the_same_options(verb, words):
    first = {"score": ["--predictions", "a", "b"], "check-task": [], "data": ["audit"]}[verb]
    others = ["--config", "a", "--config=b", "--plugin", "c.py", "d.py", "--data.root", "there"]
    options = parse_options(verb, [*first, *words, *others])
    assert options.task == ["res", "rec"]
    assert options.config == ["a", "b"] and options.plugin == ["c.py", "d.py"]
    assert options.data.root == Path("there")


def test_names_of_tasks_may_come_first():
    assert parse_options("check-task", ["res", "rec", "--limit", "3"]).task == ["res", "rec"]
    assert parse_options("check-task", ["res"]) == parse_options("check-task", ["--task=res"])
    with pytest.raises(InputError, match="the command lacks task"):
        parse_options("check-task", [])
    with pytest.raises(InputError, match="settings begin with --"):
        parse_options("check-task", ["--limit", "3", "res"])


def test_positions_of_the_other_verbs():
    options = parse_options("consolidate", ["stage1", "weights.ckpt"])
    assert (options.run, options.out) == ("stage1", Path("weights.ckpt"))
    assert parse_options("data", ["verify"]).action == "verify"
    with pytest.raises(InputError, match=r"did you mean 'data\.root'"):
        parse_options("data", ["verify", "--root", "x"])
