"""Text -> answer, letter or decision: how an answer in words is read, one implementation for all tasks.

    extract_answer("It is a cat. The answer is yes.")                    -> "yes"
    extract_letter("The answer is (B).", n_options=4)                    -> 1
    first_word_decision("That is True.", {"true", "yes"}, {"false", "no"}) -> True
    says_yes("No, there is no dog.")                                     -> False

All functions take the decoded text without special tokens, otherwise untouched. What cannot be read is None, never a
guess and never an exception: the caller counts it as a wrong answer.
"""

import re
from collections.abc import Collection

_MARKERS = ("The answer is", "the answer is", "Answer:", "answer:")
_ANNOUNCED = re.compile(r"\b(?:answer is(?!\s+not\b)\s*:?|answer:)", re.IGNORECASE)
_LETTER_IN_PARENTHESES = re.compile(r"(?<!\w)\(\s*([a-zA-Z])\s*\)")  # not the "(s)" of "person(s)"
_LETTER_AFTER_WORD = re.compile(r"\b(?:option|choice)\s*:?\s*([a-z])\b(?!')", re.IGNORECASE)
_FIRST_LETTER = re.compile(r"\s*(?:\(\s*([a-zA-Z])\s*\)|(?!(?:a|I)\s+\w)([a-zA-Z])\b(?!'))")
_SINGLE_LETTER = re.compile(r"\s*([a-zA-Z])\s*[.):]?\s*")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_POPE_NO_WORDS = frozenset(("No", "not", "no"))


def extract_answer(text: str) -> str:
    """The answer in a sentence: what follows the last `The answer is` or `Answer:`, or the whole text.

    Args:
        text: decoded text, e.g. `"The answer is 3.5."`.

    Returns:
        the answer without surrounding spaces and without one final full stop, e.g. `"3.5"`; may be empty.
    """
    start, marker = max((text.rfind(marker), marker) for marker in _MARKERS)
    answer = text[start + len(marker) :] if start >= 0 else text
    return answer.strip().removesuffix(".").strip()


def extract_letter(text: str, n_options: int) -> int | None:
    """The chosen option of a multiple-choice question.

    The first rule that applies decides: the first letter after the last `answer is` or `Answer:`, next to it or in
    parentheses; the last letter in parentheses; a letter next to the last `option` or `choice`; a text that is one
    letter with an optional `.`, `)` or `:`. Case does not matter.

    Args:
        text: decoded text, e.g. `"The answer is (B)."`.
        n_options: number of options, A being the first.

    Returns:
        index of the option from 0; None where there is no letter or it lies beyond the options.
    """
    letter = _named_letter(text)
    if letter is None:
        return None
    index = ord(letter.lower()) - ord("a")
    return index if index < n_options else None


def _named_letter(text: str) -> str | None:
    for announcement in reversed(list(_ANNOUNCED.finditer(text))):
        if letter := _first_letter(text[announcement.end() :]):
            return letter
    in_parentheses = _LETTER_IN_PARENTHESES.findall(text)
    if in_parentheses:
        return in_parentheses[-1]
    named = _LETTER_AFTER_WORD.findall(text)
    if named:
        return named[-1]
    whole = _SINGLE_LETTER.fullmatch(text)
    return whole.group(1) if whole else None


def _first_letter(text: str) -> str | None:
    """The letter that a text starts with, or the first in parentheses; "a dog" starts with a word."""
    if start := _FIRST_LETTER.match(text):
        return start.group(1) or start.group(2)
    in_parentheses = _LETTER_IN_PARENTHESES.search(text)
    return in_parentheses.group(1) if in_parentheses else None


def first_word_decision(
    text: str, positive: Collection[str], negative: Collection[str]
) -> bool | None:
    """Yes or no: the first word of the text that belongs to either set decides.

    Args:
        text: decoded text, read in lower case.
        positive: lower-case words that mean yes.
        negative: lower-case words that mean no.

    Returns:
        True, False, or None where no word decides.
    """
    for word in _WORD.findall(text.lower()):
        if word in positive:
            return True
        if word in negative:
            return False
    return None


def says_yes(text: str) -> bool:
    """POPE's official reading, of "NO" and "There isn't" as yes: RUCAIBox/POPE `evaluate.py` @3df3ba1.

    Args:
        text: the generated text, untouched: neither stripped nor in lower case.

    Returns:
        False where the part before the first full stop, without commas, holds `No`, `not` or `no` between spaces.
    """
    words = text.split(".")[0].replace(",", "").split(" ")
    return _POPE_NO_WORDS.isdisjoint(words)
