"""The tokenizer keeps the visible text, and puts coordinate tokens into brackets and nowhere else."""

import json
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from datamodules.synthetic.language import sentences
from vista.tokens.tiny import build_tiny
from vista.tokens.tokenizer import Tokenizer

TINY = Path(__file__).parents[2] / "configs" / "tiny" / "tokenizer"
PAPER = Tokenizer(TINY)
COMPACT = Tokenizer(TINY, "compact")
EVERYWHERE = Tokenizer(TINY, "paper", "everywhere")
COMPACT_EVERYWHERE = Tokenizer(TINY, "compact", "everywhere")
DIGITS = Tokenizer(TINY, number_tokens="digits")
ALL = (PAPER, COMPACT, EVERYWHERE, COMPACT_EVERYWHERE, DIGITS)
NAMES = ["paper", "compact", "everywhere", "compact_everywhere", "digits"]

bracket = st.lists(st.integers(0, 1200), max_size=8).map(lambda n: f"[{', '.join(map(str, n))}]")
PLAIN = """the red circle|2014|3.14|10:30|37 dogs|1000|[2014]|[12|[|]|[1,22]|[ 10, 20 ]|[[10, 20]]|<bsep>|<msep>|.
▁| |  |\t|</s>|<s>|<0x41>|é|赤|🐕|[007, 012]|[1 2]|[ ]|[]|[10, 20"""
plain = st.sampled_from([*PLAIN.split("|"), "<|12|>", "\n"])
texts = st.lists(st.one_of(bracket, plain, st.text(max_size=6)), max_size=8).flatmap(
    lambda parts: st.sampled_from(["", " "]).map(lambda joint: joint.join(parts))
)


def coordinates_in(tokenizer: Tokenizer, text: str) -> list[int]:
    ids = set(tokenizer.number_ids[10:])
    return [tokenizer.number_ids.index(i) for i in tokenizer.encode(text) if i in ids]


@pytest.mark.parametrize("tokenizer", ALL, ids=NAMES)
@settings(max_examples=60)
@given(text=texts)
def test_round_trip_is_exact(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text, bos=True, eos=True)) == text.replace(
        "<image>", ""
    )


@pytest.mark.parametrize("tokenizer", ALL, ids=NAMES)
@settings(max_examples=30)
@given(first=texts, second=texts)
def test_pieces_of_a_text_can_be_encoded_apart(
    tokenizer: Tokenizer, first: str, second: str
) -> None:
    ids = tokenizer.encode(first + "<image>") + tokenizer.encode(second, continued=True)
    assert tokenizer.decode(ids) == first + second


@pytest.mark.parametrize(
    "text",
    [
        "in 2014",
        "3.14 of them",
        "at 10:30",
        "37 dogs",
        "1000",
        "[1000, 2]",
        "[007, 012]",
        "[12]",
        "[10, 20, 30]",
        "[12, x]",
    ],
)
@pytest.mark.parametrize("tokenizer", [PAPER, COMPACT], ids=["paper", "compact"])
def test_plain_numbers_get_no_coordinate_token(tokenizer: Tokenizer, text: str) -> None:
    assert coordinates_in(tokenizer, text) == []


@pytest.mark.parametrize(
    "text", ["[12, 345]", "at [12,345].", "[ 12 , 345 ]", "([12, 345])", "2014 [12, 345] 3.14"]
)
@pytest.mark.parametrize("tokenizer", [PAPER, COMPACT], ids=["paper", "compact"])
def test_numbers_in_brackets_get_coordinate_tokens(tokenizer: Tokenizer, text: str) -> None:
    assert coordinates_in(tokenizer, text) == [12, 345]


def test_everywhere_takes_whole_numbers_of_two_or_three_digits() -> None:
    assert coordinates_in(EVERYWHERE, "37 dogs, 2014, 010, 3.14, 10:30, x64, [12]") == [
        37,
        14,
        10,
        30,
        64,
        12,
    ]


def test_digits_takes_none() -> None:
    assert coordinates_in(DIGITS, "[12, 345]") == []
    assert DIGITS.bracket_ids([12, 345]) == DIGITS.encode("[12, 345]")
    assert len(DIGITS.encode("[12, 345]")) == 2 + 2 + 5


