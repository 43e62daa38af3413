"""IconQA: one of 2 to 5 short text choices.

    choices ["cat", "dog"]: "The answer is dog." -> 1; "(A)" -> 0; "it is a cat" -> 0; "a cat or a dog" -> wrong

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


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".!?,;: ")


def _normal(text: str) -> str:
    return normalize(strip_spaces(text))


def choose_option(text: str, choices: Sequence[str]) -> int | None:
    """The choice that a text means, by the first rule that applies.

    The answer equals a choice but for case, spaces and final punctuation; or after VQA's normalisation; it names a
    letter; or exactly one longest choice occurs in it as whole words.

    Args:
        text: decoded text.
        choices: the options, in the order of the prompt.

    Returns:
        index of the choice; None where no rule applies.
    """
    answer = extract_answer(text)
    if not answer:
        return None
    for form in (_plain, _normal):
        wanted, forms = form(answer), [form(choice) for choice in choices]
        if wanted and wanted in forms:
            return forms.index(wanted)
    letter = extract_letter(text, len(choices))
    return _contained_choice(answer, choices) if letter is None else letter


def _contained_choice(answer: str, choices: Sequence[str]) -> int | None:
    words, forms = _plain(answer), [_plain(choice) for choice in choices]
    lengths = {}  # of the choices that the answer contains, by index
    for index, form in enumerate(forms):
        if form and re.search(rf"(?<!\w){re.escape(form)}(?!\w)", words):
            lengths[index] = len(form)
    longest = max(lengths.values(), default=0)
    best = [index for index, length in lengths.items() if length == longest]
    return best[0] if len(best) == 1 else None


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
            added |= {f"right_{skill}": right, f"n_{skill}": 1}
        return added

    def scores(self, total: Mapping[str, float]) -> dict[str, float]:
        """Shares of all problems and of those of each skill."""
        scores = {"accuracy": percent(total["right"], total["n"])}
        for skill in self.skills:
            scores[f"accuracy_{skill}"] = percent(total[f"right_{skill}"], total[f"n_{skill}"])
        return scores
