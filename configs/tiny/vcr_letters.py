"""VCR, asked more in training: half of its samples are not its question, but which option has which words.

    <image> ... Options: (A) a red circle ... (D) nothing ... Choose the letter. Which option is: nothing ...?
    The answer is (D).        and so on for another one of them

A language model that was pretrained knows what a letter before a sentence stands for; one that begins with nothing has
to learn it from questions whose answers it does not know yet. Questions are asked in evaluation as ever.
"""

import numpy as np

from tasks import vcr
from tasks.vcr import ANSWERS
from vista.data import Annotation, Turns, neutralise

ASKED = 2  # more of them make long samples


class VCR(vcr.VCR):
    """In the place of `tasks/vcr.py` where a config names this file as a plugin."""

    name = "vcr"

    def turns(self, annotation: Annotation, rng: np.random.Generator | None = None) -> Turns:
        """The question, or two of the four options by their words."""
        question = super().turns(annotation, rng)
        if rng is None or rng.random() < 0.5:
            return question
        extra = annotation.extra
        kind = "answer_choices" if extra["mode"] == "q_a" else "rationale_choices"
        texts = [neutralise(self._name(text, annotation)) for text in extra["marked"][kind]]
        asked = [
            (f"Which option is: {texts[k]}?", ANSWERS[k])
            for k in rng.permutation(len(texts))[:ASKED]
        ]
        ((prompt, _),) = question
        asked[0] = f"{prompt} {asked[0][0]}", asked[0][1]
        return tuple(asked)