@pytest.mark.parametrize("points", [1, 2, 14, 32])
def test_length_of_a_region(points: int) -> None:
    numbers = [(37 * k) % 1000 for k in range(2 * points)]
    text = str(numbers)
    for tokenizer, length in ((PAPER, 6 * points), (COMPACT, 2 * points + 2)):
        assert tokenizer.encode(text) == tokenizer.bracket_ids(numbers)
        assert len(tokenizer.bracket_ids(numbers)) == length


def test_a_region_looks_the_same_wherever_it_stands() -> None:
    box = PAPER.bracket_ids([1, 20, 300, 999])
    ids = PAPER.encode("Boxes: [1, 20, 300, 999] <bsep> [1, 20, 300, 999].")
    blank = [PAPER.space_id]
    assert ids == [
        *PAPER.encode("Boxes:"),
        *box,
        *blank,
        PAPER.bsep_id,
        *box,
        *PAPER.encode(".", continued=True),
    ]
    assert PAPER.encode("[]") == PAPER.bracket_ids([]) == [PAPER.open_id, PAPER.close_id]


def test_number_ids() -> None:
    assert len(set(PAPER.number_ids)) == 1000
    assert [PAPER.decode([PAPER.number_ids[n]]) for n in (0, 9, 10, 999)] == ["0", "9", "10", "999"]


@given(text=texts)
def test_no_text_can_put_in_special_tokens(text: str) -> None:
    for evil in (text, f"{text}</s><s><unk><|12|>{text}"):
        assert not {PAPER.bos_id, PAPER.eos_id, PAPER.pad_id} & set(PAPER.encode(evil))


@given(
    text=st.lists(
        st.sampled_from(["<", "<image>", "<bsep>", "<msep>", "<|12|>", "</s>", "image>", "x", ">"])
    ).map("".join)
)
def test_neutralised_text_names_no_token(text: str) -> None:
    neutral = PAPER.neutralise(text)
    marks = {PAPER.image_id, PAPER.bsep_id, PAPER.msep_id}
    assert not marks & set(PAPER.encode(neutral))
    assert not (marks | set(PAPER.number_ids[10:])) & set(PAPER.fast.encode(neutral))
    assert PAPER.neutralise(neutral) == neutral
    assert neutral.replace(" ", "") == text


def test_bos_and_eos_only_where_asked() -> None:
    ids = PAPER.encode("a red circle")
    assert PAPER.encode("a red circle", bos=True, eos=True) == [PAPER.bos_id, *ids, PAPER.eos_id]
    assert PAPER.bos_id not in ids
    assert PAPER.encode("") == []


def test_image_marks_become_one_token_and_are_not_shown() -> None:
    ids = PAPER.encode("<image> Left: <image> the circle")
    assert ids.count(PAPER.image_id) == 2
    assert PAPER.decode(ids) == " Left:  the circle"


def test_decode_takes_whatever_a_model_writes() -> None:
    half_a_character = PAPER.encode("🐕")[:-1]
    odd = [
        -100,
        10**6,
        PAPER.pad_id,
        *half_a_character,
        PAPER.open_id,
        *PAPER.number_ids[10:12],
        PAPER.image_id,
    ]
    assert PAPER.decode(odd).endswith(" [1011")
    assert COMPACT.decode(odd).endswith(" [10, 11")
    assert PAPER.decode([]) == ""


def test_half_a_character_in_a_file_does_no_harm() -> None:
    assert PAPER.decode(PAPER.encode("a \ud83d dog")) == "a ? dog"


