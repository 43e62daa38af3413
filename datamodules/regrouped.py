"""What a task makes of annotations before a run begins: groups of images, and targets that are written only once.

A mask is drawn and its points are chosen for every sample of every epoch, unless they are in the table.
"""

from collections.abc import Iterator
from dataclasses import replace

from datamodules.compiled import Annotations
from datamodules.readers.reader import Stamp, stamp
from tasks import Task
from vista.data import WRITTEN, Annotation, located


class Regrouped:
    """What a task makes of all that a reader gives: the origin of a compiled file of its own."""

    def __init__(self, task: Task, annotations: Annotations) -> None:
        """Keep both; the compiled file of the annotations is watched."""
        self.task, self.annotations = task, annotations
        self.problems: list[tuple[str, str]] = []
        file = annotations.file.absolute()
        self.watched: dict[str, Stamp | None] = {str(file): stamp(str(file))}

    def __iter__(self) -> Iterator[Annotation]:
        try:
            yield from self.task.regroup(self.annotations)
        except Exception as error:
            raise located(
                error, f"task {self.task.name}, on {self.annotations.file.name}"
            ) from error


class Written(Regrouped):
    """Annotations with the targets that a task writes of them: the origin of a compiled file of its own."""

    def __iter__(self) -> Iterator[Annotation]:
        for annotation in self.annotations:
            try:
                target = self.task.target(annotation)
            except Exception as error:
                files = ", ".join(annotation.images)
                where = f"task {self.task.name}, annotation {annotation.id}, file {files}"
                raise located(error, where) from error
            yield replace(annotation, extra={**annotation.extra, WRITTEN: target})


def writes_masks(task: Task) -> bool:
    """Whether targets take long to write, and are all that is learned."""
    return "segmentations" in task.fields and type(task).turns is Task.turns
