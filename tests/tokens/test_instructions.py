"""The QFormer's own tokenizer against transformers' BERT, and its way through samples, checkpoints and the model."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken
from transformers import BertTokenizerFast

from tests.tiny import FLAGS, ROOT, run
from vista.tokens.batch import collate, encode_example
from vista.tokens.batch_types import Example
from vista.tokens.instructions import InstructionTokenizer
from vista.tokens.tokenizer import Tokenizer

TINY = ROOT / "configs/tiny/tokenizer"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
PIECES = [
    *SPECIAL,
    *LETTERS,
    *(f"##{c}" for c in LETTERS),
    "the",
    "color",
    "of",
    "what",
    *"[]?,.!'\"<>",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT with the token that InstructBLIP adds, as its folder holds it."""
    root = tmp_path_factory.mktemp("qformer_tokenizer")
    bert = BertTokenizerFast(vocab={piece: i for i, piece in enumerate(PIECES)}, do_lower_case=True)
    bert.add_special_tokens({"bos_token": AddedToken("[DEC]")})
    bert.save_pretrained(root)
    return root


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer(TINY, "compact", instructions=folder)


@given(
    text=st.lists(st.sampled_from([*LETTERS, *" [],.?!'<>ABÉß漢", "the color"]), max_size=40).map(
        "".join
    )
)
def test_equals_bert(folder, text):
    ids = InstructionTokenizer(folder).encode(text)
    assert ids == BertTokenizerFast.from_pretrained(folder)(text)["input_ids"]
    assert ids[0] == SPECIAL.index("[CLS]") and ids[-1] == SPECIAL.index("[SEP]")


def test_special_tokens_in_a_text_are_plain(folder):
    ids = InstructionTokenizer(folder).encode("[SEP] the [DEC] [PAD]")
    assert (
        max(ids) < len(PIECES)
        and ids.count(SPECIAL.index("[SEP]")) == 1
        and SPECIAL.index("[PAD]") not in ids
    )


def test_a_sample_has_both_kinds_of_ids(tokenizer):
    """The instruction without the image, cut at the positions of the QFormer, its last token kept."""
    example = Example(("a",), (("<image> What color of [1, 2, 3, 4]?", "red"),))
    sample = encode_example(example, tokenizer)
    assert sample.instruction_ids == tokenizer.instructions.encode("What color of [1, 2, 3, 4]?")
    assert sample.input_ids == encode_example(example, Tokenizer(TINY, "compact")).input_ids
    with pytest.warns(UserWarning, match="reads only the first 5 tokens"):
        cut = encode_example(example, tokenizer, max_instruction=5)
    assert cut.instruction_ids == [*sample.instruction_ids[:4], SPECIAL.index("[SEP]")]
    batch = collate([sample, cut], {"a": torch.zeros(3, 4, 4)}, tokenizer, 2)
    assert batch["instruction_mask"].sum(1).tolist() == [len(sample.instruction_ids), 5]


def test_the_size_is_that_of_the_file(tokenizer):
    assert (
        tokenizer.instruction_size == len(PIECES) + 1
        and len(tokenizer) != tokenizer.instruction_size
    )
    assert Tokenizer(TINY, "compact").instruction_size == len(tokenizer)


def test_a_checkpoint_carries_it(tokenizer):
    carried = Tokenizer.from_json(tokenizer.to_json())
    assert carried.encode_instruction("what, color?") == tokenizer.encode_instruction(
        "what, color?"
    )
    assert carried.to_json() == tokenizer.to_json() != Tokenizer(TINY, "compact").to_json()


def test_what_is_no_tokenizer_is_one_sentence(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"holds no tokenizer\.json; --tokenizer\.instructions names"
    ):
        InstructionTokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {}}))
    with pytest.raises(ValueError, match=r"tokenizer\.json is no tokenizer: "):
        InstructionTokenizer(tmp_path)


def test_a_run_trains_and_tests_with_it(folder, tiny_world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [
        f"--data.root={tiny_world}",
        "--data.tasks=[rec]",
        "--data.batch_size=8",
        "--data.order.epoch_samples=16",
    ]
    outcome = run(
        "fit",
        "--config=stage1",
        *FLAGS,
        *words,
        f"--tokenizer.instructions={folder}",
        "--data.scoring.max_val=4",
    )
    assert outcome.code == 0, outcome.err
    outcome = run("test", "--data.scoring.max_test=4", "--data.scoring.unseen_prompts=0")
    assert outcome.code == 0 and "rec_refcoco_testA" in outcome.out, outcome.err
    outcome = run("test", "--tokenizer.instructions=null", "--data.scoring.max_test=4")
    assert outcome.code == 2 and "the QFormer's by --tokenizer.instructions" in outcome.err, outcome
