"""Which piece has which id, and what ids say: an LLM's vocabulary under our settings, made from a folder."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from transformers import PreTrainedTokenizerFast

from vista.data import InputError
from vista.tokens.byte_level import PLAIN_BRACKET, SPACE, is_byte_level, writes_bos
from vista.tokens.chat_frames import end_of_turn
from vista.tokens.instructions import InstructionTokenizer
from vista.tokens.llama import (
    MARKS,
    add_tokens,
    added_ids,
    fast_from_json,
    fast_to_json,
    load_fast,
    special_ids,
    visible_bytes,
)

BracketLayout = Literal["paper", "compact"]
NumberTokens = Literal["brackets", "everywhere", "digits"]

SETTINGS_FILE = "vista_tokenizer.json"
_VALUES = {
    "bracket_layout": ("paper", "compact"),
    "number_tokens": ("brackets", "everywhere", "digits"),
}


class Vocabulary:
    """The ids of one LLM's pieces, of the coordinate tokens and of the marks.

    Args:
        folder: holds `tokenizer.json`, a BPE with byte fallback (LLaMA 2, Vicuna, Mistral, Gemma, the tiny one of
            `configs/tiny`) or of bytes (LLaMA 3, Qwen, SmolLM2); or SmolLM2's GGUF file.
        bracket_layout: `paper` keeps the commas and spaces of a bracket as tokens (a box is 12 tokens, a mask of N
            points 6N), `compact` leaves them out (6 and 2N + 2) and restores them on decode.
        number_tokens: `brackets` uses the coordinate tokens inside brackets, `everywhere` also for whole numbers 10 to
            999 in plain language (the literal reading of the paper), `digits` nowhere (Shikra's way).
        instructions: folder of the QFormer's own tokenizer; none: the QFormer reads the ids of this one.

    Attributes:
        number_ids: the ids of 0, 1, ..., 999 inside a bracket.
        begin: the token before a text, if the LLM has one.
        eos_id: the token that ends an answer, that of the LLM's own chat template where it has one.
        special_ids: control tokens, which write nothing.
        added_ids: coordinates and marks, which no LLM knows of itself.

    Raises:
        InputError: an unknown setting, settings that differ from those the folder was saved with, or a vocabulary that
            cannot write every text.
    """

    instructions: InstructionTokenizer | None

    def __init__(
        self,
        folder: Path | str,
        bracket_layout: BracketLayout = "paper",
        number_tokens: NumberTokens = "brackets",
        instructions: Path | str | None = None,
    ) -> None:
        settings = {"bracket_layout": str(bracket_layout), "number_tokens": str(number_tokens)}
        saved = Path(folder) / SETTINGS_FILE
        if saved.is_file():
            check_settings(json.loads(saved.read_text()), settings)
        self._setup(load_fast(folder), settings)
        self.instructions = None if instructions is None else InstructionTokenizer(instructions)

    @classmethod
    def from_fast(cls, fast: PreTrainedTokenizerFast, **settings: str) -> Self:
        """That of a fast tokenizer at hand, which takes our tokens in place; settings as in the class."""
        self = cls.__new__(cls)
        self._setup(fast, {name: values[0] for name, values in _VALUES.items()} | settings)
        self.instructions = None
        return self

    def _setup(self, fast: PreTrainedTokenizerFast, settings: dict[str, str]) -> None:
        """What all ways of making one end in."""
        for name, value in settings.items():
            if value not in _VALUES[name]:
                allowed = ", ".join(_VALUES[name])
                raise InputError(f"{name} is {value!r}; it must be one of {allowed}")
        if settings == {"bracket_layout": "compact", "number_tokens": "digits"}:
            raise InputError(
                "bracket_layout `compact` needs one token per number; number_tokens `digits` has several"
            )
        self.fast, self.settings = add_tokens(fast), settings
        self._compact = settings["bracket_layout"] == "compact"
        self._set_ids(fast.get_vocab())
        self._visible = visible_bytes(fast)  # by id, what it writes
        self._visible[self.image_id] = b""
        self.special_ids = special_ids(fast)
        self.added_ids = added_ids(fast)

    def _set_ids(self, vocabulary: dict[str, int]) -> None:
        self.byte_level = is_byte_level(self.fast)
        has_begin = not self.byte_level or writes_bos(self.fast)
        self.begin = [vocabulary[str(self.fast.bos_token)]] if has_begin else []
        self.bos_id = self.begin[0] if self.begin else None
        self.eos_id = vocabulary[end_of_turn(self.fast)]
        self.pad_id = vocabulary[str(self.fast.pad_token)]
        space = SPACE if self.byte_level else "▁"
        self.open_id, self.bare_open_id = vocabulary[f"{space}["], vocabulary["["]
        self.close_id, self.comma_id, self.space_id = (
            vocabulary[piece] for piece in ("]", ",", space)
        )
        self.image_id, self.bsep_id, self.msep_id = (vocabulary[mark] for mark in MARKS)
        self.number_ids = [vocabulary[str(n) if n < 10 else f"<|{n}|>"] for n in range(1000)]
        self._number_set = set(self.number_ids)
        # By the text of a number, its tokens inside a bracket.
        self._numbers = {str(n): [i] for n, i in enumerate(self.number_ids)}
        if self.settings["number_tokens"] == "digits":
            for number in self._numbers:
                self._numbers[number] = [vocabulary[digit] for digit in number]
        self._between = [] if self._compact else [self.comma_id, self.space_id]
        # What is not left to the LLM's own pieces.
        self._apart = {mark: [vocabulary[mark]] for mark in MARKS}
        if self.byte_level:
            self._apart["["] = [vocabulary[PLAIN_BRACKET]]
        for character in "" if self.byte_level else "▁[":
            pieces = [f"<0x{byte:02X}>" for byte in character.encode()]
            self._apart[character] = [vocabulary[piece] for piece in pieces]

    def __len__(self) -> int:
        """Rows of the LLM's word embeddings."""
        return len(self._visible)

    @property
    def instruction_size(self) -> int:
        """Rows of the QFormer's word embeddings."""
        return len(self if self.instructions is None else self.instructions)

    def decode(self, ids: Iterable[int]) -> str:
        """Ids to the visible text: numbers are plain numbers, special tokens and `<image>` write nothing."""
        size = len(self._visible)
        kept = [i for i in ids if 0 <= i < size and i not in self.special_ids]
        parts = self._with_commas(kept) if self._compact else [self._visible[i] for i in kept]
        text = b"".join(parts).decode(errors="replace")
        # The space that `encode` put before the text; it puts none before a leading `<image>`.
        return text[1:] if text.startswith(" ") and kept[0] != self.image_id else text

    def _with_commas(self, ids: Sequence[int]) -> list[bytes]:
        """Visible parts, with ", " between the numbers that follow an opening bracket."""
        parts: list[bytes] = []
        inside = after_number = False
        for i in ids:
            number = i in self._number_set
            if inside and after_number and number:
                parts.append(b", ")
            if i in (self.open_id, self.bare_open_id):
                inside = True
            elif not number:
                inside = False
            after_number = number
            parts.append(self._visible[i])
        return parts

    def save(self, folder: Path | str) -> None:
        """Write `tokenizer.json` with its configuration for transformers, and the settings beside it."""
        self.fast.save_pretrained(folder)
        (Path(folder) / SETTINGS_FILE).write_text(json.dumps(self.settings, indent=2) + "\n")

    def to_json(self) -> str:
        """Vocabulary and settings as one string, for a checkpoint."""
        own = {} if self.instructions is None else {"instructions": self.instructions.to_json()}
        return json.dumps({"settings": self.settings, **fast_to_json(self.fast), **own})

    @classmethod
    def from_json(cls, text: str, **settings: str) -> Self:
        """That of `to_json`; an InputError where it was made under other `settings` than those given."""
        state = json.loads(text)
        check_settings(state["settings"], settings)
        self = cls.from_fast(fast_from_json(state), **state["settings"])
        if "instructions" in state:
            self.instructions = InstructionTokenizer.from_json(state["instructions"])
        return self


def check_settings(saved: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Refuse, by an InputError, a tokenizer that was saved under other settings."""
    for name, value in wanted.items():
        if saved[name] != value:
            raise InputError(
                f"the tokenizer was made with {name} {saved[name]!r}, not {value!r}; its ids differ"
            )
