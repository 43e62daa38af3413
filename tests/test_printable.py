"""Control characters of texts from outside are shown, wherever they are printed; brackets in a table are no markup."""

import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from callbacks.answers import Answers
from datamodules.commands import data as data_command
from datamodules.commands.options import parse_options
from datamodules.readers import READERS
from datamodules.readers.reader import Reader
from main import main
from vista.app.errors import told_in_one_sentence
from vista.app.report import Row, print_table
from vista.data import Annotation, InputError, MissingFileError, Prediction, SampleError
from vista.printable import guard_messages, in_one_line, printable, say

# Clears the screen, goes back in the line, turns the direction round, and says both in eight bits.
EVIL = "a\x1b[2Jb\rc\x08\u202ed\x9b2Je\x7f\x00\u2066f\ud800"
SHOWN = r"a\x1b[2Jb\rc\x08\u202ed\x9b2Je\x7f\x00\u2066f\ud800"


def harmless(text: str) -> bool:
    return not any(char in text for char in "\x1b\r\x08\u202e\x9b\x7f\x00\u2066\ud800")


@pytest.fixture
def own_messages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `guard_messages` changes is taken back."""
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield


def test_control_characters_are_shown_and_all_else_stays() -> None:
    assert printable(EVIL) == SHOWN
    sound = "naïve\tcafé\n\u05d0 中文 \u200f\u200d emoji 😀 [red] \\x1b"
    assert printable(sound) == sound
    assert in_one_line("a\n b\u2028c \x1b") == r"a b c \x1b"


def test_say(capsys: pytest.CaptureFixture[str]) -> None:
    say(EVIL, "b")
    say(EVIL, file=sys.stderr)
    assert capsys.readouterr() == (f"{SHOWN}\nb\n", f"{SHOWN}\n")


@pytest.mark.parametrize("kind", [InputError, MissingFileError, SampleError])
def test_sentences_for_people(kind: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    assert str(kind(EVIL)) == SHOWN
    with pytest.raises((SystemExit, SampleError)), told_in_one_sentence():
        raise kind(EVIL)
    assert capsys.readouterr().err == f"error: {SHOWN}\n"


def test_warnings_and_tracebacks(own_messages: None, capsys: pytest.CaptureFixture[str]) -> None:
    guard_messages()
    guard_messages()  # once is enough
    text = warnings.formatwarning(EVIL, UserWarning, "a.py", 1)
    assert SHOWN in text and harmless(text)
    try:
        raise KeyError("b") from ValueError(EVIL)
    except KeyError as error:
        sys.excepthook(KeyError, error, error.__traceback__)
    said = capsys.readouterr().err
    assert f"ValueError: {SHOWN}" in said and said.endswith("KeyError: 'b'\n") and harmless(said)


def test_whoever_records_warnings_gets_them_as_they_are(own_messages: None) -> None:
    guard_messages()
    with pytest.warns(UserWarning) as caught:
        warnings.warn(EVIL, stacklevel=1)
    assert str(caught[0].message) == EVIL


def test_cells_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    row: Row = {
        "name": "[red]x[/red]", "metric": EVIL, "score": 1.0, "baseline": None, "what": ":smile: [/] a\nb",
        "paper": None, "n": 1, "parse_failures": 0,
    }  # fmt: skip
    print_table([row])
    said = capsys.readouterr().out
    assert "[red]x[/red]" in said and ":smile: [/] a b" in said and r"\x1b[2J" in said
    assert harmless(said)


def test_the_answer_to_a_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("callbacks.answers.draw_question", lambda *args, **kwargs: None)
    monkeypatch.setattr("callbacks.answers.save_png", lambda *args: None)
    monkeypatch.setattr("callbacks.answers.eval_sources", lambda trainer: [None])

    class First:
        is_global_zero = True

    batch = {"annotations": [Annotation("1", ())]}
    answers = [Prediction(text=EVIL)]
    Answers(tmp_path / "a.png").on_predict_batch_end(First(), None, answers, batch, 0)  # type: ignore[arg-type]
    assert capsys.readouterr().out == f"{SHOWN}\n"


class Evil(Reader):
    """Whose records are named by control characters."""

    name, splits = "evil", ("val",)
    fields = frozenset({"expression", "boxes", "sizes"})

    def _annotations(self) -> Iterator[Annotation]:
        self.leave_out(EVIL.replace("\ud800", ""), EVIL.replace("\ud800", ""))
        raise InputError(f"record {EVIL} is none")
        yield


def test_what_the_verbs_say_of_records(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    own_messages: None,
) -> None:
    monkeypatch.setitem(READERS, "evil", Evil)
    source = {"task": "rec", "dataset": "evil", "test": {"evil_val": "val"}}
    content = {"data": {"root": str(tmp_path), "cache": str(tmp_path), "sources": {"evil": source}}}
    config = tmp_path / "a.yaml"
    config.write_text(yaml.safe_dump(content))
    data_command.main(parse_options("data", ["verify", "--config", str(config)]))
    (tmp_path / "evil_val.jsonl").write_text(json.dumps({"id": EVIL, "text": ""}) + "\n")
    words = ["score", "--config", str(config), "--predictions", str(tmp_path / "evil_val.jsonl")]
    with pytest.raises(SystemExit):
        main(words)
    out, err = capsys.readouterr()
    assert f"record {SHOWN} is none" in out and f"record {SHOWN} is none" in err
    assert harmless(out) and harmless(err)
