"""Captions -> words joined by one space, as the COCO caption evaluation cuts them (PTB style, punctuation dropped).

    "A man's hat, on a chair..." -> "a man 's hat on a chair"

`tokenize_java` calls the Stanford tokenizer that `pycocoevalcap` ships. `tokenize_python` needs no Java: it gives the
same words on COCO captions, and may differ on URLs, on several sentences in one caption and on quoted words.
"""

import contextlib
import io
import os
import re
import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import pycocoevalcap.tokenizer.ptbtokenizer as ptbtokenizer
from nltk.tokenize import TreebankWordTokenizer

from vista.data import InputError

_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": " ", "\u201d": " "})
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
ENGLISH = "-Duser.language=en -Duser.country=US"
_DROPPED = frozenset(ptbtokenizer.PUNCTUATIONS)


def tokenize(captions: Sequence[str], tokenizer: str = "auto") -> list[str]:
    """Cut captions into words.

    Args:
        captions: raw text; every run of white space counts as one space.
        tokenizer: `java`, `python`, or `auto`: Java where it can run, else Python with a warning.

    Returns:
        one string per caption, lower-case words joined by one space; "" for a caption without words.

    Raises:
        FileNotFoundError: `java` was asked for and is not on PATH.
        PermissionError: `java` was asked for and the library's folder cannot be written.
        InputError: no such tokenizer.
    """
    if tokenizer not in ("auto", "java", "python"):
        raise InputError(f"tokenizer is 'auto', 'java' or 'python', not {tokenizer!r}")
    problem = None if tokenizer == "python" else java_problem()
    if problem is not None and tokenizer == "java":
        raise problem
    if problem is not None:
        warnings.warn(f"captions are cut by the Python tokenizer: {problem}", stacklevel=2)
    # One space for every run of white space: the Java tokenizer takes U+2028 and others for the end of a caption, and
    # would shift all later captions to the wrong image.
    # Lone surrogates, which no file can hold, become question marks.
    lines = [" ".join(caption.encode("utf-8", "replace").decode().split()) for caption in captions]
    if tokenizer == "python" or problem is not None:
        return tokenize_python(lines)
    return tokenize_java(lines)


def java_problem() -> OSError | None:
    """Why the Java tokenizer cannot run here; None where it can."""
    folder = Path(ptbtokenizer.__file__).parent
    if shutil.which("java") is None:
        return FileNotFoundError("`java` is not on PATH")
    if not os.access(folder, os.W_OK):
        return PermissionError(
            f"pycocoevalcap writes temporary files into {folder}, which is not writable"
        )
    return None


@contextlib.contextmanager
def java_options(options: str = "") -> Iterator[None]:
    """Java processes that are started meanwhile speak English, whatever the locale: numbers have no decimal commas.

    Args:
        options: others for Java 9 and newer.
    """
    # Java 8 knows the second variable alone; the first one would overrule it.
    added = {"JDK_JAVA_OPTIONS": f"{ENGLISH} {options}", "JAVA_TOOL_OPTIONS": ENGLISH}
    before = {name: os.environ.get(name) for name in added}
    for name, value in added.items():
        os.environ[name] = f"{before[name] or ''} {value}".strip()
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                del os.environ[name]
            else:
                os.environ[name] = old


def tokenize_java(captions: Sequence[str]) -> list[str]:
    """The Stanford tokenizer, one Java process for all captions.

    Args:
        captions: text without line breaks.

    Returns:
        one string per caption.

    Raises:
        RuntimeError: the number of lines that came back is not the number of captions.
    """
    filled = [i for i, caption in enumerate(captions) if caption]
    words = [""] * len(captions)
    if not filled:
        return words
    with contextlib.redirect_stdout(io.StringIO()):
        lines = ptbtokenizer.PTBTokenizer().tokenize(
            {i: [{"caption": captions[i]}] for i in filled}
        )
    if len(lines) != len(filled):
        raise RuntimeError(f"the PTB tokenizer gave {len(lines)} lines for {len(filled)} captions")
    for i, (line,) in lines.items():
        words[i] = line
    return words


def tokenize_python(captions: Sequence[str]) -> list[str]:
    """The Treebank tokenizer of nltk, brought to what the Stanford tokenizer does on captions.

    Args:
        captions: text without line breaks.

    Returns:
        one string per caption.
    """
    cut = TreebankWordTokenizer().tokenize
    words = []
    for caption in captions:
        # A final run of dots is one full stop to the Stanford tokenizer; nltk leaves "chair.." together.
        text = re.sub(r"\.+\s*$", " .", caption.lower().translate(_QUOTES))
        kept = [_BRACKETS.get(word, word) for word in cut(text) if word not in _DROPPED]
        words.append(" ".join(kept))
    return words
