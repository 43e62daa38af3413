"""The contract that a task fulfils. One file, one subclass, one screen.

    class REC(Task):
        name = "rec"
        fields = frozenset({"expression", "boxes", "sizes"})
        ...

The law, tested over every task on every annotation of the world: `parse(target(a))` scored against `reference(a)`
reaches the codec's ceiling; `target(a)` is accepted by `grammar(a)`; garbage scores low and raises nothing.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import ClassVar, Protocol, Self

from torchmetrics import Metric

from vista.data import Annotation, Prediction, Reference, Turns
from vista.decoding.grammar import Grammar, most_brackets, most_characters
from vista.metrics.evaluator import Evaluator, in_this_process, scores_alone
from vista.prompts import NUM_UNSEEN, Prompts


class Task(Prompts):
    """How one kind of question is asked (see `Prompts`), answered, read and scored.

    Attributes:
        name: the word on the command line, the same as the file's stem.
        datasets: names of the readers that it is meant for; any other with the same fields will do.
        fields: the fields of an annotation that the task needs.
        answer_fields: those of them that hold the right answer alone; a split without them is asked and not scored.
        headline: the metric that stands in the table of scores.
        halfway: of a headline that is no percentage the score that counts as 50 in `val/mean`; None: it is one.
        rewarded: the metric that says how good one answer is, in percent; empty: the headline.
        baseline_name: what the baseline beside the score is.
        max_new_tokens: longest answer; needed only where the grammar leaves the length open.
        any_number: whether an expression may name several objects, or none; else it names one.
        multi_image: whether it compares images; such tasks are trained in stage 2 (Section 5.2).
        score_words: words whose probability, as the first of the answer, the metric needs: the name in
            `Prediction.scores` -> the word.
    """

    name: ClassVar[str]
    datasets: ClassVar[frozenset[str]] = frozenset()
    fields: ClassVar[frozenset[str]]
    answer_fields: ClassVar[frozenset[str]] = frozenset()
    headline: ClassVar[str]
    halfway: ClassVar[float | None] = None
    rewarded: ClassVar[str] = ""
    baseline_name: ClassVar[str]
    max_new_tokens: ClassVar[int] = 512
    any_number: ClassVar[bool] = False
    multi_image: ClassVar[bool] = False
    score_words: ClassVar[Mapping[str, str]] = {}
    known: ClassVar[dict[str, type["Task"]]] = {}

    def __init_subclass__(cls) -> None:
        """Make the subclass known under its name."""
        super().__init_subclass__()
        if "name" in cls.__dict__:
            Task.known[cls.name] = cls

    def in_unseen_words(self) -> Self | None:
        """The same task with the prompts that are never trained on; None where it has too few of them."""
        if len(self.templates) <= NUM_UNSEEN:
            return None
        other = copy(self)
        other.templates = self.templates[-NUM_UNSEEN:]
        return other

    def question(self, annotation: Annotation, template: int = 0) -> Turns:
        """The turns in evaluation: as `turns`, with the last answer left empty, so that it need not be known.

        Args:
            annotation: what is asked about.
            template: index of the instruction.
        """
        return ((self.fill(self.templates[template], annotation), ""),)

    def regroup(self, annotations: Sequence[Annotation]) -> list[Annotation]:
        """What the task asks about, made once from all that a reader gives; most tasks take it as it is.

        Raises:
            ValueError: the task can make nothing of them.
        """
        return list(annotations)

    def with_hidden_answers(self) -> "Task":
        """The same task for a split without answers: its predictions have all that `submission` needs."""
        return self

    def submission(
        self, answers: Iterable[tuple[Annotation, Prediction]]
    ) -> tuple[str, str] | None:
        """What the benchmark's server takes for a split whose answers are hidden.

        Returns:
            the file's ending, such as `.json`, and its content; None where no server is known.
        """
        return None

    @abstractmethod
    def grammar(self, annotation: Annotation) -> Grammar:
        """What a legal answer is."""

    @abstractmethod
    def parse(self, text: str, annotation: Annotation) -> Prediction:
        """The inverse of `target`: what a text says, in pixels of the original image. Never raises."""

    def read(self, text: str, annotation: Annotation) -> Prediction:
        """What a text from a file says: as `parse`, but what is longer than any answer is malformed, and not parsed."""
        if self.overlong(text, annotation):
            return Prediction(text=text, malformed=True)
        return self.parse(text, annotation)

    def overlong(self, text: str, annotation: Annotation) -> bool:
        """Whether a text has more characters or brackets than any answer; each bracket may become a mask in memory."""
        tokens = max(Task.max_new_tokens, self.max_new_tokens)  # other models say more than ours
        grammar = self.grammar(annotation)
        brackets = most_brackets(grammar, tokens)
        too_many = brackets is not None and text.count("[") > brackets
        return too_many or len(text) > most_characters(grammar, tokens)

    @abstractmethod
    def reference(self, annotation: Annotation) -> Reference:
        """The raw truth that the evaluator compares with."""

    @abstractmethod
    def evaluator(self) -> Metric:
        """A fresh metric with `update(preds, target)` and a flat dict from `compute()`, as any `Evaluator` is."""

    def prepare_rewards(self, annotations: Sequence[Annotation]) -> None:
        """Learn of the training set what rewards depend on, such as how rare each word is."""

    def reward(self, prediction: Prediction, reference: Reference) -> float:
        """How good one answer is, 0..1: what a training by reinforcement raises.

        The law, tested over every task: the target's is the highest that the codec allows, garbage's is low, a
        malformed answer's is 0, and less of a region is never worth more.

        Args:
            prediction: a parsed answer.
            reference: its truth, as `reference` gives it.
        """
        if prediction.malformed:
            return 0.0
        scores = scores_alone(self._judge, prediction, reference)
        score = scores[self.rewarded or self.headline]
        share = score / 100 if self.halfway is None else score / (score + self.halfway)
        return min(1.0, max(0.0, share))

    @cached_property
    def _judge(self) -> Metric:
        """Scores one answer after the other, in this process and without starting Java."""
        evaluator = in_this_process(self.evaluator())
        if isinstance(evaluator, Evaluator):
            evaluator.quick, evaluator.tokenizer = True, "python"
        return evaluator

    @abstractmethod
    def baseline(self, annotations: Sequence[Annotation]) -> Iterable[Prediction]:
        """A prediction for each without a look at the images, scored beside the model's; large ones are yielded."""


class Source(Protocol):
    """A task and the annotations that it is asked about; `datamodules.source.LoadedSource` is one.

    Attributes:
        name: in tables, logs and files.
        task: what is asked.
        root: the data root, to which images are relative.
        annotations: what is asked about.
        scored: whether the right answers are known.
    """

    name: str
    task: Task
    root: Path
    annotations: Sequence[Annotation]
    scored: bool

    def question(self, annotation: Annotation) -> Turns:
        """The turns in evaluation, the last answer left empty."""
        ...


def commonest(labels: Iterable[str]) -> str:
    """The label that occurs most often, the first of equals; empty where there are none."""
    return max(Counter(labels).items(), key=itemgetter(1), default=("", 0))[0]


def letter_options(options: Sequence[str]) -> str:
    """The options of a multiple-choice question: `(A) a dog (B) a cat`."""
    return " ".join(f"({chr(ord('A') + k)}) {option}" for k, option in enumerate(options))
