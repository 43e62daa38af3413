"""The tiny size's tokenizer, built from sentences in a moment, of the same make as LLaMA's.

    python -m vista.tokens.tiny --sentences sentences.txt --out configs/tiny/tokenizer

`<unk> <s> </s>` are 0, 1, 2, then 256 byte pieces, then characters and pieces of words. Digits and punctuation stay
single; only an opening bracket takes its space along ("▁["), as in LLaMA.
"""

import argparse
import json
import string
import sys
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

_SPECIAL = ("<unk>", "<s>", "</s>")
_BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))


def build_tiny(sentences: Iterable[str], vocab_size: int = 1600) -> PreTrainedTokenizerFast:
    """A LLaMA-like tokenizer of the words in the sentences. `<unk>` also pads, as in Vicuna.

    Args:
        sentences: the language to learn; the same sentences give the same tokenizer.
        vocab_size: at most this many pieces, before the coordinate tokens.
    """
    vocabulary, merges = _train(sentences, vocab_size)
    model = models.BPE(vocabulary, merges, unk_token=_SPECIAL[0], fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    special = [AddedToken(token, normalized=False, special=True) for token in _SPECIAL]
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    unk, bos, eos = _SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token=unk, bos_token=bos, eos_token=eos, pad_token=unk
    )


def _train(
    sentences: Iterable[str], vocab_size: int
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Pieces with their ids, and merges in order of rank."""
    tokenizer = Tokenizer(models.BPE())
    # No piece joins a digit or a mark with its neighbours.
    isolated = pre_tokenizers.Split(Regex(r"[^\p{L} ]"), behavior="isolated")
    words = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([isolated, words])
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1,  # one is left for "▁["
        special_tokens=[*_SPECIAL, *_BYTES],
        initial_alphabet=[*string.ascii_letters, *string.digits, *string.punctuation, "▁"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    vocabulary = {**model["vocab"], "▁[": len(model["vocab"])}
    merges = [("▁", "["), *map(tuple, model["merges"])]
    return vocabulary, merges


def main() -> None:
    """Build the tokenizer of a text file, one sentence a line, and write its folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--sentences", default="-", help="text file, one sentence a line; - is standard input"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--vocab_size", type=int, default=1600, help="at most this many pieces")
    args = parser.parse_args()
    text = sys.stdin.read() if args.sentences == "-" else Path(args.sentences).read_text()
    fast = build_tiny(text.splitlines(), args.vocab_size)
    fast.save_pretrained(args.out)
    fast.backend_tokenizer.save(str(args.out / "tokenizer.json"), pretty=False)
    print(f"{args.out}: {len(fast)} pieces")


if __name__ == "__main__":
    main()
