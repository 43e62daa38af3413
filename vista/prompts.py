"""How a task asks: its prompts, and the turns of a conversation; the base of `vista.task.Task`.

"{Give|Draw} the mask of <expr>."       a line of tasks/templates/res.txt has two prompts
"Give the mask of the red circle."      one of them, filled in
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from itertools import chain, product
from pathlib import Path
from typing import ClassVar

import numpy as np

from vista.codec.codec import Codec
from vista.data import WRITTEN, Annotation, Turns, neutralise

NUM_UNSEEN = 5  # the last templates of each list are never trained on
MARK = re.compile(r"<(expr|question|objs|options|n)>")


class Prompts(ABC):
    """How one kind of question is asked."""

    name: ClassVar[str]  # of the task, and of its file of templates

    def __init__(self, codec: Codec) -> None:
        """Keep the codec.

        Args:
            codec: how regions are written as text and read back.
        """
        self.codec = codec

    @cached_property
    def templates(self) -> Sequence[str]:
        """Prompts, those of each line of `tasks/templates/<name>.txt`; the first one is used in evaluation."""
        file = Path(__file__).parents[1] / "tasks" / "templates" / f"{self.name}.txt"
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        return list(chain.from_iterable(expand(line) for line in lines if line))

    @abstractmethod
    def target(self, annotation: Annotation) -> str:
        """The right answer as text."""

    def prompt(self, annotation: Annotation, rng: np.random.Generator | None = None) -> str:
        """The prompt of the first turn.

        Args:
            annotation: what is asked about.
            rng: draws one of the training templates; None: the first template.
        """
        # The last ones are kept for the test of prompts that were never seen.
        trained = self.templates[: max(1, len(self.templates) - NUM_UNSEEN)]
        chosen = 0 if rng is None else int(rng.integers(len(trained)))
        return self.fill(trained[chosen], annotation, rng)

    def fill(
        self, template: str, annotation: Annotation, rng: np.random.Generator | None = None
    ) -> str:
        """A template with its marks replaced; `<image>` stays, once for each image: one alone stands for all of them.

        What comes from a data set cannot put in tokens; `objs` may, since the codec writes it.
        """
        values = {
            "expr": annotation.expression,
            "question": annotation.question,
            "objs": "",
            "options": "",
            "n": str(len(annotation.images)),
        } | self.values(annotation, rng)
        if template.count("<image>") == 1 and len(annotation.images) > 1:
            numbered = " ".join(f"Image {k}: <image>" for k in range(1, len(annotation.images) + 1))
            template = template.replace("<image>", numbered)
        # All but the codec's own text is neutralised: what comes from a data set must not name a token.
        safe = {name: neutralise(text) for name, text in values.items() if name != "objs"}
        texts = values | safe
        return MARK.sub(lambda mark: texts[mark[1]], template)

    def values(
        self, annotation: Annotation, rng: np.random.Generator | None = None
    ) -> dict[str, str]:
        """Texts of marks that this task fills in another way; `rng` draws what may vary in training."""
        return {}

    def turns(self, annotation: Annotation, rng: np.random.Generator | None = None) -> Turns:
        """Prompt and target of every turn; most tasks have one."""
        written = annotation.extra.get(WRITTEN)
        target = self.target(annotation) if written is None else written
        return ((self.prompt(annotation, rng), target),)


def expand(line: str) -> list[str]:
    """All prompts of a line with alternatives: `{Give|Draw} the {box|outline} of <expr>.` has four."""
    parts = re.split(r"\{(.*?)\}", line)  # text and alternatives, in turns
    choices = [part.split("|") if k % 2 else [part] for k, part in enumerate(parts)]
    return ["".join(words) for words in product(*choices)]
