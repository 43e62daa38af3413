"""The tokenizer in a GGUF file (llama.cpp's format), read from the file's head without any package.

Only vocabularies of bytes whose cut of words is known are taken. The file names that cut; whoever does not know the
name and takes GPT-2's instead, as transformers does, splits what the LLM was trained to read as one piece: two line
breaks of SmolLM are one.
"""

from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO

from tokenizers import AddedToken, Tokenizer, decoders, models
from tokenizers.pre_tokenizers import ByteLevel, Digits, PreTokenizer, Sequence
from transformers import PreTrainedTokenizerFast

from vista.data import InputError

# Layout of the numbers in a head, by the type that stands before them.
NUMBERS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
STRING, ARRAY = 8, 9
CONTROL, BY_USER = 3, 4  # types of tokens that stand in no text
SPECIAL = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "pad_token": "padding_token_id",
    "unk_token": "unknown_token_id",
}


def gguf_in(path: Path) -> Path | None:
    """The GGUF that a path names, or the only one of a folder."""
    found = [path] if path.suffix == ".gguf" and path.is_file() else sorted(path.glob("*.gguf"))
    return found[0] if len(found) == 1 else None


def read_gguf_tokenizer(file: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a GGUF.

    Raises:
        InputError: the file is damaged, or has a vocabulary of another kind.
    """
    head = read_head(file)
    prefix = "tokenizer.ggml."
    said = {key.removeprefix(prefix): value for key, value in head.items()}
    cut = _cut(file, said)
    try:
        tokens: list[str] = said["tokens"]
        vocabulary = {token: i for i, token in enumerate(tokens)}
        merges = [_pair(merge) for merge in said["merges"]]
        backend = Tokenizer(models.BPE(vocabulary, merges))
        named = {ours: tokens[said[theirs]] for ours, theirs in SPECIAL.items() if theirs in said}
        kinds = dict(zip(tokens, said["token_type"], strict=True))
    except Exception as error:  # whatever a damaged vocabulary makes of its reader
        raise InputError(f"{file} holds no whole tokenizer: {error!r}") from error
    backend.pre_tokenizer, backend.decoder = cut, decoders.ByteLevel()
    for kind in (CONTROL, BY_USER):
        own = [token for token in tokens if kinds[token] == kind]
        special = kind == CONTROL
        backend.add_tokens([AddedToken(t, normalized=False, special=special) for t in own])
    fast = PreTrainedTokenizerFast(tokenizer_object=backend, **named)
    if template := head.get("tokenizer.chat_template"):
        fast.chat_template = str(template)
    return fast


def read_head(file: Path) -> dict[str, Any]:
    """What a GGUF says before its tensors, by name.

    Raises:
        InputError: it is damaged.
    """
    with file.open("rb") as opened:
        head = _Head(opened, file)
        if head.take(4) != b"GGUF" or head.number("I") < 2:
            raise InputError(f"{file} is no GGUF of version 2 or later")
        head.number("Q")  # of tensors
        return dict(head.pairs(head.number("Q")))


def _cut(file: Path, said: dict[str, Any]) -> PreTokenizer:
    """How words are cut before pieces are looked for."""
    kind, cut = said.get("model"), said.get("pre")
    if kind != "gpt2" or cut != "smollm" or said.get("add_bos_token"):
        raise InputError(
            f"{file} has a tokenizer of kind {kind!r} with the cut {cut!r}; of GGUF's only SmolLM's is known, so put "
            "tokenizer.json and tokenizer_config.json of the model's own folder beside it"
        )
    return Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])


def _pair(merge: str) -> tuple[str, str]:
    left, right = merge.split(" ")
    return left, right


class _Head:
    """Reads one value after another."""

    def __init__(self, opened: BinaryIO, file: Path) -> None:
        self.opened, self.file = opened, file
        self.left = file.stat().st_size  # bytes

    def take(self, count: int) -> bytes:
        self.left -= count
        if self.left < 0:
            raise InputError(f"{self.file} ends in its head; it was not downloaded to its end")
        return self.opened.read(count)

    def number(self, layout: str) -> Any:
        number = Struct(f"<{layout}")
        return number.unpack(self.take(number.size))[0]

    def string(self) -> str:
        return self.take(self.number("Q")).decode(errors="replace")

    def pairs(self, count: int) -> Iterator[tuple[str, Any]]:
        for _ in range(count):
            name = self.string()
            kind = self.number("I")
            yield name, self.array() if kind == ARRAY else self.value(kind)

    def array(self) -> list[Any]:
        kind, count = self.number("I"), self.number("Q")
        return [self.value(kind) for _ in range(count)]

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.string()
        if kind not in NUMBERS:
            raise InputError(f"{self.file} is damaged: its head has a value of type {kind}")
        return self.number(NUMBERS[kind])
