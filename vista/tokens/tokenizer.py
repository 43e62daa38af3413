"""The LLM's tokenizer with coordinate tokens that act only inside the brackets of a region.

    "the 37 dogs at [12, 345, 678, 901]."
    paper     ▁the ▁ 3 7 ▁dogs ▁at ▁[ <|12|> , ▁ <|345|> , ▁ <|678|> , ▁ <|901|> ] .
    compact   ▁the ▁ 3 7 ▁dogs ▁at ▁[ <|12|> <|345|> <|678|> <|901|> ] .

The numbers 10 to 999 get a token each (Sec. 4.2 of the paper adds the bare strings); 0 to 9 stay the LLM's own digits.
Bare strings would match inside years, counts and decimals, so the tokens are called `<|10|>` to `<|999|>`, are put in
by a regular expression, and are read back as plain numbers: the visible text is exactly the paper's.
"""

import re
from collections.abc import Iterable, Sequence

import tokenizers
from transformers import PreTrainedTokenizerFast

from vista.data import neutralise
from vista.tokens.byte_level import BytePieces
from vista.tokens.llama import MARKS, crosses_words
from vista.tokens.vocabulary import Vocabulary

_NUMBER = "(?:0|[1-9][0-9]{0,2})"
_PAIR = f"{_NUMBER} *, *{_NUMBER}"
_BRACKET = rf" ?\[(?: *{_PAIR}(?: *, *{_PAIR})* *)?\]"  # 0, 2, 4 ... numbers; its space belongs to the piece "▁["


class Tokenizer(Vocabulary):
    """Text <-> token ids of one LLM, whose pieces and settings are in its `Vocabulary`.

    Only `<image>`, `<bsep>` and `<msep>` become tokens when they stand in a text; `<s>`, `</s>` or `<|12|>` are plain
    characters there, so no text can put them in. A bracket is always cut off from the words around it (LLaMA has a
    piece "]."), so that a region looks the same wherever it stands.
    """

    neutralise = staticmethod(neutralise)

    def _setup(self, fast: PreTrainedTokenizerFast, settings: dict[str, str]) -> None:
        super()._setup(fast, settings)
        self._words = BytePieces(fast) if self.byte_level else Words(fast)
        self._cut = re.compile(self._pattern())

    def _pattern(self) -> str:
        """What is not left to the LLM's own pieces."""
        # "▁" would come back as a space where it is one, and in `compact` "[2014]" as "[2, 0, 1, 4]".
        apart = ["▁"] * ("▁" in self._apart) + [r"\[(?=[0-9]{2})"] * self._compact or ["(?!)"]
        pattern = rf"(?P<mark>{'|'.join(MARKS)})|(?P<bracket>{_BRACKET})"
        pattern += rf"|(?P<apart>{'|'.join(apart)})"
        if self.settings["number_tokens"] == "everywhere":
            pattern += "|(?P<number>(?<![0-9])[1-9][0-9]{1,2}(?![0-9]))"
        return pattern

    def encode(
        self, text: str, bos: bool = False, eos: bool = False, continued: bool = False
    ) -> list[int]:
        """Text to ids.

        Args:
            text: what the model reads or writes; `neutralise` the parts that a user typed.
            bos: put the begin token first.
            eos: put the end token last.
            continued: the text goes on right after other ids; else a space is put before it, as SentencePiece does.
        """
        ids = list(self.begin) if bos else []
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

    def _encode_match(self, match: re.Match[str]) -> list[int]:
        text, kind = match[0], match.lastgroup
        if kind == "bracket":
            return self._encode_bracket(text)
        if kind == "number":
            return self._numbers[text]
        return self._apart[text]

    def _encode_bracket(self, text: str) -> list[int]:
        space, _, inside = text[:-1].partition("[")
        open_id = self.open_id if space else self.bare_open_id
        numbers = inside.split(", ") if inside else []
        if all(number in self._numbers for number in numbers):
            return self._bracket(numbers, open_id)
        # Other spacing than the paper's is kept: commas and spaces are tokens in either layout.
        ids = [open_id]
        for part in re.findall("[0-9]+|[^0-9]+", inside):
            ids += self._numbers[part] if part in self._numbers else self._words.encode(part)
        return [*ids, self.close_id]

    def _bracket(self, numbers: Iterable[str], open_id: int) -> list[int]:
        ids = [open_id]
        for k, number in enumerate(numbers):
            if k:
                ids += self._between
            ids += self._numbers[number]
        return [*ids, self.close_id]

    def bracket_ids(self, numbers: Sequence[int]) -> list[int]:
        """The ids of ` [n, n, ...]`, n in bins 0..999, as `encode` writes it after a space; none: an empty bracket."""
        return self._bracket(map(str, numbers), self.open_id)


class Words:
    """Words -> ids by the BPE model alone, which knows no added tokens, so that text cannot name them.

    Each word is cut with the spaces before it and remembered, where no piece goes beyond one word.
    """

    max_words, max_length = 100_000, 32  # what is remembered

    def __init__(self, fast: PreTrainedTokenizerFast) -> None:
        self._model = tokenizers.Tokenizer(fast.backend_tokenizer.model)
        self._known: dict[str, list[int]] = {}
        self._word = re.compile("(?s:.+)" if crosses_words(fast) else " *[^ ]+| +")

    def encode(self, text: str) -> list[int]:
        """Ids of a text; no space is put before it."""
        ids: list[int] = []
        for word in self._word.findall(text):
            pieces = self._known.get(word)
            if pieces is None:
                valid = word.encode(errors="replace").decode()  # without lone surrogates
                pieces = self._model.encode(valid.replace(" ", "▁")).ids
                if len(word) <= self.max_length and len(self._known) < self.max_words:
                    self._known[word] = pieces
            ids += pieces
        return ids
