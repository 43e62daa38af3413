"""What the laws of a task are checked on: the task, its annotations, and how a broken law says where it broke."""

import reprlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from vista.data import Annotation, Prediction
from vista.decoding.grammar import Grammar
from vista.task import Task


class Short(reprlib.Repr):
    """Values in a few words; of a mask its size and its pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 120
        self.maxdict = self.maxlist = self.maxtuple = 8

    def repr_ndarray(self, value: np.ndarray, level: int) -> str:
        """An array by its shape and the number of its true values."""
        return f"<{'x'.join(map(str, value.shape))}, {np.count_nonzero(value)} true>"


SHORT = Short()


class BrokenLaw(Exception):
    """A law of the contract does not hold; the text says what failed, on which annotation, and what was expected."""


@dataclass
class Case:
    """A task and what it is checked on.

    Attributes:
        task: with a codec.
        annotations: as `Task.regroup` leaves them.
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
        return self.each("target", self.task.target, str)

    @cached_property
    def right(self) -> list[Prediction]:
        """What `parse` makes of the right answers."""
        found = []
        for annotation, text in zip(self.annotations, self.targets, strict=True):
            with at(annotation, f"parse of its target {SHORT.repr(text)}"):
                found.append(self.task.parse(text, annotation))
        return found

    @cached_property
    def references(self) -> list[dict[str, Any]]:
        """The raw truth of each annotation."""
        return self.each("reference", self.task.reference, dict)

    @cached_property
    def baseline(self) -> Sequence[Prediction]:
        """Predictions without a look at the images, one for each annotation."""
        preds = self.task.baseline(self.annotations)
        if len(preds) != len(self.annotations) or not all(
            isinstance(pred, Prediction) for pred in preds
        ):
            given = f"baseline gives {SHORT.repr(preds)} for {len(self.annotations)} annotations"
            raise BrokenLaw(f"{given}; expected is a Prediction for each")
        return preds

    def each(self, name: str, function: Callable[[Annotation], Any], kind: type) -> list[Any]:
        """A method's results on all annotations, each of the type that the contract says."""
        found = []
        for annotation in self.annotations:
            with at(annotation, name):
                found.append(function(annotation))
            if not isinstance(found[-1], kind):
                raise BrokenLaw(
                    f"annotation {annotation.id}: {name} gives {SHORT.repr(found[-1])}, not a {kind.__name__}"
                )
        return found


@contextmanager
def at(annotation: Annotation, doing: str) -> Iterator[None]:
    """Name the annotation and the method in whatever is raised inside."""
    try:
        yield
    except BrokenLaw:
        raise
    except Exception as error:  # a task from outside may raise anything
        raise BrokenLaw(f"annotation {annotation.id}: {doing} raises {said(error)}") from error


def said(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