@pytest.mark.parametrize("tokenizer", ALL, ids=NAMES)
def test_save_and_reload(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    again = Tokenizer(tmp_path, **tokenizer.settings)
    carried = Tokenizer.from_json(tokenizer.to_json())
    text = "the 37 dogs of 2014 at [12, 345, 6, 789] <bsep> [1, 2, 3, 4]."
    assert len(again) == len(carried) == len(tokenizer)
    assert again.encode(text) == carried.encode(text) == tokenizer.encode(text)
    assert again.decode(again.encode(text)) == text
    assert carried.settings == tokenizer.settings and carried.pad_id == tokenizer.pad_id


def test_saved_folder_means_the_same_to_transformers(tmp_path: Path) -> None:
    PAPER.save(tmp_path)
    fast = AutoTokenizer.from_pretrained(tmp_path)
    written = "the 37 dogs  of 2014 at [<|12|>, <|345|>] <bsep> [1, <|20|>] here"
    assert fast(written).input_ids == PAPER.encode(
        "the 37 dogs  of 2014 at [12, 345] <bsep> [1, 20] here", bos=True
    )
    assert "<bsep>" in fast.decode(fast(written).input_ids, skip_special_tokens=True)


def test_other_settings_are_refused(tmp_path: Path) -> None:
    COMPACT.save(tmp_path)
    with pytest.raises(ValueError, match="made with bracket_layout 'compact', not 'paper'"):
        Tokenizer(tmp_path)
    with pytest.raises(ValueError, match="made with number_tokens 'brackets', not 'digits'"):
        Tokenizer.from_json(COMPACT.to_json(), number_tokens="digits")


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="bracket_layout is 'loose'"):
        Tokenizer(TINY, "loose")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one token per number"):
        Tokenizer(TINY, "compact", "digits")


def test_older_llama_folder_gives_the_same_ids(tmp_path: Path) -> None:
    """Folders of `legacy` LLaMA tokenizers put a blank after every added token, and may hold `<image>` already."""
    shutil.copytree(TINY, tmp_path, dirs_exist_ok=True)
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    prepend, replace = (
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    )
    tokenizer |= {
        "pre_tokenizer": None,
        "normalizer": {"type": "Sequence", "normalizers": [prepend, replace]},
    }
    image = dict(
        tokenizer["added_tokens"][0], id=len(tokenizer["model"]["vocab"]), content="<image>"
    )
    tokenizer["added_tokens"].append(image)
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "LlamaTokenizer", "legacy": True})
    )
    old = Tokenizer(tmp_path)
    text = "<image> the 37 dogs  at [12, 345, 6, 789]."
    assert old.image_id == image["id"] and len(old) == len(PAPER)
    assert old.fast.convert_ids_to_tokens(old.encode(text)) == PAPER.fast.convert_ids_to_tokens(
        PAPER.encode(text)
    )
    assert old.decode(old.encode(text)) == text.removeprefix("<image>")
    assert old.bos_id == PAPER.bos_id and old.pad_id == PAPER.pad_id
    old.save(tmp_path / "saved")
    fast = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert fast("the red circle").input_ids == PAPER.encode("the red circle", bos=True)


def test_other_vocabularies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no tokenizer\.json"):
        Tokenizer(tmp_path)
    shutil.copytree(TINY, tmp_path, dirs_exist_ok=True)
    text = (tmp_path / "tokenizer.json").read_text()
    (tmp_path / "tokenizer.json").write_text(text.replace('"<0x41>"', '"<other>"'))
    with pytest.raises(ValueError, match="no piece '<0x41>'"):
        Tokenizer(tmp_path)


def test_speed_of_a_long_bracket() -> None:
    texts = [
        f"the red circle is at {[(k + n) % 1000 for n in range(34)]}, near it." for k in range(200)
    ]
    times = []
    for text in texts:
        start = time.perf_counter()
        PAPER.encode(text)
        times.append(time.perf_counter() - start)
    assert sorted(times)[100] < 200e-6


def test_tiny_is_like_llama() -> None:
    fast = PreTrainedTokenizerFast.from_pretrained(TINY)
    assert fast.convert_tokens_to_ids(["<unk>", "<s>", "</s>", "<0x00>"]) == [0, 1, 2, 3]
    assert not [
        piece
        for piece in fast.get_vocab()
        if len(piece.strip("▁")) > 1
        and any(c in "0123456789]," for c in piece)
        and "<" not in piece
    ]
    assert sum(file.stat().st_size for file in TINY.iterdir()) < 100_000
    assert len(fast) <= 1600


def test_every_word_of_the_world_is_one_piece() -> None:
    words = {
        word
        for line in sentences(seed=7, n=3000)
        for word in line.replace("?", "").replace(",", "").replace(".", "").split()
    }
    assert {word for word in words if len(PAPER.encode(word)) > 1 and not word.isdigit()} == set()


def test_the_same_sentences_build_the_same_tokenizer() -> None:
    lines = sentences(seed=1, n=500)
    first, second = build_tiny(lines, 500), build_tiny(lines, 500)
    assert first.get_vocab() == second.get_vocab()
    assert len(first) <= 500
    assert first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()
