"""The verb `score` on files of strangers: names, lengths and nesting are bounded before anything is kept."""

import pytest
import yaml

from datamodules.commands import score as command
from datamodules.commands.configured import read_setup
from datamodules.commands.result_files import Answer, read_answers
from datamodules.commands.score import by_id, read_scored
from tests.commands.scored_files import FORMATS, REC, main, write
from vista.data import InputError
from vista.decoding.grammar import Choice, Literal, Regions, Text, most_brackets, most_characters
from vista.predictions import LONGEST_LINE, read_records


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
