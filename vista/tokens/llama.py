"""An LLM's own tokenizer and the tokens that are added to it; LLaMA's here, those of bytes in `byte_level.py`.

    LLaMA 32000 + `<|10|>` ... `<|999|>` 990 + `<image>` `<bsep>` `<msep>` = 32993

Sizes and ids are read from the files: a folder may already hold a pad token, `<image>`, or all of ours.
"""

import json
import re
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from vista.data import InputError, MissingFileError
from vista.tokens.byte_level import (
    PLAIN_BRACKET,
    is_byte_level,
    piece_bytes,
    prepare_byte_level,
)
from vista.tokens.gguf import gguf_in, read_gguf_tokenizer

MARKS = ("<image>", "<bsep>", "<msep>")
COORDINATES = tuple(f"<|{n}|>" for n in range(10, 1000))  # 0 to 9 stay the LLM's own digits
_SPECIAL = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<unk>"}
_NEEDED = ("▁[", "[", "]", ",", "▁", *"0123456789", *(f"<0x{byte:02X}>" for byte in range(256)))
_BYTE = re.compile("<0x([0-9A-F]{2})>")
_COORDINATE = re.compile(r"<\|([0-9]+)\|>")


def load_fast(folder: Path | str) -> PreTrainedTokenizerFast:
    """The fast tokenizer of a folder, or of the GGUF file in it where there is no other.

    Raises:
        MissingFileError: there is no `tokenizer.json`.
        InputError: the GGUF's tokenizer is of a kind that is not known.
    """
    if not (Path(folder) / "tokenizer.json").is_file():
        if (gguf := gguf_in(Path(folder))) is not None:
            return read_gguf_tokenizer(gguf)
        # transformers can convert `tokenizer.model`, but ranks the merges of spaces otherwise than SentencePiece.
        raise MissingFileError(
            f"{folder} holds no tokenizer.json; `tokenizer.model` alone is not converted exactly, so take the "
            "tokenizer.json of a LLaMA or InstructBLIP-Vicuna checkpoint"
        )
    return PreTrainedTokenizerFast.from_pretrained(folder)


def add_tokens(fast: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Add in place what the tokenizer lacks: special tokens, coordinates and marks.

    Raises:
        InputError: the vocabulary is neither a LLaMA-like BPE nor one of bytes.
    """
    if is_byte_level(fast):
        prepare_byte_level(fast)
    else:
        _prepare_llama_like(fast)
    known = fast.get_vocab()
    new = [token for token in _own_tokens(fast) if token not in known]
    # `special=True` would let `decode(skip_special_tokens=True)` drop them.
    fast.add_tokens([AddedToken(token, normalized=False, special=False) for token in new])
    return fast


def added_ids(fast: PreTrainedTokenizerFast) -> list[int]:
    """The ids of what `add_tokens` adds, which no LLM knows before it was trained on them."""
    vocabulary = fast.get_vocab()
    return sorted(vocabulary[token] for token in _own_tokens(fast))


def _own_tokens(fast: PreTrainedTokenizerFast) -> list[str]:
    return [*COORDINATES, *MARKS, *([PLAIN_BRACKET] if is_byte_level(fast) else [])]


def _prepare_llama_like(fast: PreTrainedTokenizerFast) -> None:
    """Special tokens by LLaMA's names where there are none, and a space before a text as a piece of its own.

    A LLaMA has no pad token of its own: `<unk>` pads, as in Vicuna. Byte fallback never yields it.
    """
    check_llama_like(fast)
    for name, token in _SPECIAL.items():
        if getattr(fast, name) is None:
            setattr(fast, name, token)
    backend = fast.backend_tokenizer
    backend.normalizer = None  # the older normaliser puts a space after every added token
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    pieces = decoders.Replace("▁", " ")
    steps = [pieces, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(steps)


def check_llama_like(fast: PreTrainedTokenizerFast) -> None:
    """Refuse a vocabulary that `vista.tokens.tokenizer` would cut wrongly.

    Raises:
        InputError: a piece is missing, or the model is another one.
    """
    vocabulary = fast.get_vocab()
    if missing := [piece for piece in _NEEDED if piece not in vocabulary]:
        raise InputError(f"not a LLaMA-like vocabulary: it has no piece {missing[0]!r}")
    model = json.loads(fast.backend_tokenizer.to_str())["model"]
    if model["type"] != "BPE" or not model["byte_fallback"]:
        raise InputError("not a LLaMA-like vocabulary: it must be a BPE with byte fallback")
    for name, token in _SPECIAL.items():
        if getattr(fast, name) is None and token not in vocabulary:
            raise InputError(f"the tokenizer has no {name}, and no piece {token!r} to take for it")


def crosses_words(fast: PreTrainedTokenizerFast) -> bool:
    """Whether a piece holds a space inside, so that words cannot be cut apart before."""
    return any("▁" in piece.lstrip("▁") for piece in fast.backend_tokenizer.get_vocab(False))


def fast_to_json(fast: PreTrainedTokenizerFast) -> dict[str, Any]:
    """The tokenizer as plain containers."""
    names = [name for name in _SPECIAL if getattr(fast, name) is not None]
    special = {name: str(getattr(fast, name)) for name in names}
    template = {"chat_template": fast.chat_template} if fast.chat_template else {}
    tokenizer = json.loads(fast.backend_tokenizer.to_str())
    return {"special": special, "tokenizer": tokenizer, **template}


def fast_from_json(state: dict[str, Any]) -> PreTrainedTokenizerFast:
    """The tokenizer of `fast_to_json`."""
    backend = Tokenizer.from_str(json.dumps(state["tokenizer"]))
    template = state.get("chat_template")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, chat_template=template, **state["special"]
    )


def visible_bytes(fast: PreTrainedTokenizerFast) -> list[bytes]:
    """What each id writes, in UTF-8; a coordinate token writes its number."""
    vocabulary, added = fast.get_vocab(), fast.get_added_vocab()
    byte_level = is_byte_level(fast)
    visible = [b""] * (max(vocabulary.values()) + 1)
    for piece, i in vocabulary.items():
        if number := _COORDINATE.fullmatch(piece):
            visible[i] = number[1].encode()
        elif piece == PLAIN_BRACKET:
            visible[i] = b"["
        elif byte_level:
            visible[i] = piece.encode() if piece in added else piece_bytes(piece)
        elif byte := _BYTE.fullmatch(piece):
            visible[i] = bytes.fromhex(byte[1])
        else:
            visible[i] = piece.replace("▁", " ").encode()
    return visible


def special_ids(fast: PreTrainedTokenizerFast) -> set[int]:
    """Control tokens, which write nothing and are never answered: more than `all_special_ids` knows of."""
    added = fast.backend_tokenizer.get_added_tokens_decoder()
    control = {i for i, token in added.items() if token.special}
    marks = {fast.convert_tokens_to_ids(mark) for mark in MARKS}  # a folder may hold `<image>`
    return (control | set(fast.all_special_ids)) - marks
