"""The LLM's tokenizer with coordinate tokens that act only inside the brackets of a region.

    "the 37 dogs at [12, 345, 678, 901]."
    paper     ▁the ▁ 3 7 ▁dogs ▁at ▁[ <|12|> , ▁ <|345|> , ▁ <|678|> , ▁ <|901|> ] .
    compact   ▁the ▁ 3 7 ▁dogs ▁at ▁[ <|12|> <|345|> <|678|> <|901|> ] .

The numbers 10 to 999 get a token each (Sec. 4.2 of the paper adds the bare strings); 0 to 9 stay the LLM's own digits.
Bare strings would match inside years, counts and decimals, so the tokens are called `<|10|>` to `<|999|>`, are put in
by a regular expression, and are read back as plain numbers: the visible text is exactly the paper's.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from transformers import PreTrainedTokenizerFast

from vista.data import InputError, neutralise
from vista.tokens.instructions import InstructionTokenizer
from vista.tokens.vocabulary import (
    MARKS,
    Words,
    add_tokens,
    fast_from_json,
    fast_to_json,
    load_fast,
    visible_bytes,
)

BracketLayout = Literal["paper", "compact"]
NumberTokens = Literal["brackets", "everywhere", "digits"]

SETTINGS_FILE = "vista_tokenizer.json"
_VALUES = {
    "bracket_layout": ("paper", "compact"),
    "number_tokens": ("brackets", "everywhere", "digits"),
}
_NUMBER = "(?:0|[1-9][0-9]{0,2})"
_PAIR = f"{_NUMBER} *, *{_NUMBER}"
_BRACKET = rf" ?\[(?: *{_PAIR}(?: *, *{_PAIR})* *)?\]"  # 0, 2, 4 ... numbers; its blank belongs to the piece "▁["


class Tokenizer:
    """Text <-> token ids of one LLM.

    Only `<image>`, `<bsep>` and `<msep>` become tokens when they stand in a text; `<s>`, `</s>` or `<|12|>` are plain
    characters there, so no text can put them in. A bracket is always cut off from the words around it (LLaMA has a
    piece "]."), so that a region looks the same wherever it stands.

    Args:
        folder: holds `tokenizer.json` (LLaMA, Vicuna, InstructBLIP-Vicuna, or the tiny one of `configs/tiny`).
        bracket_layout: `paper` keeps the commas and blanks of a bracket as tokens (a box is 12 tokens, a mask of N
            points 6N), `compact` leaves them out (6 and 2N + 2) and restores them on decode.
        number_tokens: `brackets` uses the coordinate tokens inside brackets, `everywhere` also for whole numbers 10 to
            999 in plain language (the literal reading of the paper), `digits` nowhere (Shikra's way).
        instructions: folder of the QFormer's own tokenizer; none: the QFormer reads the ids of this one.

    Raises:
        InputError: an unknown setting, settings that differ from those the folder was saved with, or a vocabulary that
            is not a LLaMA-like BPE.
    """

    neutralise = staticmethod(neutralise)
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
        """The tokenizer of a fast tokenizer at hand, which takes our tokens in place; settings as in the class."""
        self = cls.__new__(cls)
        self._setup(fast, {name: values[0] for name, values in _VALUES.items()} | settings)
        self.instructions = None
        return self

    def _setup(self, fast: PreTrainedTokenizerFast, settings: dict[str, str]) -> None:
        for name, value in settings.items():
            if value not in _VALUES[name]:
                raise InputError(
                    f"{name} is {value!r}; it must be one of {', '.join(_VALUES[name])}"
                )
        if settings == {"bracket_layout": "compact", "number_tokens": "digits"}:
            raise InputError(
                "bracket_layout `compact` needs one token per number; number_tokens `digits` has several"
            )
        self.fast, self.settings = add_tokens(fast), settings
        self._compact = settings["bracket_layout"] == "compact"
        self._set_ids(fast.get_vocab())
        self._words = Words(fast)
        self._cut = re.compile(self._pattern())
        self._visible = visible_bytes(fast)
        self._visible[self.image_id] = b""
        self._special = set(fast.all_special_ids) - {self.image_id}

    def _set_ids(self, vocabulary: dict[str, int]) -> None:
        special = (self.fast.bos_token, self.fast.eos_token, self.fast.pad_token)
        self.bos_id, self.eos_id, self.pad_id = (vocabulary[str(token)] for token in special)
        self.open_id, self.bare_open_id, self.close_id = (
            vocabulary[piece] for piece in ("▁[", "[", "]")
        )
        self.comma_id, self.blank_id = vocabulary[","], vocabulary["▁"]
        self._marks = {mark: vocabulary[mark] for mark in MARKS}
        self.image_id, self.bsep_id, self.msep_id = self._marks.values()
        self.number_ids = [vocabulary[str(n) if n < 10 else f"<|{n}|>"] for n in range(1000)]
        self._number_set = set(self.number_ids)
        self._numbers = {str(n): [i] for n, i in enumerate(self.number_ids)}
        if self.settings["number_tokens"] == "digits":
            self._numbers = {
                number: [vocabulary[digit] for digit in number] for number in self._numbers
            }
        self._between = [] if self._compact else [self.comma_id, self.blank_id]
        self._as_bytes = {c: [vocabulary[f"<0x{byte:02X}>"] for byte in c.encode()] for c in "▁["}

    def _pattern(self) -> str:
        # These characters go as bytes: "▁" would come back as a blank, and in `compact` "[2014]" as "[2, 0, 1, 4]".
        as_bytes = r"▁|\[(?=[0-9]{2})" if self._compact else "▁"
        pattern = rf"(?P<mark>{'|'.join(MARKS)})|(?P<bracket>{_BRACKET})|(?P<bytes>{as_bytes})"
        if self.settings["number_tokens"] == "everywhere":
            pattern += "|(?P<number>(?<![0-9])[1-9][0-9]{1,2}(?![0-9]))"
        return pattern

    def __len__(self) -> int:
        return len(self._visible)

    def encode(
        self, text: str, bos: bool = False, eos: bool = False, continued: bool = False
    ) -> list[int]:
        """Text to ids.

        Args:
            text: what the model reads or writes; `neutralise` the parts that a user typed.
            bos: put the begin token first.
            eos: put the end token last.
            continued: the text goes on right after other ids; else a blank is put before it, as SentencePiece does.
        """
        ids = [self.bos_id] if bos else []
        if text and not continued and not text.startswith(MARKS):
            text = " " + text
        end = 0
        for match in self._cut.finditer(text):
            ids += self._words.encode(text[end : match.start()])
            ids += self._encode_match(match)
            end = match.end()
        ids += self._words.encode(text[end:])
        return [*ids, self.eos_id] if eos else ids

    def encode_instruction(self, text: str) -> list[int]:
        """Ids for the QFormer."""
        return self.encode(text) if self.instructions is None else self.instructions.encode(text)

    @property
    def instruction_size(self) -> int:
        """Rows of the QFormer's word embeddings."""
        return len(self if self.instructions is None else self.instructions)

    def _encode_match(self, match: re.Match[str]) -> list[int]:
        text, kind = match[0], match.lastgroup
        if kind == "bracket":
            return self._encode_bracket(text)
        if kind == "number":
            return self._numbers[text]
        return self._as_bytes[text] if kind == "bytes" else [self._marks[text]]

    def _encode_bracket(self, text: str) -> list[int]:
        blank, _, inside = text[:-1].partition("[")
        open_id = self.open_id if blank else self.bare_open_id
        numbers = inside.split(", ") if inside else []
        if all(number in self._numbers for number in numbers):
            return self._bracket(numbers, open_id)
        # Other spacing than the paper's is kept: commas and blanks are tokens in either layout.
        ids = [open_id]
        for part in re.findall("[0-9]+|[^0-9]+", inside):
            ids += self._numbers[part] if part in self._numbers else self._words.encode(part)
        return [*ids, self.close_id]

    def _bracket(self, numbers: Iterable[str], open_id: int) -> list[int]:
        ids = [open_id]
        for k, number in enumerate(numbers):
            ids += self._between + self._numbers[number] if k else self._numbers[number]
        return [*ids, self.close_id]

    def bracket_ids(self, numbers: Sequence[int]) -> list[int]:
        """The ids of ` [n, n, ...]`, n in bins 0..999, as `encode` writes it after a blank; none: an empty bracket."""
        return self._bracket(map(str, numbers), self.open_id)

    def decode(self, ids: Iterable[int]) -> str:
        """Ids to the visible text: numbers are plain numbers, special tokens and `<image>` write nothing."""
        kept = [i for i in ids if 0 <= i < len(self._visible) and i not in self._special]
        parts = self._with_commas(kept) if self._compact else [self._visible[i] for i in kept]
        text = b"".join(parts).decode(errors="replace")
        # The blank that `encode` put before the text; it puts none before a leading `<image>`.
        return text[1:] if text.startswith(" ") and kept[0] != self.image_id else text

    def _with_commas(self, ids: Sequence[int]) -> list[bytes]:
        """Visible parts, with ", " between the numbers that follow an opening bracket."""
        parts, opened, after_number = [], False, False
        for i in ids:
            number = i in self._number_set
            if opened and after_number and number:
                parts.append(b", ")
            opened, after_number = (
                i in (self.open_id, self.bare_open_id) or (opened and number),
                number,
            )
            parts.append(self._visible[i])
        return parts

    def save(self, folder: Path | str) -> None:
        """Write `tokenizer.json` with its configuration for transformers, and the settings beside it."""
        self.fast.save_pretrained(folder)
        (Path(folder) / SETTINGS_FILE).write_text(json.dumps(self.settings, indent=2) + "\n")

    def to_json(self) -> str:
        """Tokenizer and settings as one string, for a checkpoint."""
        own = {} if self.instructions is None else {"instructions": self.instructions.to_json()}
        return json.dumps({"settings": self.settings, **fast_to_json(self.fast), **own})

    @classmethod
    def from_json(cls, text: str, **settings: str) -> Self:
        """The tokenizer of `to_json`; a ValueError where it was made under other `settings` than those given."""
        state = json.loads(text)
        check_settings(state["settings"], settings)
        self = cls.from_fast(fast_from_json(state), **state["settings"])
        if "instructions" in state:
            self.instructions = InstructionTokenizer.from_json(state["instructions"])
        return self


def check_settings(saved: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Refuse, by a ValueError, a tokenizer that was saved under other settings."""
    for name, value in wanted.items():
        if saved[name] != value:
            raise InputError(
                f"the tokenizer was made with {name} {saved[name]!r}, not {value!r}; its ids differ"
            )
