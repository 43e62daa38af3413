"""The QFormer's own tokenizer: BERT's for the weights of InstructBLIP.

    "the color of [104, 250]"    [CLS] the color of [ 104 , 250 ] [SEP]

The tiny size has none: its QFormer reads the ids of the LLM's tokenizer.
"""

from pathlib import Path
from typing import Self

from tokenizers import Tokenizer

from vista.data import InputError, MissingFileError


class InstructionTokenizer:
    """Text -> ids of the QFormer. What looks like a special token in a text is plain text."""

    def __init__(self, folder: Path | str) -> None:
        """Read `tokenizer.json` of a folder, for example `qformer_tokenizer` of Salesforce/instructblip-vicuna-7b.

        Raises:
            MissingFileError: it is not there.
            InputError: it is no tokenizer.
        """
        file = Path(folder) / "tokenizer.json"
        if not file.is_file():
            raise MissingFileError(
                f"{folder} holds no tokenizer.json; --tokenizer.instructions names such a folder"
            )
        self._setup(file.read_text(), str(file))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The tokenizer of `to_json`."""
        self = cls.__new__(cls)
        self._setup(text, "the checkpoint's tokenizer of instructions")
        return self

    def _setup(self, text: str, name: str) -> None:
        try:
            self._backend = Tokenizer.from_str(text)
        except Exception as error:  # the library raises nothing narrower
            raise InputError(f"{name} is no tokenizer: {error}") from error
        self._backend.encode_special_tokens = True
        self._backend.no_truncation()
        self._backend.no_padding()
        self._size = 1 + max(self._backend.get_vocab().values())

    def __len__(self) -> int:
        """Rows of the QFormer's word embeddings."""
        return self._size

    def encode(self, text: str) -> list[int]:
        """Ids of a text, with what BERT puts before and after it."""
        return list(self._backend.encode(text).ids)

    def to_json(self) -> str:
        """The tokenizer as a string, for a checkpoint."""
        return str(self._backend.to_str())
