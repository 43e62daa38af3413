"""What the laws of a task are checked on: the task, its annotations, and how a law says where and why it does not hold.

A law that does not hold is broken by the task, or cannot be judged: the masks are more than the codec's points can
draw, or the annotations are too few. The one is a fault of the task, the other tells of data and settings.
"""

import reprlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from vista.codec.codec import Codec
from vista.data import Annotation, Prediction
from vista.decoding.grammar import Grammar
from vista.task import Task

Result = TypeVar("Result")


class Short(reprlib.Repr):
    """Values in a few words; of a mask its size and its pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 120
        self.maxdict = self.maxlist = self.maxtuple = 8

    def repr_ndarray(self, value: np.ndarray, level: int) -> str:
        """An array by its shape and the number of its true values."""
        shape = "x".join(str(side) for side in value.shape)
        return f"<{shape}, {np.count_nonzero(value)} true>"


SHORT = Short()
ENOUGH = 5  # annotations


class BrokenLaw(Exception):
    """A law of the contract does not hold; the text says what failed, on which annotation, and what was expected."""

    @classmethod
    def at(cls, annotation: Annotation, text: str) -> "BrokenLaw":
        """What failed on one annotation."""
        return cls(f"annotation {annotation.id}: {text}")


class BeyondLimits(Exception):
    """A law cannot be judged, since data or codec do not reach so far; the text says what they lack."""


@dataclass
class Case:
    """A task and what its laws are checked on.

    Attributes:
        task: with a codec.
        annotations: as a reader gives them, after the law on `Task.regroup` as that leaves them.
        accepts: whether a text is a legal answer under a grammar, end of sequence included.
        length: tokens of an answer, end of sequence included.
    """

    task: Task
    annotations: Sequence[Annotation]
    accepts: Callable[[Grammar, str], bool]
    length: Callable[[str], int] = len

    @cached_property
    def targets(self) -> list[str]:
        """The right answer to each annotation."""
        return self._of_each("target", self.task.target, str)

    @cached_property
    def right_preds(self) -> list[Prediction]:
        """What `parse` makes of the right answers."""
        preds = []
        for annotation, text in zip(self.annotations, self.targets, strict=True):
            with name_in_errors(annotation, f"parse of its target {SHORT.repr(text)}"):
                preds.append(self.task.parse(text, annotation))
        return preds

    @cached_property
    def references(self) -> list[dict[str, object]]:
        """The raw truth of each annotation."""
        return self._of_each("reference", self.task.reference, dict)

    @cached_property
    def baseline_preds(self) -> Sequence[Prediction]:
        """Predictions without a look at the images, one for each annotation."""
        preds = list(self.task.baseline(self.annotations))
        are_predictions = all(isinstance(pred, Prediction) for pred in preds)
        if len(preds) != len(self.annotations) or not are_predictions:
            given = f"baseline gives {SHORT.repr(preds)} for {len(self.annotations)} annotations"
            raise BrokenLaw(f"{given}; expected is a Prediction for each")
        return preds

    @property
    def is_small(self) -> bool:
        """Whether the annotations are too few for scores to mean anything: CIDEr of one image is always 0."""
        return len(self.annotations) < ENOUGH

    def under(self, codec: Codec) -> "Case":
        """The same task on the same annotations, with regions written by another codec."""
        return Case(type(self.task)(codec), self.annotations, self.accepts, self.length)

    def _of_each(
        self,
        name: str,
        method: Callable[[Annotation], Result],
        kind: type,
    ) -> list[Result]:
        """A method's results on all annotations, each of the type that the contract says."""
        results = []
        for annotation in self.annotations:
            with name_in_errors(annotation, name):
                result = method(annotation)
            if not isinstance(result, kind):
                given = f"{name} gives {SHORT.repr(result)}"
                raise BrokenLaw.at(annotation, f"{given}, not a {kind.__name__}")
            results.append(result)
        return results


Law = Callable[[Case], str]


@contextmanager
def name_in_errors(annotation: Annotation, method: str) -> Iterator[None]:
    """Name the annotation and the method in whatever is raised inside."""
    try:
        yield
    except (BrokenLaw, BeyondLimits):
        raise
    except Exception as error:  # a task from outside may raise anything
        raise BrokenLaw.at(annotation, f"{method} raises {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """An exception in one line."""
    words = str(error).split()
    return f"{type(error).__name__}: {' '.join(words)}"
