"""Vocabularies of bytes (Qwen, LLaMA 3, SmolLM2): a piece is written in letters that stand for one byte each.

    " the dog" -> Ġthe Ġdog        "é" -> Ã©        "[" -> [

How words are cut before pieces are looked for is each family's own and stays. What is put into Unicode's normal form
first (Qwen) is not: a text must come back as it was.
"""

import json

import tokenizers
from transformers import PreTrainedTokenizerFast

from vista.data import InputError

SPACE = "Ġ"
# An opening bracket that opens no region: in `compact`, "[2014]" would else come back as "[2, 0, 1, 4]".
PLAIN_BRACKET = "<|[|>"


def _letters() -> dict[str, int]:
    """The letter of each byte, as GPT-2 chose them: itself where it is printable, else one of those from 256 up."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {chr(byte): byte for byte in printable}
    return letters | {chr(256 + k): byte for k, byte in enumerate(others)}


LETTERS = _letters()
# SmolLM2 lacks some that no text has, or hardly one: control characters, planes of Unicode without letters.
NEEDED = {9, 10, 13, *range(32, 127), *range(128, 192), *range(194, 241)}


def is_byte_level(fast: PreTrainedTokenizerFast) -> bool:
    """Whether pieces are written in letters of bytes."""
    content = json.loads(fast.backend_tokenizer.to_str())
    return content["model"]["type"] == "BPE" and "ByteLevel" in json.dumps(content["pre_tokenizer"])


def prepare_byte_level(fast: PreTrainedTokenizerFast) -> None:
    """Make it lossless, and give it a pad token, in place.

    Raises:
        InputError: a byte of texts has no piece, or there is no end token.
    """
    vocabulary = fast.get_vocab()
    needed = [letter for letter, byte in LETTERS.items() if byte in NEEDED]
    for piece in (*needed, f"{SPACE}["):
        if piece not in vocabulary:
            what = f"digit {piece}" if piece.isdecimal() else f"piece {piece!r}"
            raise InputError(f"the tokenizer has no token of its own for the {what}")
    if fast.eos_token is None:
        raise InputError("the tokenizer has no eos_token, with which an answer ends")
    if fast.pad_token is None:
        fast.pad_token = fast.eos_token  # padding is masked by its place, never by its id
    fast.backend_tokenizer.normalizer = None


def writes_bos(fast: PreTrainedTokenizerFast) -> bool:
    """Whether the tokenizer itself begins a text with its begin token: LLaMA 3 does, Qwen has none."""
    if fast.bos_token is None:
        return False
    ids = fast.backend_tokenizer.encode("a").ids
    return bool(ids[0] == fast.convert_tokens_to_ids(fast.bos_token))


def piece_bytes(piece: str) -> bytes:
    """What a piece of the vocabulary writes; one with other letters (a control token) is text."""
    if all(letter in LETTERS for letter in piece):
        return bytes(LETTERS[letter] for letter in piece)
    return piece.encode()


class BytePieces:
    """Text -> ids by the family's own cut and the BPE model, which know no added tokens: text cannot name them."""

    def __init__(self, fast: PreTrainedTokenizerFast) -> None:
        """Take both from a tokenizer.

        Raises:
            InputError: its cut puts a space before every text.
        """
        self._model = tokenizers.Tokenizer(fast.backend_tokenizer.model)
        self._model.pre_tokenizer = fast.backend_tokenizer.pre_tokenizer
        vocabulary = fast.get_vocab()
        self._lacking = {byte for letter, byte in LETTERS.items() if letter not in vocabulary}
        if self._model.encode("a").tokens[0].startswith(SPACE):
            raise InputError("the tokenizer puts a space before every text (add_prefix_space)")

    def encode(self, text: str) -> list[int]:
        """Ids of a text; no space is put before it. What cannot be written is a question mark."""
        valid = text.encode(errors="replace").decode()  # without lone surrogates
        if not self._lacking.isdisjoint(valid.encode()):
            valid = "".join("?" if self._lacking & set(c.encode()) else c for c in valid)
        return list(self._model.encode(valid).ids)
