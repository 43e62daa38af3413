"""Uploading an exported folder, to an object that stands in for the hub."""

from pathlib import Path
from typing import Any

import pytest

from datamodules.commands.push import check_name, push
from vista.data import InputError


class StandIn:
    """Remembers what it is asked for."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked, self.error = list[tuple[str, Any]](), error

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        self.asked.append(("create", (repo_id, private, exist_ok)))
        if self.error is not None:
            raise self.error

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> None:
        self.asked.append(("upload", (repo_id, folder_path)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "qformer_tokenizer").mkdir()
    (tmp_path / "README.md").write_text("card")
    (tmp_path / "qformer_tokenizer/tokenizer.json").write_text("{}")
    return tmp_path


def test_it_is_said_what_is_uploaded_before_it_is(folder, capsys):
    hub = StandIn()
    push(folder, "me/tiny", hub)
    upload = ("upload", ("me/tiny", str(folder)))
    assert hub.asked == [("create", ("me/tiny", True, True)), upload]
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith(
        "uploading 2 files (0.0 MB) to https://huggingface.co/me/tiny: README.md"
    )
    assert "qformer_tokenizer/tokenizer.json" in first and last.startswith("uploaded: ")


def test_what_goes_wrong_is_one_sentence_without_the_token(folder, capsys):
    hub = StandIn(ConnectionError("Authorization: Bearer hf_secret"))
    with pytest.raises(
        InputError, match=r"was not uploaded to me/tiny \(ConnectionError\)"
    ) as error:
        push(folder, "me/tiny", hub)
    shown = str(error.value) + capsys.readouterr().out
    assert "secret" not in shown and "\n" not in str(error.value)
    assert [what for what, _ in hub.asked] == ["create"]


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "../x", "a/b c", "https://x/y"])
def test_a_name_that_is_none_is_refused_before_anything_is_written(name):
    with pytest.raises(InputError, match="looks like owner/name"):
        check_name(name)
