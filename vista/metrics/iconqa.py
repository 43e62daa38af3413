"""IconQA: one of 2 to 5 short text choices.

    choices ["cat", "dog"]: "The answer is dog." -> 1; "(A)" -> 0; "it is a cat" -> 0; "a cat or a dog" -> wrong
    choices ["3", "4"]: "there are 3 of them" -> 0; "3.5", "1/3", "3:30", "-3" -> wrong

As lupantech/IconQA `tools/sub_acc.py` @4b053f3: right where the chosen index is the annotated one; a problem counts in
each of its skills. `accuracy` is of generated text; InstructBLIP ranks the choices by likelihood instead.
https://iconqa.github.io, arXiv:2110.13214.
"""

import re
from collections.abc import Mapping, Sequence

from vista.answers import extract_answer, extract_letter
from vista.data import Prediction, Reference
from vista.metrics.evaluator import Evaluator, percent
from vista.metrics.vqa import normalize, strip_spaces

SKILLS = (
    "geometry", "counting", "comparing", "spatial", "scene", "pattern", "time", "fraction", "estimation", "algebra",
    "measurement", "commonsense", "probability",
)  # fmt: skip


_SMALL = r"one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen"
_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_LARGE = "hundred|thousand|million"
# A whole number in digits or words: what is cut out of it is another number.
NUMBER = re.compile(
    rf"""(?:
    (?:(?<![\w.)])[-\u2212\u2013](?=[.0-9]))?           # the sign of -5
    (?:(?<![0-9])\.)?[0-9]+                             # 5, .5
    (?:[.,^\u2013-][0-9]+|\ ?[/:]\ ?[0-9]+)*            # 3.5, 1,000, 2^3, 3-4, 1/2, 12:30, 12 : 30
    |\b(?:(?:a|{_SMALL}|{_TENS})[-\ ])?(?:{_LARGE})(?:[-\ ](?:and\ )?(?:{_SMALL}|{_TENS}|{_LARGE}))*\b
    |\b(?:{_TENS})[-\ ](?:{_SMALL})\b                   # twenty-five
    |\b(?:{_SMALL})\b
    )(?:\ (?:and\ )?(?:a\ half|[0-9]+\ ?/\ ?[0-9]+))?   # two and a half, 2 1/2
    """,
    re.IGNORECASE | re.VERBOSE,
)
_THOUSANDS = re.compile(r",(?=[0-9]{3}(?![0-9]))")


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".!?,;: ")


def _normal(text: str) -> str:
    return normalize(strip_spaces(text))


def _marked_numbers(text: str) -> list[str]:
    """The numbers that are more than digits: `"-5 and 1/2, not 1,000 or 3"` -> `["-5", "1/2"]`."""
    numbers = [_THOUSANDS.sub("", match[0]) for match in NUMBER.finditer(text)]
    return [number for number in numbers if not number.isalnum() and number[-1].isdigit()]


def choose_option(text: str, choices: Sequence[str]) -> int | None:
    """The choice that a text means, by the first rule that applies.

    The answer equals a choice but for case, spaces and final punctuation; or after VQA's normalisation, unless that
    takes a mark from a number; it names a letter; or exactly one longest choice occurs in it as whole words and whole
    numbers.

    Args:
        text: decoded text.
        choices: the options, in the order of the prompt.

    Returns:
        index of the choice; None where no rule applies.
    """
    answer = extract_answer(text)
    if not answer:
        return None
    plain = _plain(answer)
    choices_in_plain = [_plain(choice) for choice in choices]
    if plain and plain in choices_in_plain:
        return choices_in_plain.index(plain)
    # VQA's normal form of "-5" is "5", that of "1,5" is "15".
    wanted = _normal(answer), _marked_numbers(plain)
    forms = [(_normal(choice), _marked_numbers(_plain(choice))) for choice in choices]
    if wanted[0] and wanted in forms:
        return forms.index(wanted)
    letter = extract_letter(text, len(choices))
    return _contained_choice(plain, choices_in_plain) if letter is None else letter


def _contained_choice(answer: str, choices: Sequence[str]) -> int | None:
    places = {}  # of the choices that the answer contains, by index
    for index, choice in enumerate(choices):
        found = re.finditer(rf"(?<!\w){re.escape(choice)}(?!\w)", answer) if choice else ()
        if spans := [match.span() for match in found]:
            places[index] = spans
    longest = max((len(choices[index]) for index in places), default=0)
    best = [index for index in places if len(choices[index]) == longest]
    if len(best) != 1:
        return None
    numbers = [match.span() for match in NUMBER.finditer(answer)]
    return best[0] if any(_cuts_none(place, numbers) for place in places[best[0]]) else None


def _cuts_none(place: tuple[int, int], numbers: Sequence[tuple[int, int]]) -> bool:
    """Whether each number lies inside a place or outside of it, both given by start and end."""
    start, end = place
    for begin, stop in numbers:
        apart = stop <= start or end <= begin
        inside = start <= begin and stop <= end
        if not (apart or inside):
            return False
    return True


class IconQAMetric(Evaluator):
    """Share of right choices, whole and by skill. Reference: `{"label": int, "skills": [str]}`.

    Prediction: `choice`. Keys: `accuracy`, `accuracy_{skill}`.

    Args:
        skills: those that get a key; others count in `accuracy` alone.
    """

    def __init__(self, skills: tuple[str, ...] = SKILLS) -> None:
        right = [f"right_{skill}" for skill in skills]
        counts = [f"n_{skill}" for skill in skills]
        super().__init__("right", *right, *counts)
        self.skills = tuple(skills)

    def sample(self, pred: Prediction, ref: Reference) -> dict[str, float]:
        """Whether the right choice was made; an answer that means none is wrong."""
        choice = None if pred.malformed else pred.choice
        right = choice is not None and choice == ref["label"]
        added: dict[str, float] = {"right": right, "parse_failures": choice is None}
        for skill in set(ref.get("skills", ())) & set(self.skills):
            added[f"right_{skill}"] = right
            added[f"n_{skill}"] = 1
        return added

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """Shares of all problems and of those of each skill."""
        scores = {"accuracy": percent(total["right"], total["n"])}
        for skill in self.skills:
            scores[f"accuracy_{skill}"] = percent(total[f"right_{skill}"], total[f"n_{skill}"])
        return scores
