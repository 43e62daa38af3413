"""Brackets of numbers in a text that a model wrote. It is judged here, never repaired, and nothing is raised.

"[104, 250, 396, 541] <bsep> [577, 12, 640, 99]"    [[104, 250, 396, 541], [577, 12, 640, 99]]
"a dog"                                             []
"[104, 250", "[a]", "104, 250"                      None: malformed
"""

import re
from collections.abc import Sequence

_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_NUMBERS = re.compile(r" *[0-9]{1,9} *(?:, *[0-9]{1,9} *)*")
# What a text without any bracket has only where a region was meant.
_STRAY = re.compile(r"<bsep>|<msep>|[0-9] *, *[0-9]")


def read_brackets(text: str, num_bins: int) -> list[list[int]] | None:
    """The numbers 0..num_bins - 1 of every bracket; None where a bracket or what stands around it is malformed."""
    inside = _BRACKET.findall(text)
    around = _BRACKET.sub(" ", text)
    if "[" in around or "]" in around:
        return None
    if not inside and _STRAY.search(text):
        return None
    brackets = []
    for each in inside:
        numbers = _read_numbers(each, num_bins)
        if numbers is None:
            return None
        brackets.append(numbers)
    return brackets


def _read_numbers(inside: str, num_bins: int) -> list[int] | None:
    """The numbers of one bracket, None where they are malformed."""
    if not inside.strip(" "):
        return []
    if not _NUMBERS.fullmatch(inside):
        return None
    numbers = [int(number) for number in inside.split(",")]
    return numbers if max(numbers) < num_bins else None


def is_point(numbers: Sequence[int]) -> bool:
    """Whether numbers are x and y."""
    return len(numbers) == 2


def is_box(numbers: Sequence[int]) -> bool:
    """Whether numbers are x0, y0, x1, y1 with the second corner behind the first."""
    return len(numbers) == 4 and numbers[0] < numbers[2] and numbers[1] < numbers[3]


def is_polygon(numbers: Sequence[int]) -> bool:
    """Whether numbers are the points of a polygon, or none: an empty mask."""
    return not numbers or (len(numbers) >= 6 and len(numbers) % 2 == 0)
