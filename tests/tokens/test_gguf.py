"""SmolLM2's tokenizer out of a GGUF file cuts texts as the one that it was made from."""

import json
import struct
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from tests.tiny import QUERIES, picture
from tests.tokens.families import CHATML, CONTROL, save_family
from vista.data import InputError
from vista.tokens.batch import IGNORE, collate, encode_example
from vista.tokens.batch_types import Example
from vista.tokens.byte_level import LETTERS
from vista.tokens.chat import chat_of
from vista.tokens.tokenizer import Tokenizer

TEXTS = [
    "the red circle at [12, 345] is a big one.\n\n1. 2014 dogs\n\n\n10:30!  two   spaces",
    "<|im_start|>user it's <|12|> é [[5], [1 2] 日本",
    "",
]


def written(value: object) -> bytes:
    """A value with the number of its type, as GGUF's description has it."""
    if isinstance(value, str):
        text = value.encode()
        return struct.pack("<IQ", 8, len(text)) + text
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    assert isinstance(value, list)
    items = [written(item) for item in value]
    kind, count = items[0][:4], struct.pack("<Q", len(items))
    return struct.pack("<I", 9) + kind + count + b"".join(item[4:] for item in items)


def head(pairs: dict[str, object]) -> bytes:
    items = [written(name)[4:] + written(value) for name, value in pairs.items()]
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(items)) + b"".join(items)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_family("smollm2", tmp_path_factory.mktemp("smollm2"))


@pytest.fixture
def pairs(folder: Path) -> dict[str, object]:
    """What SmolLM2's file says of the tokenizer in the folder."""
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    fast = PreTrainedTokenizerFast.from_pretrained(folder)
    vocabulary = fast.get_vocab()
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    ids = {"bos": "<|im_start|>", "eos": "<|im_end|>", "padding": "<|im_end|>"}
    said: dict[str, object] = {
        "model": "gpt2",
        "pre": "smollm",
        "add_bos_token": False,
        "tokens": tokens,
        "token_type": [3 if token in CONTROL["smollm2"] else 1 for token in tokens],
        "merges": [" ".join(merge) for merge in model["merges"]],
        **{f"{name}_token_id": vocabulary[token] for name, token in ids.items()},
    }
    own = {f"tokenizer.ggml.{name}": value for name, value in said.items()}
    return {"general.architecture": "llama", **own, "tokenizer.chat_template": CHATML}


@pytest.mark.parametrize("named", ["file", "folder"])
def test_texts_are_cut_as_by_the_tokenizer_in_the_folder(
    named: str, folder: Path, pairs: dict[str, object], tmp_path: Path
) -> None:
    """Two line breaks are one piece, which GPT-2's cut would part."""
    file = tmp_path / "small.gguf"
    file.write_bytes(head(pairs))
    ours = Tokenizer(file if named == "file" else tmp_path, bracket_layout="compact")
    theirs = Tokenizer(folder, bracket_layout="compact")
    assert len(ours) == len(theirs) and ours.special_ids == theirs.special_ids
    for text in TEXTS:
        assert ours.encode(text, bos=True, eos=True) == theirs.encode(text, bos=True, eos=True)
        assert ours.decode(ours.encode(text)) == text
    again = Tokenizer.from_json(ours.to_json())
    assert [again.encode(text) for text in TEXTS] == [ours.encode(text) for text in TEXTS]
    prompts = [chat_of(one).encode("<image> what ?", 0, 1) for one in (ours, theirs)]
    assert prompts[0] == prompts[1]


def test_an_answer_keeps_its_end_where_padding_is_the_same_token(
    pairs: dict[str, object], tmp_path: Path
) -> None:
    """Pads are told by their places: the end of every answer is learned, no pad is."""
    file = tmp_path / "small.gguf"
    file.write_bytes(head(pairs))
    words = Tokenizer(file)
    assert words.pad_id == words.eos_id
    examples = [
        Example(("a",), (("<image> what ?", answer),)) for answer in ("red", "a much longer answer")
    ]
    samples = [encode_example(example, words) for example in examples]
    batch = collate(samples, {"a": picture("a")}, words, QUERIES)
    for row in range(2):
        labels, mask = batch["labels"][row], batch["attention_mask"][row]
        assert (labels[mask == 0] == IGNORE).all()
        learned = labels[labels != IGNORE]
        assert learned[-1] == words.eos_id and (learned == words.eos_id).sum() == 1
    assert (batch["attention_mask"] == 0).any()


def test_bytes_that_hardly_any_text_has_may_be_lacking(
    pairs: dict[str, object], tmp_path: Path
) -> None:
    """SmolLM2 has no piece for some control characters and planes: such a character is a question mark."""
    file, tokens = tmp_path / "small.gguf", pairs["tokenizer.ggml.tokens"]
    lacking = {letter for letter, byte in LETTERS.items() if byte in (4, 0xC0, 0xF1, 0xFF)}
    assert isinstance(tokens, list)
    others = [f"<{token}>" if token in lacking else token for token in tokens]
    file.write_bytes(head(pairs | {"tokenizer.ggml.tokens": others}))
    words = Tokenizer(file)
    assert words.decode(words.encode("a\x04b \U00040000 é \U0001f600")) == "a?b ? é \U0001f600"
    others[others.index("d")] = "<d>"
    file.write_bytes(head(pairs | {"tokenizer.ggml.tokens": others}))
    with pytest.raises(
        InputError, match=r"no token of its own for the piece 'd'|no whole tokenizer"
    ):
        Tokenizer(file)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"pre": "qwen2"}, "the cut 'qwen2'; of GGUF's only SmolLM's is known, so put tok"),
        ({"model": "llama"}, "a tokenizer of kind 'llama'"),
        ({"add_bos_token": True}, "a tokenizer of kind 'gpt2'"),
        ({"merges": ["a"]}, "holds no whole tokenizer"),
        ({"eos_token_id": 10**6}, "holds no whole tokenizer"),
    ],
)
def test_a_vocabulary_of_another_kind_is_a_sentence(
    changed: dict[str, object], sentence: str, pairs: dict[str, object], tmp_path: Path
) -> None:
    file = tmp_path / "small.gguf"
    file.write_bytes(head(pairs | {f"tokenizer.ggml.{k}": v for k, v in changed.items()}))
    with pytest.raises(InputError, match=sentence):
        Tokenizer(file)


def test_a_file_that_ends_too_early_is_a_sentence(pairs: dict[str, object], tmp_path: Path) -> None:
    file, whole = tmp_path / "small.gguf", head(pairs)
    for length in range(24, len(whole), len(whole) // 20):
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match="ends in its head"):
            Tokenizer(file)
    file.write_bytes(b"PK" + whole)
    with pytest.raises(InputError, match="is no GGUF"):
        Tokenizer(file)
